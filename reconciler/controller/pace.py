"""How often what people ask for is done, however often they ask: some at once, then one in so many seconds (A9, W3)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE = 10  # after a quiet time
EVERY = 5.0  # seconds between two from then on
FIRST, LONGEST = 30.0, 900.0  # seconds of a pause


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


class Pause:
    """What failed is done again at once, and from then on after pauses that grow, up to LONGEST; at once where `place`, what it depends on,
    is another."""

    def __init__(self) -> None:
        self._place: tuple[str, ...] = ()
        self._times, self._until = 0, 0.0

    @property
    def failed(self) -> bool:
        """Whether it did, the last time."""
        return self._times > 0

    @property
    def until(self) -> float:
        """When its pause is over, or was."""
        return self._until

    def waits(self, place: tuple[str, ...], now: float) -> bool:
        """Whether it is to be let be."""
        return self._place == place and now < self._until

    def fail(self, place: tuple[str, ...], now: float, least: float = 0.0) -> None:
        """It failed; it is let be for `least` seconds."""
        self._times = self._times + 1 if self._place == place else 1
        pause = FIRST * 2.0 ** min(self._times - 2, 10) if self._times > 1 else 0.0
        self._place, self._until = place, now + max(least, min(LONGEST, pause))

    def over(self) -> None:
        """It went well, or somebody wants it now."""
        self._place, self._times, self._until = (), 0, 0.0


class Share:
    """What some may take of each round: so many `times`, and nothing more once it took so many `seconds`. `clock` gives seconds that never
    go back."""

    def __init__(self, times: float, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = (times, seconds), clock
        self.begin()

    def begin(self) -> None:
        """A round begins."""
        self._times, self._seconds = 0, 0.0

    @property
    def over(self) -> bool:
        """Whether it is taken."""
        return self._times >= self._most[0] or self._seconds > self._most[1]

    @contextmanager
    def taking(self) -> Iterator[None]:
        """One of them, for as long as this is entered."""
        began = self._clock()
        try:
            yield
        finally:
            self._times, self._seconds = self._times + 1, self._seconds + self._clock() - began

    @contextmanager
    def failing(self) -> Iterator[None]:
        """As `taking`, where it fails; else it takes nothing."""
        before = self._times, self._seconds
        with self.taking():
            yield
        self._times, self._seconds = before
