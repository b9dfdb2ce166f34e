"""What the server alone decides of an object that is written: what it adds, what stays, and what may not change."""

from typing import Any

from tests.memory import forms
from tests.memory.fieldsets import Set
from tests.memory.kinds import Kind
from tests.memory.refusal import Cause, What, invalid

Object = dict[str, Any]
_SYSTEM = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
)


# Create and update


def born(kind: Kind, obj: Object, uid: str, now: str) -> Object:
    """A new object with what the server alone writes."""
    meta = {name: value for name, value in obj["metadata"].items() if name not in _SYSTEM}
    meta |= {"uid": uid, "creationTimestamp": now}
    if has_generation(kind):
        meta["generation"] = 1
    out = {**obj, "metadata": meta}
    if "status" in kind.subresources:
        out.pop("status", None)
        first = forms.shaped(kind, forms.zero(kind)).get("status") if kind.custom is None else None
        out |= {"status": first} if first is not None else {}
    return _BORN.get((kind.group, kind.kind), lambda one: one)(out)


def _namespace(obj: Object) -> Object:
    name = obj["metadata"]["name"]
    labels = {**obj["metadata"].get("labels", {}), "kubernetes.io/metadata.name": name}
    meta = {**obj["metadata"], "labels": labels}
    return {**obj, "metadata": meta, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


_BORN = {("", "Namespace"): _namespace}


def changed(kind: Kind, old: Object, new: Object, subresource: str) -> Object:
    """An update as it is stored: what the server alone writes stays, and what this way in cannot write."""
    kept = {name: old["metadata"][name] for name in _SYSTEM if name in old["metadata"]}
    meta = {name: value for name, value in new["metadata"].items() if name not in _SYSTEM} | kept
    out = {**new, "metadata": meta}
    if subresource == "status":
        out = {**old, "metadata": {**old["metadata"], "managedFields": meta.get("managedFields", [])}}
        out |= {"status": new["status"]} if "status" in new else {}
    elif "status" in kind.subresources:
        out.pop("status", None)
        out |= {"status": old["status"]} if "status" in old else {}
    if has_generation(kind) and _wish(kind, out) != _wish(kind, old):
        out["metadata"] = {**out["metadata"], "generation": old["metadata"].get("generation", 0) + 1}
    return out


def _wish(kind: Kind, obj: Object) -> Any:
    if kind.custom is not None:
        apart = {"metadata", "status"} if "status" in kind.subresources else {"metadata"}
        return {name: value for name, value in obj.items() if name not in apart}
    return obj.get("spec")


_GENERATIONS = {
    ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("apps", "ReplicaSet"),
    ("networking.k8s.io", "Ingress"), ("networking.k8s.io", "NetworkPolicy"), ("policy", "PodDisruptionBudget"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"), ("batch", "Job"), ("batch", "CronJob"), ("", "Pod"),
    ("", "ReplicationController"),
}  # fmt: skip


def has_generation(kind: Kind) -> bool:
    """Whether objects of it count the changes of their spec."""
    return kind.custom is not None or (kind.group, kind.kind) in _GENERATIONS


# What may not change


def refuse_change(kind: Kind, old: Object, new: Object, uid: str) -> None:
    """Raise Refusal where an update changes what may not be changed; `uid` is the one it was sent with, "" for none."""
    what = kind.what(old["metadata"]["name"])
    other = bool(uid) and uid != old["metadata"]["uid"]
    causes = [_immutable("metadata.uid", f'"{uid}"')] * (2 if other else 0)
    causes += _IMMUTABLE.get((kind.group, kind.kind), _nothing)(old, new)
    if causes:
        raise invalid(what, causes)


CREATED_BY_PUT = frozenset({
    ("", "Service"), ("", "LimitRange"), ("", "Endpoints"), ("", "Event"), ("coordination.k8s.io", "Lease"),
    ("rbac.authorization.k8s.io", "Role"), ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
})  # fmt: skip
"""The kinds whose objects a PUT may create (AllowCreateOnUpdate)."""


def _immutable(field: str, value: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {value}: field is immutable", field)


def _nothing(old: Object, new: Object) -> list[Cause]:
    return []


def _config_map(old: Object, new: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = []
    if not new.get("immutable"):
        causes.append(_forbidden("immutable", "field is immutable when `immutable` is set"))
    causes += [
        _forbidden(name, "field is immutable when `immutable` is set")
        for name in ("data", "binaryData")
        if old.get(name, {}) != new.get(name, {})
    ]
    return causes


def _secret_type(old: Object, new: Object) -> list[Cause]:
    causes = [] if old.get("type") == new.get("type") else [_immutable("type", f'"{new.get("type", "")}"')]
    return causes + _config_map(old, new)


def _forbidden(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


_IMMUTABLE = {("", "ConfigMap"): _config_map, ("", "Secret"): _secret_type}


PATCH_OPTIONS = What("meta.k8s.io", "", "PatchOptions")


def reset(kind: Kind, subresource: str) -> Set | None:
    """The fields that cannot be written this way in (rest.ResetFieldsStrategy)."""
    if subresource == "status":
        return {"f:spec": {}} if kind.custom is not None else {"f:spec": {}, "f:metadata": {"f:labels": {}}}
    return {"f:status": {}} if "status" in kind.subresources else None
