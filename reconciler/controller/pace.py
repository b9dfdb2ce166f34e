"""How often what people ask for is done, however often they ask: some at once, then one in so many seconds (A9, W3)."""

import time
from collections.abc import Callable

AT_ONCE = 10  # after a quiet time
EVERY = 5.0  # seconds between two from then on


class Pace:
    """Called by one thread at a time. `clock` gives seconds that never go back; `at_once` may follow each other after a quiet time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, at_once: int = AT_ONCE) -> None:
        self._clock, self._most = clock, float(at_once)
        self._saved, self._since = self._most, clock()

    def wait(self) -> float:
        """Seconds until the next one may be, 0 where it may be now."""
        return max(0.0, (1.0 - self._now()) * EVERY)

    def spend(self) -> None:
        """One is done."""
        self._saved, self._since = max(0.0, self._now() - 1.0), self._clock()

    def _now(self) -> float:
        return min(self._most, self._saved + (self._clock() - self._since) / EVERY)
