"""The one live cache of the host (R1): a reflector per selection, answers to our own writes merged in.

Memory grows with the selected objects: their encoded bytes and a small key each, no trees. A miss is not an absence.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from reconciler.kube.client import Client
from reconciler.kube.reflector import Event, Reflector, Seen
from reconciler.model import Object, ObjectRef
from reconciler.plan.mark import ref_of

CLUSTER_LABEL = "nidus.dev/cluster"


@dataclass(frozen=True, slots=True)
class Selection:
    """What one watch covers: a kind and the labels that must be there, as (key, value); value None = the key alone."""

    group: str
    kind: str
    labels: tuple[tuple[str, str | None], ...] = ((CLUSTER_LABEL, None),)
    namespace: str = ""

    @property
    def selector(self) -> str:
        """The selector as the API wants it."""
        return ",".join(key if value is None else f"{key}={value}" for key, value in self.labels)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with `labels` is covered."""
        return all(labels.get(key, "") == value if value is not None else key in labels for key, value in self.labels)


class _Entry(msgspec.Struct, gc=False):
    """One object: its encoded bytes and what is asked for often. `merged_at` > 0 until a watch or list has shown it."""

    raw: bytes
    version: str
    uid: str
    cluster: str
    merged_at: float = 0.0


class Cache:
    """Objects of the host by reference; thread-safe. `changed` is called for every change that is news to the cache.

    `changed` gets a Seen (ref, uid, labels, deleted) from a reflector's thread and must return at once.
    """

    def __init__(self, client: Client, selections: Sequence[Selection], changed: Callable[[Seen], None]) -> None:
        self._lock = threading.Lock()
        self._client = client
        self._changed = changed
        self._stores = [_Store(selection) for selection in selections]
        self._reflectors = [
            Reflector(client, store.selection, self._follower(store), self._replacer(store)) for store in self._stores
        ]

    def start(self) -> None:
        """Start a thread per selection."""
        for reflector in self._reflectors:
            reflector.start()

    def stop(self) -> None:
        """End every watch; what is cached stays readable."""
        for reflector in self._reflectors:
            reflector.stop()

    def wait_synced(self, deadline: float) -> bool:
        """Wait up to `deadline` seconds until every selection was listed once; whether it was."""
        ends = time.monotonic() + deadline
        return all(reflector.synced.wait(max(0.0, ends - time.monotonic())) for reflector in self._reflectors)

    @property
    def stale_since(self) -> float | None:
        """Since when (monotonic seconds) some selection is without a watch, None while all are followed."""
        lost = [reflector.lost_at for reflector in self._reflectors if reflector.lost_at is not None]
        return min(lost) if lost else None

    def get(self, ref: ObjectRef) -> Object | None:
        """Return the object as last seen; None is only a miss."""
        with self._lock:
            found = [(store, entry) for store in self._of_kind(ref) if (entry := store.entries.get(ref))]
        return None if not found else _decoded(*max(found, key=lambda pair: _number(pair[1].version)))

    def covers(self, thing: ObjectRef | Object) -> bool:
        """Whether a synced watch shows this object (by its labels), or some objects of this reference's kind."""
        ref = thing if isinstance(thing, ObjectRef) else ref_of(thing)
        stores = [s for s, r in zip(self._stores, self._reflectors, strict=True) if s.holds(ref) and r.synced.is_set()]
        if isinstance(thing, ObjectRef):
            return bool(stores)
        labels = thing["metadata"].get("labels") or {}
        return any(store.selection.matches(labels) for store in stores)

    def of(self, cluster: str) -> list[Object]:
        """Every cached object labelled for `cluster`, in the order of references."""
        with self._lock:
            found = {ref: (s, s.entries[ref]) for s in self._stores for ref in s.clusters.get(cluster, ())}
        return [_decoded(*found[ref]) for ref in sorted(found)]

    def merge(self, obj: Object) -> None:
        """Take the answer to one of our own reads or writes where it is newer than what a watch has shown."""
        ref, meta = ref_of(obj), obj["metadata"]
        labels = meta.get("labels") or {}
        version = str(meta["resourceVersion"])
        entry = _Entry(msgspec.json.encode(obj), version, meta["uid"], labels.get(CLUSTER_LABEL, ""), time.monotonic())
        with self._lock:
            for store in self._of_kind(ref):
                if store.selection.matches(labels) and store.is_news(ref, version):
                    store.put(ref, entry)

    def __len__(self) -> int:
        return sum(len(store.entries) for store in self._stores)

    def _of_kind(self, ref: ObjectRef) -> list["_Store"]:
        return [store for store in self._stores if store.holds(ref)]

    def _follower(self, store: "_Store") -> Callable[[Event], None]:
        def follow(event: Event) -> None:
            with self._lock:
                news = store.take(event)
            if news:
                self._changed(event.seen)

        return follow

    def _replacer(self, store: "_Store") -> Callable[[Sequence[Event], str, float], None]:
        def replace(events: Sequence[Event], version: str, began: float) -> None:
            found = self._client.resource(store.selection.group, store.selection.kind)
            with self._lock:
                store.api_version = found.api_version
                news = store.replace(events, version, began)
            for seen in news:
                self._changed(seen)

        return replace


