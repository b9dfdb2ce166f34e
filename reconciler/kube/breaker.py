"""A breaker per target (A7): after two transport failures nothing is sent until a pause is over, then one probe decides."""

import random
import threading
import time
from collections.abc import Callable

from reconciler.errors import ApiError, ErrorClass

FAILURES = 2
PAUSE = 1.0  # seconds; doubles with each failed probe
LONGEST = 60.0


class Breaker:
    """Counts whether a server was reached at all; what it answered does not matter here. Thread-safe."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether requests are refused here at the moment."""
        return self._failures >= FAILURES

    @property
    def is_waiting(self) -> bool:
        """Whether the pause after a failure is not over yet."""
        return self.is_open and self._clock() < self._until

    def before(self) -> None:
        """Let a request pass, or raise ApiError TRANSIENT with the seconds to wait in `after`."""
        with self._lock:
            if self._failures < FAILURES:
                return
            wait = self._until - self._clock()
            if wait <= 0 and not self._probing:
                self._probing = True
                return
        raise ApiError(ErrorClass.TRANSIENT, f"{self._name} was not reached lately", after=max(wait, PAUSE))

    def after(self, reached: bool) -> None:
        """Learn how a request that passed ended: one that reached the server closes the breaker."""
        with self._lock:
            self._probing = False
            self._failures = 0 if reached else self._failures + 1
            if self._failures >= FAILURES:
                pause = min(LONGEST, PAUSE * 2 ** min(self._failures - FAILURES, 10))
                self._until = self._clock() + pause * random.uniform(0.8, 1.2)
