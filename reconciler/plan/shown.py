"""What of a review is shown: the fields of what is created, and the clusters and layers that a reader asks for."""

from collections.abc import Collection

from reconciler.model import Change, ClusterReview, Plan, Review, replace
from reconciler.plan.diff import diff
from reconciler.plan.fields import owned
from reconciler.plan.mark import is_mark
from reconciler.plan.redact import redact


def with_creates(plan: Plan, salt: bytes) -> Plan:
    """The plan whose creates have their fields too, with only an `after`; without our
    marks, secret values hashed (P5)."""
    return replace(plan, changes=tuple(_with_fields(one, salt) for one in plan.changes))


def _with_fields(change: Change, salt: bytes) -> Change:
    obj = change.desired
    if change.action != "create" or obj is None:
        return change
    found = [one for one in diff(obj, None, None, owned(obj), ()) if not is_mark(one.path)]
    return replace(change, fields=redact(change.target, change.ref, found, salt))


def layers(review: Review) -> frozenset[str]:
    """The names of all layers that the review speaks of."""
    plans = [one.plan for one in review.clusters if one.plan]
    return frozenset(change.layer for plan in plans for change in plan.changes).union(*(plan.unknown for plan in plans))


def only(review: Review, clusters: Collection[str] = (), layer: str = "") -> Review:
    """The review with these clusters (none: all) and this layer ("": all). The consent stays that of the whole cluster, since
    that is what is approved."""
    chosen = [one for one in review.clusters if not clusters or one.cluster in clusters]
    chosen = [_layer(one, layer) for one in chosen if _has(one, layer)] if layer else chosen
    return replace(review, clusters=tuple(chosen), hidden=len(review.clusters) - len(chosen))


def _has(one: ClusterReview, layer: str) -> bool:
    """One without a plan may have the layer: it stays, with why it was not planned."""
    if one.plan is None or layer in one.plan.unknown or layer in one.behind:
        return True
    return any(change.layer == layer for change in one.plan.changes)


def _layer(one: ClusterReview, layer: str) -> ClusterReview:
    if one.plan is None:
        return one
    changes = tuple(change for change in one.plan.changes if change.layer == layer)
    unknown = {name: why for name, why in one.plan.unknown.items() if name == layer}
    behind = {name: held for name, held in one.behind.items() if name == layer}
    plan = replace(one.plan, changes=changes, unknown=unknown)
    return replace(one, plan=plan, later=one.later & {layer}, behind=behind)
