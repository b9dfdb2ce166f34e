"""Drift (R2): which differences somebody else made, and what a layer's policy makes of them."""

from collections.abc import Sequence
from dataclasses import replace

from reconciler.model import MISSING, Change, FieldChange, Layer, Object
from reconciler.plan import paths
from reconciler.plan.fields import MANAGER, Owner, managers
from reconciler.plan.fields import scaled as written


def found(changes: Sequence[FieldChange], live: Object, before: Sequence[str]) -> tuple[tuple[FieldChange, Owner], ...]:
    """The differences made on the live side, with who made each: fields of our last apply (`before`) the server no longer
    lists as ours. The others come from Git."""
    out = []
    ours = paths.Index(before)
    for one in changes:
        if ours.touches(one.path):
            who = managers(live, one.path)
            if not any(each.name == MANAGER and each.operation == "Apply" for each in who):
                out.append((one, who[0] if who else Owner("somebody", "Update", "", "")))
    return tuple(out)


def judged(change: Change, layer: Layer, found: Sequence[tuple[FieldChange, Owner]]) -> Change:
    """A changed object under its layer's policy. What a commit changed is applied whatever the policy, and the rest with it."""
    drifted = len(found) == len(change.fields)
    if drifted and layer.drift != "correct":
        return tolerated(change, layer, told(found))
    return replace(change, action="configure", reason="Drift" if drifted else "", flags=(*change.flags, *told(found)))


def told(found: Sequence[tuple[FieldChange, Owner]]) -> tuple[str, ...]:
    """Who changed the fields and when: one flag each, sorted."""
    return tuple(sorted({f"changed by {who.name}{f' at {who.time}' if who.time else ''}" for _, who in found}))


def tolerated(change: Change, layer: Layer, who: tuple[str, ...]) -> Change:
    """A drifted object under the policies `report` (said, not corrected) and `ignore` (silent)."""
    if layer.drift == "ignore":
        return replace(change, action="unchanged", reason="DriftIgnored", fields=(), flags=(), desired=None)
    return replace(change, action="skip", reason="DriftReported", flags=who, desired=None)


def scaled(wanted: Object, body: Object, live: Object) -> tuple[str, ...]:
    """Flags for desired fields the request leaves to whoever scaled the object (A1)."""
    return tuple(
        f"{path} is left to {who.name} ({who.subresource})"
        for path, who in sorted(written(live))
        if paths.get(wanted, path) is not MISSING and paths.get(body, path) is MISSING
    )
