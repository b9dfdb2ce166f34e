"""A breaker per target (A7): after two transport failures nothing is sent until a pause is over, then one probe decides."""

import threading
import time
from collections.abc import Callable

from reconciler import jitter
from reconciler.errors import ApiError, ErrorClass

FAILURES = 2
PAUSE = 1.0  # seconds; doubles with each failed probe
LONGEST = 60.0
HELD = 1.0  # seconds in which no request began or ended and one is under way: its sender waits for a hung server


class Breaker:
    """Counts whether a server answered at all; the content of the answer does not matter. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._probing = False
        self._under_way = 0
        self._moved = 0.0
        self._failure = ""  # why the server did not answer at first; "" after an answer

    @property
    def is_open(self) -> bool:
        """Whether requests are refused here at the moment."""
        return self._failures >= FAILURES

    @property
    def holds(self) -> bool:
        """Whether whoever asks this server waits for it: a request is under way, and none began or ended for HELD seconds."""
        return self._under_way > 0 and self._clock() - self._moved >= HELD

    def refuse(self) -> None:
        """Raise ApiError TRANSIENT while the pause after failures lasts. Takes no probe: nothing is sent after it."""
        with self._lock:
            wait = self._until - self._clock() if self._failures >= FAILURES else 0.0
        if wait > 0:
            raise self._refused(wait)

    def before(self) -> None:
        """Let a request pass, or raise ApiError TRANSIENT with the seconds to wait in `after`. One that passed must end in `after`."""
        with self._lock:
            wait = self._until - self._clock() if self._failures >= FAILURES else 0.0
            if self._failures < FAILURES or (wait <= 0 and not self._probing):
                self._probing = self._failures >= FAILURES
                self._under_way += 1
                self._moved = self._clock()
                return
        raise self._refused(wait)

    def _refused(self, wait: float) -> ApiError:
        wait = max(wait, PAUSE)
        cause = self._failure or "it did not answer"
        return ApiError(ErrorClass.TRANSIENT, f"{cause}; it is asked again in {wait:.0f} s", after=wait)

    def after(self, failure: str) -> None:
        """Report the end of a request: `failure` says why there was no answer; "" closes the breaker."""
        with self._lock:
            self._probing = False
            self._under_way = max(0, self._under_way - 1)
            self._moved = self._clock()
            self._failures = self._failures + 1 if failure else 0
            self._failure = (self._failure or failure) if failure else ""
            if self._failures >= FAILURES:
                pause = min(LONGEST, PAUSE * 2 ** min(self._failures - FAILURES, 10))
                self._until = self._clock() + pause * jitter.between(0.8, 1.2)
