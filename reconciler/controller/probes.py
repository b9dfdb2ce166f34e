"""Tries the addresses of exposed clusters beside the passes: a pass never waits for the network."""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from reconciler import jitter, outside
from reconciler.controller.border import contained
from reconciler.errors import NidusError
from reconciler.model import Exposure, Tried
from reconciler.report import log

AT_ONCE, EACH = 6, 2  # tries in all, and of one source: addresses of one team that hang delay nobody else
WELL, ILL = 600.0, 45.0  # seconds until an address is tried again: one that answered, and one that did not
ASKED = 1800.0  # seconds that one that did not is tried again without being asked for


class _Wanted(Struct, frozen=True):
    exposure: Exposure
    source: str
    asked: float


class Probes:
    """The newest answer for each cluster. `run` tries the address of a source's document; `woken` is called with the cluster whose answer
    is another than before. Its threads begin with the first clusters; after `close` each ends with what it is doing, and nobody is
    woken any more."""

    def __init__(
        self,
        woken: Callable[[str], None],
        run: Callable[[Exposure, str], Tried] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._woken, self._clock = woken, clock
        self._run = run or partial(outside.attempt, lookups=outside.Lookups())
        self._lock = threading.Condition()
        self._wanted: dict[str, _Wanted] = {}
        self._answers: dict[str, tuple[Tried, float]] = {}
        self._waiting: dict[str, None] = {}
        self._busy: dict[str, str] = {}
        self._later: list[tuple[float, str]] = []
        self._threads = 0
        self._over = False

    def close(self) -> None:
        """Try nothing any more. Does not wait for what is under way."""
        with self._lock:
            self._over = True
            self._lock.notify_all()

    def ask(self, cluster: str, one: Exposure | None, source: str = "") -> None:
        """Try this address, unless it was tried just now; None: nothing any more."""
        with self._lock:
            if one is None:
                for each in (self._wanted, self._answers, self._waiting):
                    each.pop(cluster, None)
                return
            self._wanted[cluster] = _Wanted(one, source, self._clock())
            self._line_up(cluster)
            if cluster not in self._waiting:
                return
            begin, self._threads = self._threads < AT_ONCE, min(AT_ONCE, self._threads + 1)
            self._lock.notify()
        if begin:
            threading.Thread(target=self._work, name="probe", daemon=True).start()

    def answer(self, cluster: str) -> Tried | None:
        """What came of it last."""
        with self._lock:
            known = self._answers.get(cluster)
            return known[0] if known is not None else None

    def _line_up(self, cluster: str) -> None:
        one, known = self._wanted.get(cluster), self._answers.get(cluster)
        if one is None or cluster in self._busy:
            return
        if known is None or known[0].exposure != one.exposure or self._clock() >= known[1]:
            self._waiting[cluster] = None

    def _work(self) -> None:
        while (found := self._next()) is not None:
            cluster, one = found
            self._do(cluster, one.exposure, one.source)

    def _next(self) -> tuple[str, _Wanted] | None:
        """The cluster that is tried now; None once it is over."""
        with self._lock:
            while not self._over and (cluster := self._first()) is None:
                self._lock.wait(max(0.0, self._later[0][0] - self._clock()) if self._later else None)
            if self._over or cluster is None:
                return None
            one = self._wanted[cluster]
            self._waiting.pop(cluster)
            self._busy[cluster] = one.source
            return cluster, one

    def _first(self) -> str | None:
        """The first one that waits and whose source has room."""
        while self._later and self._later[0][0] <= self._clock():
            self._line_up(heapq.heappop(self._later)[1])
        busy = Counter(self._busy.values())
        return next((one for one in self._waiting if busy[self._wanted[one].source] < EACH), None)

    def _do(self, cluster: str, one: Exposure, source: str) -> None:
        found = Tried(one, "NotReached", "a bug, told in the log")
        try:
            with contained("probe", cluster):
                found = self._run(one, source)
        except NidusError:
            pass
        if self._kept(cluster, found) and not self._over:
            self._woken(cluster)
            log.line(
                "AddressTried", cluster=cluster, host=one.host, found=found.found or "Exposed", message=found.detail
            )

    def _kept(self, cluster: str, found: Tried) -> bool:
        """Remember an answer, unless another address is wanted by now; whether it is another one than before."""
        with self._lock:
            self._busy.pop(cluster)
            before, asked = self._answers.get(cluster), self._wanted.get(cluster)
            wanted = asked is not None and asked.exposure == found.exposure
            if asked is not None and wanted:
                due = self._clock() + jitter.between(0.8, 1.2) * (ILL if found.found else WELL)
                self._answers[cluster] = (found, due)
                if found.found and due < asked.asked + ASKED:
                    heapq.heappush(self._later, (due, cluster))
            self._line_up(cluster)
            self._lock.notify_all()
        other = before is None or (before[0].exposure, before[0].found) != (found.exposure, found.found)
        return wanted and other
