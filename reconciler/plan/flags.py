"""Flags for what makes a change dangerous (P4), and kinds that are never replaced."""

from collections.abc import Sequence

from reconciler.model import Bundle, Change, FieldChange, Object, ObjectRef, replace
from reconciler.plan import paths

OPT_IN = "nidus.dev/replace"
HOW = f'{OPT_IN}: "true" would replace it'
REPLACE = f'cannot be changed in place; annotate it with {OPT_IN}: "true" to have it deleted and made again'
BY_HAND = "cannot be changed in place and is never replaced, as data may hang on it; delete the object yourself if you mean it"
ENGINE = "engine"
RESTARTS = "restarts the control plane"
VOLUME = "volume at risk"
NEVER = frozenset(
    {
        ("", "Namespace"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)


def of(change: Change, fields: Sequence[FieldChange]) -> tuple[str, ...]:
    """Flags of a change of these fields."""
    if change.layer != ENGINE or change.target.nested or not fields:
        return ()
    if change.ref.kind not in ("StatefulSet", "Deployment"):
        return ()
    restarts = any(paths.covers("spec.template", one.path) for one in fields)
    volume = any(paths.covers("spec.persistentVolumeClaimRetentionPolicy", one.path) for one in fields)
    return (*((RESTARTS,) if restarts else ()), *((VOLUME,) if volume else ()))


def destroying(ref: ObjectRef, live: Object | None) -> tuple[str, ...]:
    """Flags of a deletion."""
    if (ref.group, ref.kind) in (("", "Namespace"), ("", "PersistentVolumeClaim"), ("", "PersistentVolume")):
        return (VOLUME,)
    if ref.kind == "CustomResourceDefinition":
        return ("deletes all its objects",)
    policy = paths.get(live or {}, "spec.persistentVolumeClaimRetentionPolicy.whenDeleted")
    return (VOLUME,) if ref.kind == "StatefulSet" and policy == "Delete" else ()


def replaced(change: Change, live: Object, bundle: Bundle) -> Change:
    """An immutable field changed: replace if the object asks for it and its kind allows it, else hold."""
    annotations = (change.desired or {}).get("metadata", {}).get("annotations") or {}
    opted, never = annotations.get(OPT_IN) == "true", _never(change, live, bundle)
    if opted and not never:
        return replace(
            change, action="replace", reason="ImmutableField", flags=(*change.flags, *destroying(change.ref, live))
        )
    told = () if never else (HOW,)
    detail = BY_HAND if never else REPLACE
    flags = (*change.flags, *told)
    return replace(change, action="hold", reason="ImmutableField", detail=detail, flags=flags, desired=None)


def _never(change: Change, live: Object, bundle: Bundle) -> bool:
    if (change.ref.group, change.ref.kind) in NEVER:
        return True
    if change.ref.kind == "StatefulSet":
        return any(one.get("spec", {}).get("volumeClaimTemplates") for one in (live, change.desired or {}))
    engine = change.ref.kind == "Service" and not change.target.nested and change.ref.namespace == bundle.namespace
    return engine and change.ref.name == bundle.cluster
