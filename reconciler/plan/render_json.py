"""A review as JSON-ready values, for `nidus plan --output json` and `yaml`. schemas/Plan.schema.json says what they mean."""

from collections.abc import Mapping
from typing import Any

from reconciler.model import MISSING, Change, ClusterReview, FieldChange, Held, Plan, Review, Tombstone, Violation
from reconciler.plan import summary
from reconciler.plan.lines import stamp

PLACE = ("code", "path", "line", "column", "pointer", "message", "hint")


def render(review: Review) -> dict[str, Any]:
    """All clusters with their changes in apply order, what could not be planned, and the sums. What there is none of has no
    key, and so has a missing side of a field."""
    found = summary.totals(review)
    return {
        "source": review.source,
        "revision": str(review.revision),
        "host": review.host,
        "at": stamp(review.at),
        "complete": found.complete,
        "clusters": [_cluster(one) for one in review.clusters],
        "same": review.same,
        "hidden": review.hidden,
        "violations": [_violation(one) for one in review.violations],
        "warnings": [_violation(one) for one in review.warnings],
        "notes": list(review.notes),
        "summary": _summary(found),
    }


def _summary(found: summary.Totals) -> dict[str, Any]:
    return {
        **found.changes,
        "clusters": found.clusters,
        "heldClusters": found.held,
        "suspendedClusters": found.suspended,
        "changedDocuments": found.documents,
        "unknownLayers": found.unknown,
        "laterLayers": found.later,
        "unreadObjects": found.unread,
        "refusedObjects": found.refused,
        "unseenClusters": len(found.unseen),
        "violations": found.violations,
    }


def _cluster(one: ClusterReview) -> dict[str, Any]:
    return {
        "cluster": one.cluster,
        **({"held": _held(one.held)} if one.held else {}),
        **({"removal": _removal(one.tombstone)} if one.tombstone else {}),
        **({"suspended": one.suspended} if one.suspended else {}),
        **({"unseen": one.unseen} if one.unseen else {}),
        **({"document": [_field(field) for field in one.declared]} if one.declared else {}),
        **(_plan(one.plan, one.later) if one.plan else {}),
        **(
            {"behind": [{"layer": name, "held": list(held)} for name, held in one.behind.items()]} if one.behind else {}
        ),
    }


def _plan(plan: Plan, later: frozenset[str]) -> dict[str, Any]:
    unknown = [{"layer": name, "reason": why, "later": name in later} for name, why in plan.unknown.items()]
    return {
        "revision": str(plan.revision),
        "changes": [_change(one) for one in plan.changes],
        "unknown": unknown,
        **({"steps": list(plan.steps)} if plan.steps else {}),
        **({"waits": plan.waits} if plan.waits else {}),
        **({"removedAPIs": list(plan.removed)} if plan.removed else {}),
        "consent": {"items": list(plan.consent.items), "digest": plan.consent.digest},
        "summary": summary.counts(plan.changes),
    }


def _held(held: Held) -> dict[str, Any]:
    approve = f"nidus approve {held.consent}" if held.consent else ""
    return {"reason": held.reason, "message": held.message, "digest": held.consent, "items": list(held.items)} | (
        {"approve": approve} if approve else {}
    )


def _removal(one: Tombstone) -> dict[str, Any]:
    return {"since": stamp(one.since), "due": stamp(one.due), "policy": one.policy, "protect": one.protect}


def _violation(one: Violation) -> Mapping[str, Any]:
    return {name: getattr(one, name) for name in PLACE}


def _change(change: Change) -> dict[str, Any]:
    ref = change.ref
    return {
        "action": change.action,
        **({"would": change.would} if change.would else {}),
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
