"""Computes the inventory (A3): the entries to save before a plan is executed, and those that its results confirm.
Pure."""

from collections.abc import Iterable, Mapping, Sequence

from reconciler.model import DESTRUCTIVE, Change, EntryState, InventoryEntry, ObjectRef, Plan, Result, Target, replace
from reconciler.plan import frozen, once

Key = tuple[Target, ObjectRef]
Entries = tuple[InventoryEntry, ...]
SETTLED = frozenset({"Gone", "NotOwner", "Kept"})
CONFIRMED = frozenset({"created", "configured", "adopted", "replaced"})


def intend(entries: Entries, changes: Iterable[Change], salt: bytes) -> Entries:
    """The entries to save before the changes are sent: `intended` for every create and replace, `deleting` for every
    delete. A known entry keeps its UID: if the answer is lost, the object with that UID or one with our nonce is ours
    (A6). An entry found by a selector keeps its state: the object was never ours (D4). `salt` hashes what a Secret is to hold."""
    known = {(entry.target, entry.ref): entry for entry in entries}
    for change in changes:
        key = (change.target, change.ref)
        if change.action in ("create", "replace"):
            new = InventoryEntry(change.target, change.ref, change.layer, "", "intended")
            entry = known.get(key, new)
            known[key] = replace(entry, state="intended", once=frozen.proof(change.desired, salt) or entry.once)
        elif change.action in DESTRUCTIVE and key in known and known[key].state != "claimed":
            known[key] = replace(known[key], state="deleting")
    return _sorted(known.values())


def confirm(entries: Entries, plan: Plan, results: Sequence[Result]) -> Entries:
    """The entries after the results: with UIDs and fields of applied objects, without objects that are gone or that
    somebody else made in our place (A2), even where they carry our marks now. Any other failure changes no entry."""
    known = {(entry.target, entry.ref): entry for entry in entries}
    for result in results:
        key = (result.change.target, result.change.ref)
        if result.outcome in CONFIRMED or (result.outcome == "unchanged" and result.uid):
            mark = once.mark(result.change.desired, result.live)
            known[key] = InventoryEntry(*key, result.change.layer, result.uid, "owned", result.fields, mark)
        elif result.outcome == "unchanged" and result.live is not None and key in known:
            known[key] = replace(known[key], once=once.seen(known[key].once, result.live))
        elif result.outcome == "deleted" or result.reason == "CreatedMeanwhile":
            known.pop(key, None)
    for ref in _settled(plan):
        known.pop(ref, None)
    for ref in _doubles(plan, known):
        known.pop(ref, None)
    return _sorted(known.values())


def retire(entries: Entries, kept: Iterable[Key]) -> Entries:
    """The entries of a removed cluster with policy Retain: what stays on the host, so that adding the cluster again
    adopts it by UID (D2)."""
    stays = set(kept)
    state: EntryState = "retained"
    return _sorted(replace(entry, state=state) for entry in entries if (entry.target, entry.ref) in stays)


def united(known: Entries, stored: Entries) -> Entries:
    """The entries of both, where it is not known whether the stored ones are older or newer (a host restored from a
    backup).

    None is lost: losing inventory is never permission to delete (A3). Where they differ in the UID of an object, the
    entry becomes `intended` again, and only an object with our marks and nonce makes it owned.
    """
    found = {(entry.target, entry.ref): entry for entry in stored}
    for entry in known:
        other = found.get((entry.target, entry.ref))
        found[entry.target, entry.ref] = entry if other is None or other.uid == entry.uid else _doubted(entry, other)
    return _sorted(found.values())


def _doubted(one: InventoryEntry, other: InventoryEntry) -> InventoryEntry:
    """One entry for two: its fields are those in both."""
    fields = tuple(sorted({*one.fields} & {*other.fields}))
    return replace(one, uid="", state="intended", fields=fields)


def _settled(plan: Plan) -> Iterable[Key]:
    """Entries whose object is observed gone or kept for good, or whose name a foreign object has now (A3, D4)."""
    return (
        (change.target, change.ref)
        for change in plan.changes
        if change.action == "skip" and change.reason in SETTLED and change.desired is None
    )


def _doubles(plan: Plan, known: Mapping[Key, InventoryEntry]) -> Iterable[Key]:
    """Entries of an object that the inventory also has under the name in Git (`SameObject`)."""
    keys = {(change.target, change.ref) for change in plan.changes if change.reason == "SameObject"}
    held = {(key[0], entry.uid) for key, entry in known.items() if key not in keys}
    return [key for key in keys if key in known and (key[0], known[key].uid) in held]


def _sorted(entries: Iterable[InventoryEntry]) -> Entries:
    return tuple(sorted(entries, key=lambda entry: (entry.target, entry.ref)))
