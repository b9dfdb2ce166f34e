"""Tries the addresses of exposed clusters beside the passes: a pass never waits for the network."""

import threading
import time
from collections import deque
from collections.abc import Callable

from reconciler import jitter, outside
from reconciler.controller.border import contained
from reconciler.errors import NidusError
from reconciler.model import Exposure, Tried
from reconciler.report import log

AT_ONCE = 2
WELL, ILL = 600.0, 45.0  # seconds until an address is tried again: one that answered, and one that did not


class Probes:
    """The newest answer for each cluster. `woken` is called with the cluster whose answer is another than before. Its threads begin
    with the first cluster and end with the process."""

    def __init__(
        self,
        woken: Callable[[str], None],
        run: Callable[[Exposure], Tried] = outside.attempt,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._woken, self._run, self._clock = woken, run, clock
        self._lock = threading.Condition()
        self._wanted: dict[str, Exposure] = {}
        self._answers: dict[str, tuple[Tried, float]] = {}
        self._waiting: deque[str] = deque()
        self._threads = 0

    def ask(self, cluster: str, one: Exposure | None) -> None:
        """Try this address, unless it was tried just now; None: nothing any more."""
        with self._lock:
            if one is None:
                self._wanted.pop(cluster, None)
                self._answers.pop(cluster, None)
                return
            self._wanted[cluster] = one
            if cluster in self._waiting or not self._due(cluster, one):
                return
            self._waiting.append(cluster)
            begin, self._threads = self._threads < AT_ONCE, min(AT_ONCE, self._threads + 1)
            self._lock.notify()
        if begin:
            threading.Thread(target=self._work, name="probe", daemon=True).start()

    def answer(self, cluster: str) -> Tried | None:
        """What came of it last."""
        with self._lock:
            known = self._answers.get(cluster)
            return known[0] if known is not None else None

    def _due(self, cluster: str, one: Exposure) -> bool:
        known = self._answers.get(cluster)
        return known is None or known[0].exposure != one or self._clock() >= known[1]

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: bool(self._waiting))
                cluster = self._waiting.popleft()
                one = self._wanted.get(cluster)
            if one is not None:
                self._do(cluster, one)

    def _do(self, cluster: str, one: Exposure) -> None:
        found = Tried(one, "NotReached", "a bug, told in the log")
        try:
            with contained("probe", cluster):
                found = self._run(one)
        except NidusError:
            pass
        with self._lock:
            before = self._answers.get(cluster)
            if self._wanted.get(cluster) != one:
                return
            pause = jitter.between(0.8, 1.2) * (WELL if not found.found else ILL)
            self._answers[cluster] = (found, self._clock() + pause)
        if before is None or (before[0].exposure, before[0].found) != (one, found.found):
            log.line(
                "AddressTried", cluster=cluster, host=one.host, found=found.found or "Exposed", message=found.detail
            )
            self._woken(cluster)
