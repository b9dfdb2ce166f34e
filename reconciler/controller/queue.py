"""The work queue: one key a nested cluster. It coalesces, delays and backs off, and never hands one key to two workers.

A key carries no work (house.md, one-way flow): whoever takes it looks up what is newest then, so the newest revision wins.
"""

import heapq
import random
import threading
import time
from collections.abc import Callable

FIRST, LAST = 1.0, 300.0  # seconds; A5
SOON = 0.1  # seconds; for what follows by itself within moments, such as discovery after a CRD is established


class Queue:
    """Keys waiting for a worker. `add` while a key is being worked on means: once more afterwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: dict[str, None] = {}
        self._again: set[str] = set()
        self._busy: set[str] = set()
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._failures: dict[str, int] = {}
        self._retry: dict[str, float] = {}
        self._closed = False

    def add(self, key: str) -> None:
        """Work on `key` as soon as a worker is free."""
        with self._changed:
            self._due.pop(key, None)
            if key in self._busy:
                self._again.add(key)
            else:
                self._ready[key] = None
            self._changed.notify()

    def add_after(self, key: str, seconds: float) -> None:
        """Work on `key` in `seconds`, or earlier if something else asks; the earliest asked time counts."""
        due = self._clock() + seconds
        with self._changed:
            if self._due.get(key, due + 1) <= due:
                return
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._changed.notify()

    def back_off(self, key: str, first: float = FIRST) -> float:
        """Retry `key` after `first` seconds doubling to 5 min, with jitter (A5); returns the pause in seconds.

        Only retries that were due count: a key that events woke in between keeps the retry it already has, so that a
        burst of events cannot push the next look minutes away.
        """
        now = self._clock()
        with self._changed:
            if self._retry.get(key, 0.0) <= now:
                failures = self._failures.get(key, 0)
                self._failures[key] = failures + 1
                self._retry[key] = now + min(LAST, first * 2.0 ** min(failures, 20)) * random.uniform(0.8, 1.2)
            pause = self._retry[key] - now
        self.add_after(key, pause)
        return pause

    def forget(self, key: str) -> None:
        """The key succeeded, or what it should be changed: its backoff starts anew."""
        with self._changed:
            self._failures.pop(key, None)
            self._retry.pop(key, None)

    def take(self, timeout: float) -> str | None:
        """The next key, or None after `timeout` seconds or once closed. Must be given back with `done`."""
        deadline = self._clock() + timeout
        with self._changed:
            while True:
                self._promote()
                if self._ready and not self._closed:
                    key = next(iter(self._ready))
                    del self._ready[key]
                    self._busy.add(key)
                    return key
                left = min(deadline, self._heap[0][0] if self._heap else deadline) - self._clock()
                if self._closed or self._clock() >= deadline:
                    return None
                self._changed.wait(max(left, 0.0))

    def done(self, key: str) -> None:
        with self._changed:
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self._ready[key] = None
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
            return len(self._ready), len(self._busy)

    def _promote(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue
            del self._due[key]
            if key in self._busy:
                self._again.add(key)
            else:
                self._ready[key] = None
