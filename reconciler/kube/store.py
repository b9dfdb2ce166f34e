"""The cached objects of one selection, encoded, by reference; lists, events and answers change them (R1).

Anybody may label an object as ours, so whole objects are kept only where `whole` says so, which is to say of what an
inventory lists. Of any other the identity is kept, and of no more than FOREIGN of them.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from reconciler.kube import shape
from reconciler.kube.events import Event, Seen
from reconciler.kube.shape import Head
from reconciler.model import Object, ObjectRef

CLUSTER_LABEL = "nidus.dev/cluster"
FOREIGN = 10_000  # objects of one selection that no inventory lists; further ones are announced and not remembered
Whole = Callable[[ObjectRef, str], bool]
"""Whether an object is kept whole, by its reference and the cluster that its label names, "" for none."""
Slim = Callable[[Head, bytes], bytes]
"""What is kept of an object that is kept: b"" for its identity alone."""


class Selection(Struct, frozen=True):
    """What one watch covers: a kind and the labels that must be there, as (key, value); value None = the key alone.

    Without `bodies` only metadata is asked for: nothing of it is ever whole. `more` is the rest of the selector, as the API wants it.
    `optional`: the server may lack the kind; there is no object of it then.
    """

    group: str
    kind: str
    labels: tuple[tuple[str, str | None], ...] = ((CLUSTER_LABEL, None),)
    namespace: str = ""
    bodies: bool = True
    more: str = ""
    optional: bool = False

    @property
    def selector(self) -> str:
        """The selector as the API wants it."""
        parts = (key if value is None else f"{key}={value}" for key, value in self.labels)
        return ",".join(filter(None, (*parts, self.more)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with `labels` is covered."""
        return all(labels.get(key, "") == value if value is not None else key in labels for key, value in self.labels)


class Entry(msgspec.Struct, gc=False):
    """One object: its encoded bytes, b"" where only its identity is kept. `merged_at` > 0 until a watch or list has shown it."""

    raw: bytes
    version: str
    uid: str
    cluster: str
    merged_at: float = 0.0


