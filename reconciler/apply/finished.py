"""Whether a removal is over: the only place that says so (house.md, "The shell of a pass"). Pure."""

from collections.abc import Mapping, Sequence

from reconciler.inventory.ledger import Entries, Key
from reconciler.model import Bundle, Change, InventoryEntry, Plan, Result

PROVEN = frozenset({"Gone", "NotOwner"})
"""Reasons of a skip that prove an object of ours gone: a read said 404, or that another object has its name."""
STAYS = frozenset({"Retained", "Orphaned"})
"""Reasons of a skip that leave an object where it is, as the tombstone's policy says."""
WITH = "GoesWithCluster"


def finished(bundle: Bundle, entries: Entries, plan: Plan, results: Sequence[Result]) -> bool:
    """Whether every entry of a removed cluster is proven gone, or stays by policy, and nothing is still on its way (D1, D2).

    `entries`: the inventory that the plan was made from. What could not be read proves nothing, and so does an entry the plan
    does not speak of. What is inside the cluster goes with it: with everything on the host that carries it. What was to be made
    in a namespace that never was ours was not made: nothing is put into one (A3).
    """
    if bundle.tombstone is None:
        return False
    spoken = {(change.target, change.ref): change for change in plan.changes}
    gone = {(one.change.target, one.change.ref) for one in results if one.outcome == "deleted"}
    for entry in entries:
        key = (entry.target, entry.ref)
        change = spoken.get(key)
        if change is None:
            return False
        settled = change.action == "skip" and change.reason in PROVEN | STAYS | {WITH}
        if not settled and key not in gone and not (_unmade(entry, bundle) and not _at_home(bundle, entries, spoken)):
            return False
    return all(one.outcome in ("deleted", "skipped") for one in results)


def _unmade(entry: InventoryEntry, bundle: Bundle) -> bool:
    """Whether an entry only says that an object was to be made in the cluster's namespace on the host."""
    return entry.state == "intended" and not entry.target.nested and entry.ref.namespace == bundle.namespace


def _at_home(bundle: Bundle, entries: Entries, spoken: Mapping[Key, Change]) -> bool:
    """Whether the cluster's namespace on the host is, or may be, one that we made."""
    homes = [one for one in entries if (one.ref.kind, one.ref.name) == ("Namespace", bundle.namespace)]
    return any(one.uid or spoken[one.target, one.ref].reason != "NotOwner" for one in homes if not one.target.nested)
