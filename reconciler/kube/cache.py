"""The live cache of the host (R1): a reflector per selection; answers to our own writes are merged in.

Memory grows with the objects that are kept whole: their encoded bytes and a small key each. Of the others that are
selected only the identity is kept, and of no more than FOREIGN of each selection. An object that is not in the cache may exist,
and one in the cache may be gone: each kind is listed anew from time to time, and `doubt` reads an object again that the
host said is absent.
"""

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from reconciler.errors import ApiError
from reconciler.kube.client import Client
from reconciler.kube.events import Event, Seen, event_of
from reconciler.kube.reflector import EVERY, SILENCE, Reflector
from reconciler.kube.shape import Head
from reconciler.kube.store import CLUSTER_LABEL, FOREIGN, Entry, Selection, Slim, Store, Whole, number
from reconciler.model import Object, ObjectRef
from reconciler.plan.mark import ref_of

__all__ = ["Cache", "Selection"]
JOIN = 3.0  # seconds the threads have to end, all together
Failed = Callable[[str, Exception], None]
"""Hears of an exception that is none of ours, and where it was met."""


class Cache:
    """Objects of the host by reference; thread-safe. `changed` is called for every change the cache did not know; `whole`,
    by several threads, for every object that arrives: whether it is kept whole.

    `changed` gets a Seen (ref, uid, labels, deleted) from a reflector's thread and must return at once. Every selection is
    listed anew every `every` seconds, and after `silence` seconds in which its watch said nothing. `slim` says what of a whole
    object is kept, for `content`; `before` is called before a list or a comparison is taken, while `stale_since` tells of its loss.
    """

    def __init__(
        self,
        client: Client,
        selections: Sequence[Selection],
        changed: Callable[[Seen], None],
        *,
        whole: Whole = lambda ref, cluster: True,
        slim: Slim = lambda head, raw: raw,
        before: Callable[[], None] = lambda: None,
        every: float = EVERY,
        silence: float = SILENCE,
        failed: Failed = lambda what, error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._client = client
        self._stores = [Store(selection, clock, whole, FOREIGN, slim) for selection in selections]
        sinks = [_Sink(store, self._lock, client, changed, failed, before) for store in self._stores]
        self.reflectors = [
            Reflector(client, sink.store.selection, sink, every=every, silence=silence, failed=failed, clock=clock)
            for sink in sinks
        ]
        self._sinks = sinks

    def start(self) -> None:
        """Start a thread per selection."""
        for reflector in self.reflectors:
            reflector.start()

    def stop(self) -> None:
        """End every watch and wait a moment for the threads; what is cached stays readable."""
        for reflector in self.reflectors:
            reflector.stop()
        ends = time.monotonic() + JOIN
        for reflector in self.reflectors:
            reflector.join(max(0.0, ends - time.monotonic()))

    def wait_synced(self, deadline: float) -> bool:
        """Wait up to `deadline` seconds until every selection was listed once; whether it was."""
        ends = time.monotonic() + deadline
        return all(reflector.synced.wait(max(0.0, ends - time.monotonic())) for reflector in self.reflectors)

    def unsynced(self) -> tuple[tuple[str, str], ...]:
        """The kinds that were not listed yet, each with why, "" where the server said nothing."""
        waiting = [
            (one, sink) for one, sink in zip(self.reflectors, self._sinks, strict=True) if not one.synced.is_set()
        ]
        return tuple((sink.store.selection.kind, one.failure) for one, sink in waiting)

    def refresh(self, deadline: float) -> bool:
        """List every selection anew within `deadline` seconds. Returns whether all were listed. Differences are
        announced as usual."""
        ends = time.monotonic() + deadline
        asked = [(reflector, reflector.ask()) for reflector in self.reflectors]
        return all(reflector.wait_listed(turn, max(0.0, ends - time.monotonic())) for reflector, turn in asked)

    def doubt(self, ref: ObjectRef) -> None:
        """Read `ref` again and correct the cache: the host has just said that it is absent. Does nothing where the
        cache does not have it.

        Where the read fails, the selection is listed anew soon.
        """
        for sink, reflector in zip(self._sinks, self.reflectors, strict=True):
            with self._lock:
                held = sink.store.entries.get(ref) if sink.store.holds(ref) else None
            if held is None:
                continue
            try:
                sink.reread(ref, held)
            except ApiError:
                reflector.ask()

    @property
    def stale_since(self) -> float | None:
        """Since when (monotonic seconds) some selection has no watch, None while all have one."""
        lost = [reflector.lost_at for reflector in self.reflectors if reflector.lost_at is not None]
        return min(lost) if lost else None

    def get(self, ref: ObjectRef) -> Object | None:
        """Return the object as last seen; None means only that the cache does not have it whole."""
        found = self._newest(ref)
        return found[0].decoded(found[1]) if found and found[1].raw else None

    def content(self, ref: ObjectRef) -> bytes:
        """What `slim` left of the object as last seen; b"" where nothing is cached."""
        found = self._newest(ref)
        return found[1].raw if found else b""

    def cluster(self, ref: ObjectRef) -> str:
        """The cluster that the object's label named when it was last seen, "" where it named none or was not seen."""
        found = self._newest(ref)
        return found[1].cluster if found else ""

    def merge(self, obj: Object) -> None:
        """Take the answer to one of our own reads or writes where it is newer than what a watch has shown."""
        ref, meta = ref_of(obj), obj["metadata"]
        labels = meta.get("labels") or {}
        stores = [store for store in self._of_kind(ref) if store.selection.matches(labels)]
        if not stores:
            return
        head = Head(ref, meta["uid"], str(meta["resourceVersion"]), labels)
        raw = msgspec.json.encode(obj)
        for store in stores:
            slim, content = store.kept(head, raw)
            entry = Entry(content, head.version, head.uid, slim.labels.get(CLUSTER_LABEL, ""), self._clock())
            with self._lock:
                if store.is_news(ref, head.version):
                    store.put(ref, entry)

    def __len__(self) -> int:
        return sum(len(store.entries) for store in self._stores)

    def _newest(self, ref: ObjectRef) -> tuple[Store, Entry] | None:
        with self._lock:
            found = [(store, entry) for store in self._of_kind(ref) if (entry := store.entries.get(ref))]
        return max(found, key=lambda pair: number(pair[1].version), default=None)

    def _of_kind(self, ref: ObjectRef) -> list[Store]:
        return [store for store in self._stores if store.holds(ref)]


class _Sink:
    """Stores what a reflector finds, under the cache's lock, and announces changes outside the lock."""

    def __init__(
        self,
        store: Store,
        lock: threading.Lock,
        client: Client,
        changed: Callable[[Seen], None],
        failed: Failed,
        before: Callable[[], None],
    ) -> None:
        self.store = store
        self._lock = lock
        self._client = client
        self._changed = changed
        self._failed = failed
        self._before = before

    def kept(self, head: Head, raw: bytes) -> tuple[Head, bytes]:
        return self.store.kept(head, raw)

    def replace(self, events: Sequence[Event], version: str, began: float) -> None:
        self._before()
        found = self._client.resource(self.store.selection.group, self.store.selection.kind)
        with self._lock:
            self.store.api_version = found.api_version
            news = self.store.replace(events, version, began)
        self._tell(news)

    def missing(self, began: float) -> None:
        self._before()
        with self._lock:
            news = self.store.replace((), "", began)
        self._tell(news)

    def compare(self, events: Sequence[Event], version: str, began: float) -> list[ObjectRef]:
        self._before()
        with self._lock:
            news = self.store.without_gone(events, version, began)
            differing = self.store.differing(events, began)
        self._tell(news)
        return [event.seen.ref for event in differing]

    def reread(self, ref: ObjectRef, held: Entry | None = None) -> None:
        with self._lock:
            before = held or self.store.entries.get(ref)
        found = self._client.read(ref)
        event = event_of(*self.store.kept(*found), deleted=False) if found else None
        with self._lock:
            news = self.store.correct(ref, event, before)
        self._tell(news)

    def follow(self, event: Event) -> None:
        with self._lock:
            news = self.store.take(event)
        self._tell([event.seen] if news else [])

    def _tell(self, news: Sequence[Seen]) -> None:
        for seen in news:
            try:
                self._changed(seen)
            except Exception as error:  # a bug there must not stop the other announcements
                self._failed(f"hearing of {seen.ref}", error)
