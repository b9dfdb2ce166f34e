"""Plans as JSON-ready values, for `nidus plan --output json` and the status of a cluster."""

from collections.abc import Sequence
from typing import Any

from reconciler.model import MISSING, Change, FieldChange, Plan
from reconciler.plan.summary import counts


def render(plans: Sequence[Plan]) -> dict[str, Any]:
    """All plans with their changes in apply order, and the sums. A side of a field that is missing has no key."""
    changes = [change for plan in plans for change in plan.changes]
    return {"plans": [_plan(plan) for plan in plans], "summary": counts(changes)}


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "cluster": plan.cluster,
        "revision": str(plan.revision),
        "changes": [_change(one) for one in plan.changes],
        "unknown": dict(plan.unknown),
        "consent": {"items": list(plan.consent.items), "digest": plan.consent.digest},
        "summary": counts(plan.changes),
    }


def _change(change: Change) -> dict[str, Any]:
    ref = change.ref
    return {
        "action": change.action,
        "target": str(change.target),
        "object": {"group": ref.group, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "layer": change.layer,
        "uid": change.uid,
        "reason": change.why,
        "flags": list(change.remarks),
        "fields": [_field(one) for one in change.fields],
    }


def _field(one: FieldChange) -> dict[str, Any]:
    sides = {"before": one.before, "after": one.after}
    return {"path": one.path, **{name: value for name, value in sides.items() if value != MISSING}}
