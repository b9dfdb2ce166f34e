"""Which objects need the server's dry-run (P3): the hot path of a pass in which nothing changed."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from reconciler.model import MISSING, Desired, InventoryEntry, Object, ObjectRef, Observed, Target
from reconciler.plan import paths
from reconciler.plan.fields import owned
from reconciler.plan.mark import ref_of
from reconciler.plan.request import request as request
from reconciler.plan.walk import satisfied

Key = tuple[Target, ObjectRef]
VOLATILE = frozenset({"managedFields", "resourceVersion", "generation"})


def suspects(
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    inventory: Sequence[InventoryEntry],
    settled: Mapping[Key, str],
) -> tuple[Key, ...]:
    """Live objects of ours whose owned fields differ by the cheap walk, or that still carry fields of our last apply nobody
    desires any more; in the order desired. `settled`: `digest(desired, live)` of pairs known to be equal.

    Objects to be created, foreign ones and those being deleted are never suspects: `compute` needs no dry-run for them.
    """
    entries = {(entry.target, entry.ref): entry for entry in inventory}
    found: dict[Key, None] = {}
    for one in desired:
        for obj in one.objects:
            key = (one.layer.target, ref_of(obj))
            seen, entry = observed.get(key), entries.get(key)
            if seen is None or seen.live is None or entry is None or not candidate(entry, seen.live):
                continue
            asked = request(obj, one.layer, seen.live)
            if key in settled and settled[key] == digest(asked, seen.live):
                continue
            if differs(asked, seen.live, entry.fields):
                found[key] = None
    return tuple(found)


def candidate(entry: InventoryEntry, live: Object) -> bool:
    """Whether a live object may be compared at all: not going away, and not a successor under another UID."""
    metadata = live["metadata"]
    return "deletionTimestamp" not in metadata and entry.uid in ("", metadata.get("uid"))


def differs(asked: Object, live: Object, fields: Iterable[str]) -> bool:
    """The cheap walk, both ways: what we ask for, and what we asked for before."""
    return not satisfied(asked, live) or bool(lost(asked, live, fields))


def lost(asked: Object, live: Object, fields: Iterable[str]) -> tuple[str, ...]:
    """Fields of our last confirmed apply that are no longer desired but still live, sorted."""
    ours = owned(asked)
    gone = set(fields).difference(ours)
    if not gone:
        return ()
    return tuple(
        sorted(path for path in gone if not _spoken(path, ours, asked) and paths.get(live, path) is not MISSING)
    )


def _spoken(path: str, ours: Sequence[str], asked: Object) -> bool:
    """Whether what we ask for decides over `path`: something below it, or the whole it is part of (an empty map is no whole)."""
    return any(
        paths.covers(path, one) or (paths.covers(one, path) and paths.get(asked, one) not in ({}, None)) for one in ours
    )


def digest(asked: Object, live: Object) -> str:
    """What `settled` keeps of a pair known to be equal (P3; cheaper than the walk): hex SHA-256 over both, less what
    moves by itself in `live`."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in VOLATILE}
    spoken = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    body = msgspec.json.encode((asked, spoken, metadata), order="sorted")
    return hashlib.sha256(body).hexdigest()
