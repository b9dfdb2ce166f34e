"""Why and since when a source should look again. A wake carries no work, and several before a sync are one (W3)."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

QUIET = 0.1  # seconds without a further mark after which a burst is over
STORM = 2  # marks waiting for one sync that make a burst


@dataclass(frozen=True, slots=True)
class Woken:
    """One wake, taken: why, when, whether the same tree is to be admitted again, whether every cluster is checked again besides.

    `generation` is the highest mark it answers.
    """

    trigger: str
    at: float
    forced: bool
    again: bool
    generation: int = 0


class Trigger:
    """Thread-safe. `generation` and `resync` are the highest marks heard of, of webhooks and of `nidus sync`; `served` both at first.

    `again` admits the same tree once more, because time or requests moved; `forced` re-checks every cluster besides (S2).
    `clock` gives seconds that never go back.
    """

    def __init__(self, served: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.generation = self.resync = served
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._trigger, self._at = "", 0.0
        self._forced = self._again = False
        self._marks, self._last = 0, 0.0

    def up(
        self, trigger: str, *, forced: bool = False, again: bool = False, generation: int = 0, resync: int = 0
    ) -> None:
        """Look again. A mark that was heard of before is no news: its sync is under way, or over."""
        with self._lock:
            if (generation or resync) and generation <= self.generation and resync <= self.resync:
                return
            if not self._trigger:
                self._trigger, self._at = trigger, time.time()
            self._forced = self._forced or forced
            self._again = self._again or again or forced
            self.generation, self.resync = max(self.generation, generation), max(self.resync, resync)
            self._marks += bool(generation)
            self._last = self._clock()
            self._event.set()

    def keep(self, woken: Woken) -> None:
        """The sync failed: what was asked for beyond a look stays asked for. Wakes nobody, the retry is the source's."""
        with self._lock:
            self._forced = self._forced or woken.forced
            self._again = self._again or woken.again

    def wait(self, seconds: float, stop: threading.Event, longest: float) -> None:
        """Until there is a wake, at most `seconds`; while marks rain, until they end, `longest` seconds more."""
        self._event.wait(seconds)
        ends = self._clock() + longest
        while self._raining() and self._clock() < ends:
            if stop.wait(QUIET / 2):
                return

    def take(self) -> Woken:
        """All that was asked for until now, as one."""
        with self._lock:
            generation = max(self.generation, self.resync)
            taken = Woken(self._trigger or "poll", self._at or time.time(), self._forced, self._again, generation)
            self._trigger, self._at, self._forced, self._again, self._marks = "", 0.0, False, False, 0
            self._event.clear()
            return taken

    def _raining(self) -> bool:
        with self._lock:
            return self._marks >= STORM and self._clock() - self._last < QUIET