class _Store:
    """The objects of one selection; every method is called under the cache's lock."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.entries: dict[ObjectRef, _Entry] = {}
        self.clusters: dict[str, set[ObjectRef]] = {}
        self.version = ""
        self.api_version = ""

    def holds(self, ref: ObjectRef) -> bool:
        """Whether objects like `ref` may be here."""
        mine = self.selection
        return (ref.group, ref.kind) == (mine.group, mine.kind) and mine.namespace in ("", ref.namespace)

    def is_news(self, ref: ObjectRef, version: str) -> bool:
        """Whether `version` of `ref` is newer than what is known; of an unknown object, newer than the whole watch.

        Otherwise a late answer would bring back what the watch has shown deleted. Versions of one kind may be compared as
        numbers; ones that are no numbers count as news when they differ.
        """
        known = self.entries.get(ref)
        last = known.version if known else self.version
        return version != last if not (version.isdigit() and last.isdigit()) else int(version) > int(last)

    def take(self, event: Event) -> bool:
        """Take an event of the watch; whether it says anything new."""
        self.version = event.version
        known = self.entries.get(event.seen.ref)
        if event.seen.deleted:
            if known is None or (known.merged_at and _number(known.version) > _number(event.version)):
                return False  # gone already, or made again by us since
            self.drop(event.seen.ref)
            return True
        if known and _number(known.version) >= _number(event.version) and event.version.isdigit():
            known.merged_at = 0.0
            return False
        self.put(event.seen.ref, _entry(event))
        return True

    def replace(self, events: Sequence[Event], version: str, began: float) -> list[Seen]:
        """Take a whole list begun at `began`; what changed by it. Only what was merged since then survives an absence."""
        self.version = version
        listed = {event.seen.ref: event for event in events}
        gone = [ref for ref, entry in self.entries.items() if ref not in listed and entry.merged_at < began]
        news = [Seen(ref, self.entries[ref].uid, _labels(self.entries[ref]), True) for ref in gone]
        for ref in gone:
            self.drop(ref)
        for ref, event in listed.items():
            known = self.entries.get(ref)
            if known is None or (known.version != event.version and known.merged_at < began):
                self.put(ref, _entry(event))
                news.append(event.seen)
        return news

    def put(self, ref: ObjectRef, entry: _Entry) -> None:
        """Store an entry under its cluster."""
        self.drop(ref)
        self.entries[ref] = entry
        if entry.cluster:
            self.clusters.setdefault(entry.cluster, set()).add(ref)

    def drop(self, ref: ObjectRef) -> None:
        """Forget an entry, if it is there."""
        known = self.entries.pop(ref, None)
        if known and known.cluster:
            refs = self.clusters[known.cluster]
            refs.discard(ref)
            if not refs:
                del self.clusters[known.cluster]


def _entry(event: Event) -> _Entry:
    return _Entry(event.raw, event.version, event.seen.uid, event.seen.labels.get(CLUSTER_LABEL, ""))


def _labels(entry: _Entry) -> dict[str, str]:
    """Labels of a dropped object, decoded late: they are needed for what is gone only."""
    decoded = msgspec.json.decode(entry.raw)
    return dict(decoded["metadata"].get("labels") or {})


def _decoded(store: _Store, entry: _Entry) -> Object:
    obj: dict[str, object] = msgspec.json.decode(entry.raw)
    obj.setdefault("kind", store.selection.kind)  # items of a list leave both out
    obj.setdefault("apiVersion", store.api_version)
    return obj


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
