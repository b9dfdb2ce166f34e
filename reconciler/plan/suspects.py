"""Which objects need the server's dry-run (P3). Most of a pass without changes is spent here."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from reconciler.model import MISSING, Desired, InventoryEntry, Layer, Object, ObjectRef, Observed, Target
from reconciler.plan import paths
from reconciler.plan.fields import owned
from reconciler.plan.mark import entries_of, ref_of, remade
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
    """Live objects of ours whose owned fields differ (`plan.walk`), or that still have fields of our last apply that
    are no longer desired; in the order desired. `settled`: `digest(desired, live)` of pairs known to be equal.

    Objects to be created, foreign ones and those being deleted are never suspects: `compute` needs no dry-run for them.
    """
    entries = entries_of(inventory, observed)
    found = []
    for key, (layer, obj) in firsts(desired).items():
        seen, entry = observed.get(key), entries.get(key)
        if (
            seen is None
            or seen.live is None
            or seen.unknown
            or seen.unserved
            or entry is None
            or not candidate(entry, seen.live)
        ):
            continue
        asked = request(obj, layer, seen.live, seen.driven)
        if key in settled and settled[key] == digest(asked, seen.live):
            continue
        if differs(asked, seen.live, () if remade(entry, seen.live) else entry.fields):
            found.append(key)
    return tuple(found)


def firsts(desired: Sequence[Desired]) -> dict[Key, tuple[Layer, Object]]:
    """Every desired object with its layer. Of one that two layers name, the first has it, as `compute` plans it; what the second
    would make of it is asked of no server."""
    found: dict[Key, tuple[Layer, Object]] = {}
    for one in desired:
        for obj in one.objects:
            found.setdefault((one.layer.target, ref_of(obj)), (one.layer, obj))
    return found


def candidate(entry: InventoryEntry, live: Object) -> bool:
    """Whether a live object may be compared: it is not being deleted, and has the UID we know, one we do not know yet, or one that the
    engine gave it (`mark.remade`)."""
    metadata = live["metadata"]
    known = entry.state == "intended" or entry.uid in ("", metadata.get("uid")) or remade(entry, live)
    return "deletionTimestamp" not in metadata and known


def differs(asked: Object, live: Object, fields: Iterable[str]) -> bool:
    """Whether the object differs by `plan.walk`: in desired fields, or in fields desired before."""
    if not satisfied(asked, live):
        return True
    wanted, before = owned(asked), set(fields)
    return bool(unclaimed(asked, wanted, before)) or bool(_lost(asked, wanted, live, before))


def unclaimed(asked: Object, wanted: Iterable[str], confirmed: Iterable[str]) -> tuple[str, ...]:
    """The desired fields (`wanted`, of `asked`) that no confirmed apply made ours (A1): neither they, nor a field above
    or below them. A null owns nothing."""
    before = frozenset(confirmed)
    missing = [path for path in wanted if path not in before]
    if not missing:
        return ()
    ours, values = paths.Index(before), paths.Values(asked)
    return tuple(path for path in missing if not ours.touches(path) and values.get(path) is not None)


def lost(asked: Object, live: Object, fields: Iterable[str]) -> tuple[str, ...]:
    """Fields of our last confirmed apply that are no longer desired but still live, sorted."""
    return _lost(asked, owned(asked), live, set(fields))


def _lost(asked: Object, wanted: Sequence[str], live: Object, before: set[str]) -> tuple[str, ...]:
    gone = before.difference(wanted)
    if not gone:
        return ()
    ours, values, there = paths.Index(wanted), paths.Values(asked), paths.Values(live)
    return tuple(sorted(path for path in gone if not _spoken(path, ours, values) and there.get(path) is not MISSING))


def _spoken(path: str, ours: paths.Index, asked: paths.Values) -> bool:
    """Whether desired fields determine `path`: a field below it, or a whole value above it (an empty map is not
    whole)."""
    return path in ours.above or any(asked.get(one) not in ({}, None) for one in ours.over(path))


def digest(asked: Object, live: Object) -> str:
    """The key of a pair known to be equal (P3): hex SHA-256 over both, without fields of `live` that change by
    themselves."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in VOLATILE}
    spoken = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    body = msgspec.json.encode((asked, spoken, metadata), order="sorted")
    return hashlib.sha256(body).hexdigest()
