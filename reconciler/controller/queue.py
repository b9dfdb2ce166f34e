"""The work queue: one key a nested cluster. It merges, orders and delays keys, backs off, and never gives one key to
two workers.

A key holds no work: the worker that takes it looks up the newest state, so the newest revision wins.

Clusters whose work has begun, keys from events and small changes go first; a change of many clusters at once (`bulk`)
and looks at what only a human can end get the other workers. Within each, sources take turns, and where there are several,
none holds more than three quarters of the workers. Clusters whose API server did not answer at their last look share a quarter
of the workers (A7); one that waits for its API server or for a render counts as none of them.
"""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable

from reconciler import jitter
from reconciler.controller.lane import Lane

FIRST, LAST = 1.0, 300.0  # seconds; A5
EARLY, SOONER = 600.0, 15.0  # for the first ten minutes of a failure no retry is further away than 15 s (A5)
SOON = 0.1  # seconds; for what comes within a few seconds, such as discovery after a CRD is established
SPARE, MOST = 3, 64  # further threads for each worker, and in all: they replace workers that a hung API server holds
GLANCE = 0.25  # seconds between two looks whether work that waits may begin since other work is held
TURNS = 4  # every fourth key is taken from the bulk, so that a stream of events cannot starve it


def threads(workers: int) -> int:
    """Threads that take keys of a queue with so many workers."""
    return workers + min(workers * SPARE, MOST)


class Queue:
    """Keys waiting for a worker. `add` during the work on a key means: once more afterwards."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        workers: int = 8,
        held: Callable[[str], bool] = lambda key: False,
        source: Callable[[str], str] = lambda key: "",
        several: bool = False,
    ) -> None:
        """At most `workers` keys are worked on at once, not counting those of which `held` says that they wait for an answer.

        `source` tells whose a key is, `several` whether there is more than one source.
        """
        self._clock, self._workers, self._held, self._source = clock, workers, held, source
        self._share = max(1, workers // 4)
        self._kept = self._share if several else 0
        self._changed = threading.Condition()
        self._first, self._bulk = Lane(), Lane()
        self._turn = 0
        self._again: set[str] = set()
        self._busy: dict[str, str] = {}
        self._silent: set[str] = set()
        self._due: dict[str, tuple[float, bool]] = {}
        self._heap: list[tuple[float, str]] = []
        self._failures: dict[str, int] = {}
        self._failing: dict[str, float] = {}
        self._retry: dict[str, float] = {}
        self._closed = False

    def add(self, key: str, *, bulk: bool = False) -> None:
        """Work on `key` as soon as a worker is free; `bulk`: after everything that was not asked for in bulk."""
        with self._changed:
            self._due.pop(key, None)
            self._put(key, bulk)
            self._changed.notify()

    def add_after(self, key: str, seconds: float, *, bulk: bool = False) -> None:
        """Work on `key` in `seconds`, or earlier if something else asks; the earliest asked time counts."""
        due = self._clock() + seconds
        with self._changed:
            known = self._due.get(key)
            if known is not None and known[0] <= due:
                return
            self._due[key] = (due, bulk)
            heapq.heappush(self._heap, (due, key))
            self._changed.notify()

    def back_off(self, key: str, first: float = FIRST, *, bulk: bool = False) -> float:
        """Retry `key` after `first` seconds doubling to 5 min, with jitter (A5); returns the pause in seconds.

        Only retries that were due count: a key that events woke in between keeps the retry it already has, so that a
        burst of events cannot push the next look minutes away.
        """
        now = self._clock()
        with self._changed:
            if self._retry.get(key, 0.0) <= now:
                failures = self._failures.get(key, 0)
                self._failures[key] = failures + 1
                longest = SOONER if now - self._failing.setdefault(key, now) < EARLY else LAST
                self._retry[key] = now + min(longest, first * 2.0 ** min(failures, 20)) * jitter.between(0.8, 1.2)
            pause = self._retry[key] - now
        self.add_after(key, pause, bulk=bulk)
        return pause

    def forget(self, key: str) -> None:
        """The key succeeded, or its cluster got another bundle: its backoff starts anew."""
        with self._changed:
            for table in (self._failures, self._failing, self._retry):
                table.pop(key, None)

    def unanswered(self, key: str, is_so: bool) -> None:
        """Whether the API server of this cluster did not answer at the last look."""
        with self._changed:
            if is_so:
                self._silent.add(key)
            else:
                self._silent.discard(key)
                self._changed.notify()

    def drop(self, key: str) -> None:
        """The cluster no longer exists: forget it."""
        self.forget(key)
        self.unanswered(key, False)
        with self._changed:
            self._due.pop(key, None)
            for lane in (self._first, self._bulk):
                lane.discard(key)
            self._again.discard(key)

    def take(self, timeout: float) -> str | None:
        """The next key, or None after `timeout` seconds or once closed. Must be given back with `done`."""
        deadline = self._clock() + timeout
        with self._changed:
            while True:
                self._promote()
                key = self._next() if not self._closed else None
                if key is not None:
                    return key
                left = min(deadline, self._heap[0][0] if self._heap else deadline) - self._clock()
                if self._closed or self._clock() >= deadline:
                    return None
                waits = bool(self._first or self._bulk)
                self._changed.wait(max(min(left, GLANCE) if waits else left, 0.0))

    def done(self, key: str) -> None:
        """The worker is through with `key`."""
        with self._changed:
            self._busy.pop(key, None)
            if key in self._again:
                self._again.discard(key)
                self._put(key, False)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def depth(self) -> tuple[int, int]:
        """(keys waiting for a worker now, keys being worked on)."""
        with self._changed:
            return len(self._first) + len(self._bulk), len(self._busy)

    def _put(self, key: str, bulk: bool) -> None:
        if key in self._busy:
            self._again.add(key)
        elif not bulk:
            self._bulk.discard(key)
            self._first.add(key, self._source(key))
        elif key not in self._first:
            self._bulk.add(key, self._source(key))

    def _next(self) -> str | None:
        """Take the next key out; None where none may be worked on now."""
        working = Counter(source for key, source in self._busy.items() if not self._held(key))
        if working.total() >= self._workers:
            return None
        full = len(self._busy.keys() & self._silent) >= self._share
        sated = self._sated(working)

        def may(key: str) -> bool:
            return not (full and key in self._silent)

        lanes = (self._first, self._bulk) if (self._turn + 1) % TURNS else (self._bulk, self._first)
        for lane in lanes:
            taken = lane.take(sated, may)
            if taken is not None:
                key, source = taken
                self._busy[key] = source
                self._turn += 1
                return key
        return None

    def _sated(self, working: Counter[str]) -> set[str]:
        """The sources that may have no further worker or thread while there are others; one alone may have them all."""
        if not self._kept:
            return set()
        busy = Counter(self._busy.values())
        most, in_all = max(1, self._workers - self._kept), max(1, threads(self._workers) - self._kept)
        return {source for source in busy if working[source] >= most or busy[source] >= in_all}

    def _promote(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            known = self._due.get(key)
            if known is None or known[0] != due:
                continue
            del self._due[key]
            self._put(key, known[1])
