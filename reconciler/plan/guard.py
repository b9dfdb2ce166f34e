"""Holds what a plan has no permit for: deletions, replacements, and adoptions where they need one (P7, AD3, D3). The last check."""

from collections.abc import Sequence

from reconciler.model import Change, Held, Permit, Plan, Request, replace
from reconciler.plan import leaving
from reconciler.plan.consent import approved, line

CHANGED = "PlanChanged"
TOLD = {
    "AwaitsApproval": "nobody approved that it goes",
    "Gathering": "not every cluster of this revision has said what it deletes",
    "HeldTogether": "another cluster of this revision deletes too much",
    "ObjectBudget": "over the cluster's budget, or it holds data or other objects",
    "Unreviewed": "nobody reviewed that it goes",
}
TAKEN = {
    "AwaitsApproval": "nobody approved that it is taken over",
    "Unreviewed": "nobody reviewed that it is taken over",
}
"""What each object says of a hold of its set, and what one says that is to be taken over. Free of names and numbers: the text does
not differ from one plan to the next."""
UNAPPROVED = Held("AwaitsApproval", "deletes or replaces objects without an approval")


def guard(plan: Plan, permit: Permit, requests: Sequence[Request], now: float, source: str) -> Plan:
    """The plan of a cluster of this source as it may be executed. What its consent names stays if the permit releases its digest or a
    request covers it; otherwise all of them become hold, with what they would do, and so do changes that need an allocation they would
    free, and the hooks of what would leave. `now` in seconds; the consent stays as it is."""
    if not plan.consent.items or plan.consent.digest in permit.released:
        return plan
    if approved(plan.consent, requests, now, (plan.cluster,), source):
        return plan
    named = frozenset(plan.consent.items)
    doomed = {(one.target, one.ref) for one in plan.changes if line(one) in named}
    held = permit.held.get(plan.consent.digest) or permit.held.get(plan.cluster) or UNAPPROVED
    stays = [
        line(one) in named or not doomed.isdisjoint(one.after) or one.hook in leaving.EVENTS for one in plan.changes
    ]
    changes = zip(plan.changes, stays, strict=True)
    return replace(plan, changes=tuple(_hold(one, held) if waits else one for one, waits in changes))


def _hold(change: Change, held: Held) -> Change:
    told = {**TOLD, **TAKEN} if change.action == "adopt" else TOLD
    detail = held.message if held.reason == CHANGED else told.get(held.reason, change.detail)
    return replace(change, action="hold", reason=held.reason, detail=detail, would=change.action)
