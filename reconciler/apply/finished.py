"""Whether a removal is over. No other module decides that. Pure."""

from collections.abc import Mapping, Sequence

from reconciler.inventory.ledger import Entries, Key
from reconciler.model import Bundle, Change, InventoryEntry, Plan, Result

PROVEN = frozenset({"Gone", "NotOwner"})
"""Reasons of a skip that prove an object of ours gone: a read said 404, or that another object has its name."""
STAYS = frozenset({"Retained", "Orphaned"})
"""Reasons of a skip that leave an object where it is, as the tombstone's policy says."""
WITH = "GoesWithCluster"


def finished(bundle: Bundle, entries: Entries, plan: Plan, results: Sequence[Result]) -> bool:
    """Whether every entry of a removed cluster is proven gone or stays by policy, and no object is still being deleted
    (D1, D2).

    `entries`: the inventory that the plan was made from. An object that could not be read is not proven gone, nor is an
    entry that the plan does not name. Objects inside the nested cluster are gone when all its objects on the host are
    gone. An object that was to be created in a host namespace that is not ours was never created (A3).
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
    return (
        entry.state == "intended"
        and not entry.uid
        and not entry.target.nested
        and entry.ref.namespace == bundle.namespace
    )


def _at_home(bundle: Bundle, entries: Entries, spoken: Mapping[Key, Change]) -> bool:
    """Whether we created the cluster's host namespace, or may have."""
    homes = [one for one in entries if (one.ref.kind, one.ref.name) == ("Namespace", bundle.namespace)]
    return any(one.uid or spoken[one.target, one.ref].reason != "NotOwner" for one in homes if not one.target.nested)
