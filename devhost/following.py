"""Two threads every actor is made of: a reflector that mirrors a kind by list and watch, and workers on a queue of keys."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from devhost.api import ApiError, Client, Object
from devhost.errors import HostError

LOG = logging.getLogger("devhost.actors")
K = TypeVar("K", bound=Hashable)
Seen = Callable[[str, Object], None]
"""Called with ADDED, MODIFIED or DELETED and the object; MISSING for one that a new list no longer has."""


class Reflector:
    """A live copy of one kind (`items`, by (namespace, name)); `seen` is called after each change of it."""

    def __init__(
        self, client: Client, api: str, kind: str, seen: Seen, stop: threading.Event, labels: str = ""
    ) -> None:
        self.items: dict[tuple[str, str], Object] = {}
        self.synced = threading.Event()
        self._client, self._api, self._kind, self._labels = client, api, kind, labels
        self._seen, self._stop = seen, stop
        self._version = ""

    def start(self) -> Reflector:
        """Start the thread; `synced` is set after the first list."""
        threading.Thread(target=self._run, name=f"follow {self._kind}", daemon=True).start()
        return self

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
            except ApiError as error:
                self._version = ""  # a server that went away may come back with other storage
                self._stop.wait(0.2 if error.status == 410 else 0.5)

    def _list(self) -> None:
        answer = self._client.list(self._api, self._kind, labels=self._labels)
        live = {key_of(item): item for item in answer["items"]}
        gone = [self.items.pop(key) for key in set(self.items) - set(live)]
        self.items.update(live)
        for item in live.values():
            self._seen("ADDED", item)
        for item in gone:
            self._seen("MISSING", item)
        self._version = answer["metadata"]["resourceVersion"]
        self.synced.set()

    def _watch(self) -> None:
        for event, item in self._client.watch(self._api, self._kind, self._version, labels=self._labels):
            self._version = item["metadata"]["resourceVersion"]
            if self._stop.is_set():
                return
            if event == "BOOKMARK":
                continue
            if event == "DELETED":
                self.items.pop(key_of(item), None)
            else:
                self.items[key_of(item)] = item
            self._seen(event, item)


class Workers(Generic[K]):
    """Threads that call `reconcile(key)` for every key added: one call per key at a time, repeats coalesced.

    `reconcile` returns None, or after how many seconds to be called again. A HostError (a refusal of the API
    server is one) means another try, later each time (0.2 s to 10 s).
    """

    def __init__(
        self, name: str, reconcile: Callable[[K], float | None], stop: threading.Event, threads: int = 1
    ) -> None:
        self._name, self._reconcile, self._stop = name, reconcile, stop
        self._threads = threads
        self._due: list[tuple[float, int, K]] = []
        self._busy: set[K] = set()
        self._again: set[K] = set()
        self._planned: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._count = 0
        self._lock = threading.Condition()

    def start(self) -> Workers[K]:
        """Start the threads."""
        for number in range(self._threads):
            threading.Thread(target=self._run, name=f"{self._name} {number}", daemon=True).start()
        return self

    def add(self, key: K, after: float = 0.0) -> None:
        """Ask for a call, `after` seconds from now; an earlier request for the same key stands."""
        with self._lock:
            due = time.monotonic() + after
            if key in self._planned and self._planned[key] <= due:
                return
            self._planned[key] = due
            self._count += 1
            heapq.heappush(self._due, (due, self._count, key))
            self._lock.notify()

    def _run(self) -> None:
        while not self._stop.is_set():
            key = self._next()
            if key is None:
                continue
            after = self._call(key)
            with self._lock:
                self._busy.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    after = 0.0
            if after is not None:
                self.add(key, after)

    def _next(self) -> K | None:
        with self._lock:
            wait = self._due[0][0] - time.monotonic() if self._due else 1.0
            if wait > 0:
                self._lock.wait(min(wait, 1.0))
                return None
            due, _, key = heapq.heappop(self._due)
            if self._planned.get(key) != due:
                return None  # overtaken by an earlier request
            del self._planned[key]
            if key in self._busy:
                self._again.add(key)
                return None
            self._busy.add(key)
            return key

    def _call(self, key: K) -> float | None:
        try:
            after: float | None = self._reconcile(key)
        except HostError as error:
            tries = self._failures[key] = self._failures.get(key, 0) + 1
            LOG.info("%s %s: %s; try %d", self._name, key, error, tries)
            return min(10.0, 0.2 * 2.0 ** min(tries - 1, 6))
        except Exception:
            LOG.exception("%s %s", self._name, key)
            return 10.0
        self._failures.pop(key, None)
        return after


def key_of(item: Object) -> tuple[str, str]:
    """Return (namespace, name) of an object; the namespace is empty for cluster-scoped ones."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