class Store:
    """The objects of one selection; every method is called under the cache's lock."""

    def __init__(
        self,
        selection: Selection,
        clock: Callable[[], float] = time.monotonic,
        whole: Whole = lambda ref, cluster: True,
        foreign: int = FOREIGN,
        slim: Slim = lambda head, raw: raw,
    ) -> None:
        self.selection = selection
        self._clock = clock
        self._whole = whole
        self._foreign = foreign
        self._slim = slim
        self._bare = 0
        self._used = {CLUSTER_LABEL, *(key for key, _ in selection.labels)}
        self.entries: dict[ObjectRef, Entry] = {}
        self.version = ""
        self.api_version = ""

    def kept(self, head: Head, raw: bytes) -> tuple[Head, bytes]:
        """What of an object that arrives is held in memory: the labels that are used, and its bytes where it is kept whole.
        Takes no lock."""
        labels = {key: value for key, value in head.labels.items() if key in self._used}
        slim = Head(head.ref, head.uid, head.version, labels)
        return slim, self._slim(head, raw) if raw and self._whole(head.ref, labels.get(CLUSTER_LABEL, "")) else b""

    def holds(self, ref: ObjectRef) -> bool:
        """Whether objects like `ref` may be here."""
        mine = self.selection
        return (ref.group, ref.kind) == (mine.group, mine.kind) and mine.namespace in ("", ref.namespace)

    def is_news(self, ref: ObjectRef, version: str) -> bool:
        """Whether `version` of `ref` is newer than the known one, or as new where only its identity is known; for an unknown
        object, newer than the whole watch.

        Otherwise a late answer would bring back an object whose deletion the watch has shown. Versions of one kind may
        be compared as numbers; others count as newer when they differ.
        """
        known = self.entries.get(ref)
        if known and not known.raw and known.version == version:
            return True
        last = known.version if known else self.version
        return version != last if not (version.isdigit() and last.isdigit()) else int(version) > int(last)

    def take(self, event: Event) -> bool:
        """Take an event of the watch. Returns whether it was new."""
        self.version = event.version
        known = self.entries.get(event.seen.ref)
        if event.seen.deleted:
            if known is None:
                return self._bare >= self._foreign  # gone already, or not remembered
            if known.merged_at and number(known.version) > number(event.version):
                return False  # made again by us since
            self.drop(event.seen.ref)
            return True
        if known and number(known.version) >= number(event.version) and event.version.isdigit():
            if known.version == event.version and not known.raw:
                self.put(event.seen.ref, entry_of(event))
            known.merged_at = 0.0
            return False
        self.put(event.seen.ref, entry_of(event))
        return True

    def replace(self, events: Sequence[Event], version: str, began: float) -> list[Seen]:
        """Take a whole list begun at `began`. Returns the changes. What was merged since stays only where it is newer
        than the list."""
        news = self.without_gone(events, version, began)
        for event in events:
            known = self.entries.get(event.seen.ref)
            if known is None or not _newer(known, began, event.version):
                stored = self.put(event.seen.ref, entry_of(event))
                if stored and (known is None or (known.version, known.uid) != (event.version, event.seen.uid)):
                    news.append(event.seen)
        return news

    def without_gone(self, events: Sequence[Event], version: str, began: float) -> list[Seen]:
        """Drop the objects that a whole list begun at `began` lacks. Returns them."""
        self.version = version
        listed = {event.seen.ref for event in events}
        gone = [ref for ref, one in self.entries.items() if ref not in listed and not _newer(one, began, version)]
        news = [self.gone(ref) for ref in gone]
        for ref in gone:
            self.drop(ref)
        return news

    def differing(self, events: Sequence[Event], began: float) -> list[Event]:
        """The listed objects that differ from the known ones, newer or older, without newer ones merged since `began`
        and those that are not remembered. Forgets the content of what no inventory lists any more."""
        known = self.entries
        for ref, held in [*known.items()]:
            if held.raw and not self._whole(ref, held.cluster):
                self.put(ref, msgspec.structs.replace(held, raw=b""))
        return [event for event in events if self._differs(event, known.get(event.seen.ref), began)]

    def _differs(self, event: Event, held: Entry | None, began: float) -> bool:
        if held is not None:
            differs = (held.version, held.uid) != (event.version, event.seen.uid)
            return differs and not _newer(held, began, event.version)
        return self._bare < self._foreign or self._whole(event.seen.ref, event.seen.labels.get(CLUSTER_LABEL, ""))

    def correct(self, ref: ObjectRef, event: Event | None, before: Entry | None) -> list[Seen]:
        """Take the answer of a GET, unless the entry changed since `before`. Returns the changes."""
        known = self.entries.get(ref)
        if known is not before:
            return []
        if event is None or not self.selection.matches(event.seen.labels):
            news = [self.gone(ref)] if known else []
            self.drop(ref)
            return news
        self.put(ref, msgspec.structs.replace(entry_of(event), merged_at=self._clock()))
        same = known is not None and (known.version, known.uid) == (event.version, event.seen.uid)
        return [] if same else [event.seen]

    def gone(self, ref: ObjectRef) -> Seen:
        """The change for a known object that is gone."""
        known = self.entries[ref]
        labels = {key: value or "" for key, value in self.selection.labels}
        return Seen(
            ref, known.uid, labels | ({CLUSTER_LABEL: known.cluster} if known.cluster else {}), True, self.version
        )

    def put(self, ref: ObjectRef, entry: Entry) -> bool:
        """Store an entry. Returns False where it is the identity of one object too many."""
        self.drop(ref)
        if not entry.raw:
            if self._bare >= self._foreign:
                return False
            self._bare += 1
        self.entries[ref] = entry
        return True

    def drop(self, ref: ObjectRef) -> None:
        """Forget an entry, if it is there."""
        known = self.entries.pop(ref, None)
        if known and not known.raw:
            self._bare -= 1

    def decoded(self, entry: Entry) -> Object:
        """The object of an entry."""
        head = {"kind": self.selection.kind, "apiVersion": self.api_version}  # items of a list leave both out
        return {**head, **shape.body(entry.raw, "get")}


def entry_of(event: Event) -> Entry:
    """The entry for an event."""
    return Entry(event.raw, event.version, event.seen.uid, event.seen.labels.get(CLUSTER_LABEL, ""))


def _newer(known: Entry, began: float, version: str) -> bool:
    """Whether an entry that was merged while a list was under way is newer than the list, or its object in it."""
    return known.merged_at >= began and number(known.version) > number(version)


def number(version: str) -> int:
    """A resourceVersion to compare; 0 for one that is no number."""
    return int(version) if version.isdigit() else 0
