"""What the engine writes on the host itself (R4): fields of ours that it may change, and host objects that are never ours."""

from reconciler.model import IgnoreRule, Object, ObjectRef

MANAGED_BY = "vcluster.loft.sh/managed-by"
_PAUSE = ("loft.sh/paused", "loft.sh/paused-replicas", "loft.sh/paused-date", "loft.sh/restoring")
_WORKLOAD = (
    "/spec/template/metadata/annotations/vcluster.loft.sh~1cert-rotation-at",
    *(f"/metadata/annotations/{key.replace('/', '~1')}" for key in _PAUSE),
)
_HOST: dict[str, tuple[str, ...]] = {
    "Service": ("/metadata/annotations/vcluster.loft.sh~1service-cidr",),
    "Secret": ("/metadata/annotations/vcluster.loft.sh~1store",),
    "StatefulSet": _WORKLOAD,
    "Deployment": _WORKLOAD,
}


def ignored(ref: ObjectRef) -> tuple[str, ...]:
    """JSON pointers of fields the engine keeps on that host object; those inside a nested cluster are in `plan.request`."""
    return _HOST.get(ref.kind, ())


def ignore_rules(name: str, namespace: str) -> tuple[IgnoreRule, ...]:
    """The same as rules of the engine's layer; the objects are those of release `name`."""
    names = {"Service": (name,), "Secret": (f"vc-config-{name}",)}
    return tuple(
        IgnoreRule(kind=kind, pointers=pointers, name=found, namespace=namespace)
        for kind, pointers in _HOST.items()
        for found in names.get(kind, (name, f"{name}-etcd"))
    )


def foreign(obj: Object) -> bool:
    """Whether the engine made this host object: it has the engine's label, or the engine's Service owns it. It is never
    ours, whatever its labels (R4)."""
    metadata = obj.get("metadata", {})
    owners = metadata.get("ownerReferences") or ()
    return MANAGED_BY in (metadata.get("labels") or {}) or any(
        owner.get("kind") == "Service" and owner.get("apiVersion") == "v1" for owner in owners
    )
