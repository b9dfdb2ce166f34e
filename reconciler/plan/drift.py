"""Drift (R2): which differences somebody else made, and what the layer's policy does about them."""

from collections.abc import Sequence

from reconciler.model import Change, FieldChange, Layer, Object, Owner, replace
from reconciler.plan import paths
from reconciler.plan.fields import MANAGER, Owners
from reconciler.plan.strays import Strays


def found(changes: Sequence[FieldChange], live: Object, before: Sequence[str]) -> tuple[tuple[FieldChange, Owner], ...]:
    """The differences that somebody else made, each with who made it: fields of our last apply (`before`) that the
    server no longer lists as ours. The others come from Git."""
    out = []
    ours, owners = paths.Index(before), Owners(live)
    for one in changes:
        if ours.touches(one.path):
            who = owners.of(one.path)
            if not any(each.name == MANAGER and each.operation == "Apply" for each in who):
                out.append((one, who[0] if who else Owner("somebody", "Update", "", "")))
    return tuple(out)


def judged(
    change: Change, layer: Layer, found: Sequence[tuple[FieldChange, Owner]], plain: Sequence[FieldChange], gone: Strays
) -> Change:
    """The change of an object under its layer's drift policy. If a commit changed something, all of the object is
    applied, whatever the policy. `plain`: the changes of values, `found` those of them that somebody else made, `gone`:
    other fields that have to go."""
    drifted = len(found) == len(plain) and not gone.left
    change = replace(change, by=tuple(dict.fromkeys(owner for _, owner in found)))
    who = (*told(change.by), *_removing(gone))
    if drifted and layer.drift != "correct":
        return tolerated(change, layer, who)
    return replace(change, action="configure", reason="Drift" if drifted else "", flags=(*change.flags, *who))


def _removing(gone: Strays) -> tuple[str, ...]:
    """A flag for the fields to remove that Git never named."""
    some = (*gone.edits, *gone.unfit)
    by = f" of {', '.join(gone.by)}" if gone.by else ""
    return (f"removes {', '.join(some[:3])}{' and more' if len(some) > 3 else ''}{by}",) if some else ()


def told(by: Sequence[Owner]) -> tuple[str, ...]:
    """Who changed the fields and when: one flag each, sorted."""
    return tuple(sorted({f"changed by {who.name}{f' at {who.time}' if who.time else ''}" for who in by}))


def tolerated(change: Change, layer: Layer, who: tuple[str, ...]) -> Change:
    """A drifted object under the policies `report` (reported, not corrected) and `ignore` (not reported)."""
    if layer.drift == "ignore":
        return replace(change, action="unchanged", reason="DriftIgnored", fields=(), by=(), flags=(), desired=None)
    return replace(change, action="skip", reason="DriftReported", flags=who, desired=None)
