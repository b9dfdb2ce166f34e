"""`fleet.permit`: which deletions and replacements of objects are permitted (AD3, P7, D3)."""

from collections.abc import Mapping, Sequence

from reconciler.fleet.approvals import approved, counting
from reconciler.model import CONSENTED, DESTRUCTIVE, Destructive, Held, Permit, Request, Reviewed, Rules
from reconciler.plan.consent import within
from reconciler.plan.summary import many

ALWAYS = frozenset({"CustomResourceDefinition", "PersistentVolumeClaim", "Namespace"})


def permit(
    destructive: Sequence[Destructive],
    source: str,
    pending: frozenset[str],
    requests: Sequence[Request],
    trailers: Sequence[tuple[str, str]],
    rules: Rules,
    now: float,
    review: Reviewed | None = None,
) -> Permit:
    """The consent digests that are permitted of clusters of one source, and why the others wait, by digest.

    An approved set is permitted at once. The others wait until every cluster of the revision has reported (`pending` is
    empty). Then all are permitted if no unapproved set is over its cluster's budget; otherwise all are held. `review`: what was
    shown of this revision before the merge; a set that is not within it is held (B6).
    """
    wanted = [one for one in destructive if one.consent.items]
    told = counting(trailers, source, rules)
    open_ = [one for one in wanted if not approved(one.consent, requests, told, now, (one.cluster,), source)]
    released = {one.consent.digest for one in wanted if one not in open_}
    astray = [one for one in open_ if review is not None and not within(one.consent, review.consent.items)]
    rest = [one for one in open_ if one not in astray]
    changed = {one.consent.digest: _astray(one, review) for one in astray if review is not None}
    if pending or any(over_budget(one, rules) for one in rest):
        return Permit(frozenset(released), {**_held(rest, pending, rules), **changed})
    if rules.unreviewed == "Hold":
        return Permit(frozenset(released), {**{one.consent.digest: _unreviewed(one) for one in rest}, **changed})
    return Permit(frozenset(released | {one.consent.digest for one in rest}), changed)


def consented(rules: Rules) -> frozenset[str]:
    """The actions that need a consent: where nothing goes on without a review, taking over what is there does too (B5)."""
    return CONSENTED if rules.unreviewed == "Hold" else DESTRUCTIVE


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


def _astray(one: Destructive, review: Reviewed) -> Held:
    """What reality wants to destroy and nobody was shown, and what was shown and is not there any more."""
    known = {item for item in review.consent.items if item.partition(" ")[0].endswith(f"/{one.cluster}")}
    more = sorted(set(one.consent.items) - set(review.consent.items))
    less = sorted(known - set(one.consent.items))
    told = f"destroys what change request #{review.number} did not show: {'; '.join(more[:3])}"
    gone = f"; it showed and no longer destroys: {'; '.join(less[:3])}" if less else ""
    return _hold("PlanChanged", told + gone, one)


def _unreviewed(one: Destructive) -> Held:
    objects = many(len(one.consent.items), "object")
    why = f"{one.cluster} deletes, replaces or takes over {objects} that nobody reviewed (policy.unreviewed: Hold)"
    return _hold("Unreviewed", why, one)


def _hold(reason: str, message: str, one: Destructive) -> Held:
    return Held(reason, message, one.consent.digest, one.consent.items)
