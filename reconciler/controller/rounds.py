"""A loop in one thread that repeats its work: when asked, after an interval, and soon after a failure."""

import threading
import time
from collections.abc import Callable

from reconciler import jitter
from reconciler.controller import border
from reconciler.controller.pace import Pace
from reconciler.errors import LeaseLost, NidusError
from reconciler.report import log

QUIET = 0.1  # seconds without a further call after which a burst is over
LONGEST = 1.0  # seconds a burst is waited for at most
FIRST, LAST = 1.0, 60.0  # seconds until a failed round is tried again, doubling


class Rounds:
    """Calls `work` in a thread of its own, from `start` until `stop` is set. What `work` raises is logged, and the work
    is tried again.

    `every` seconds, with jitter, pass at most between two rounds; None: only when asked. `pace`: how soon one follows another.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        stop: threading.Event,
        *,
        every: float | None,
        first: float = FIRST,
        pace: Pace | None = None,
    ) -> None:
        self.name, self._pace = name, pace
        self._work, self._stop, self._every, self._first = work, stop, every, first
        self._asked = threading.Event()
        self._last = 0.0
        self._began = 0.0
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """Ask for a round. Several calls within a burst make one round; a call during a round makes one more."""
        self._last = time.monotonic()
        self._asked.set()

    def silent(self) -> float:
        """For how many seconds the round under way did not move; 0 between rounds (H3)."""
        began = self._began
        return time.monotonic() - began if began else 0.0

    def beat(self) -> None:
        """The round under way has moved: many small steps are no stalled loop. Call it from `work` only."""
        self._began = time.monotonic()

    def end(self, seconds: float) -> bool:
        """Wait at most `seconds` for the round under way, after `stop` was set; whether it ended."""
        self._asked.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._asked.wait(self._pause())
            self._calm()
            if self._pace is not None:
                self._stop.wait(self._pace.wait())
                self._pace.spend()
            if self._stop.is_set():
                return
            self._asked.clear()
            self._began = time.monotonic()
            failed = self._failed()
            self._began = 0.0
            self._failures = self._failures + 1 if failed else 0

    def _failed(self) -> bool:
        try:
            with border.contained(self.name):
                self._work()
        except LeaseLost:
            return False  # the process is about to end (H1)
        except NidusError as error:
            log.line("RoundFailed", what=self.name, message=f"{error.reason}: {error.message}")
            return True
        return False

    def _pause(self) -> float | None:
        if self._failures:
            return min(LAST, self._first * 2.0 ** min(self._failures - 1, 10)) * jitter.between(0.8, 1.2)
        return None if self._every is None else self._every * jitter.between(0.8, 1.2)

    def _calm(self) -> None:
        """Wait for the end of a burst."""
        ends = time.monotonic() + LONGEST
        while self._asked.is_set() and time.monotonic() - self._last < QUIET and time.monotonic() < ends:
            if self._stop.wait(QUIET / 2):
                return
