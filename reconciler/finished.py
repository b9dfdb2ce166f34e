"""Whether a removal is over: the only place that says so (house.md, "The shell of a pass"). Pure."""

from collections.abc import Sequence

from reconciler.inventory.ledger import Entries
from reconciler.model import Bundle, Plan, Result

PROVEN = frozenset({"Gone", "NotOwner"})
"""Reasons of a skip that prove an object of ours gone: a read said 404, or that another object has its name."""
STAYS = frozenset({"Retained", "Orphaned"})
"""Reasons of a skip that leave an object where it is, as the tombstone's policy says."""
WITH = "GoesWithCluster"


def finished(bundle: Bundle, entries: Entries, plan: Plan, results: Sequence[Result]) -> bool:
    """Whether every entry of a removed cluster is proven gone, or stays by policy, and nothing is still on its way (D1, D2).

    `entries`: the inventory that the plan was made from. What could not be read proves nothing, and so does an entry the plan
    does not speak of. What is inside the cluster goes with it: with everything on the host that carries it.
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
        if not settled and key not in gone:
            return False
    return all(one.outcome in ("deleted", "skipped") for one in results)
