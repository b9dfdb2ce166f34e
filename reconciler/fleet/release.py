"""`fleet.permit`: which deletions and replacements of objects are permitted (AD3, P7, D3)."""

from collections.abc import Mapping, Sequence

from reconciler.fleet.approvals import approved
from reconciler.model import Destructive, Held, Permit, Request, Rules

ALWAYS = frozenset({"CustomResourceDefinition", "PersistentVolumeClaim", "Namespace"})


def permit(
    destructive: Sequence[Destructive],
    pending: frozenset[str],
    requests: Sequence[Request],
    trailers: Sequence[tuple[str, str]],
    rules: Rules,
    now: float,
) -> Permit:
    """The consent digests that are permitted, and why the others wait, by digest.

    An approved set is permitted at once. The others wait until every cluster of the revision has reported (`pending` is
    empty). Then all are permitted if no unapproved set is over its cluster's budget; otherwise all are held.
    """
    wanted = [one for one in destructive if one.consent.items]
    open_ = [one for one in wanted if not approved(one.consent, requests, trailers, now, (one.cluster,))]
    released = {one.consent.digest for one in wanted if one not in open_}
    if not pending and not any(over_budget(one, rules) for one in open_):
        return Permit(frozenset(released | {one.consent.digest for one in open_}))
    return Permit(frozenset(released), _held(open_, pending, rules))


def over_budget(one: Destructive, rules: Rules) -> str:
    """Why a set is more than its cluster's budget, "" if it is within: too many objects, or a kind that holds others or data."""
    kinds = sorted({ref.kind for ref in one.refs} & ALWAYS)
    if kinds:
        return f"destroys {', '.join(kinds)}"
    budget = rules.budget
    allowed = max(budget.objects_minimum, one.size * budget.objects_percent // 100)
    return f"destroys {len(one.refs)} of {one.size} objects, budget {allowed}" if len(one.refs) > allowed else ""


def _held(wanted: Sequence[Destructive], pending: frozenset[str], rules: Rules) -> Mapping[str, Held]:
    found = {}
    over = {one.cluster for one in wanted if over_budget(one, rules)}
    for one in wanted:
        why = over_budget(one, rules)
        if pending:
            names = ", ".join(sorted(pending)[:5])
            found[one.consent.digest] = _hold(
                "Gathering", f"waits for the plans of {len(pending)} clusters: {names}", one
            )
        elif why:
            found[one.consent.digest] = _hold("ObjectBudget", f"{one.cluster} {why}", one)
        else:
            others = ", ".join(sorted(over)[:5])
            found[one.consent.digest] = _hold("HeldTogether", f"the same revision destroys too much in {others}", one)
    return found


def _hold(reason: str, message: str, one: Destructive) -> Held:
    return Held(reason, message, one.consent.digest, one.consent.items)
