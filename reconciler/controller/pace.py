"""How often what people ask for is done, however often they ask: some at once, then one in so many seconds (A9, W3)."""

import time
from collections.abc import Callable

AT_ONCE = 10  # after a quiet time
EVERY = 5.0  # seconds between two from then on


class Pace:
    """Called by one thread at a time. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._saved, self._since = float(AT_ONCE), clock()

    def wait(self) -> float:
        """Seconds until the next one may be, 0 where it may be now."""
        return max(0.0, (1.0 - self._now()) * EVERY)

    def spend(self) -> None:
        """One is done."""
        self._saved, self._since = max(0.0, self._now() - 1.0), self._clock()

    def _now(self) -> float:
        return min(float(AT_ONCE), self._saved + (self._clock() - self._since) / EVERY)
