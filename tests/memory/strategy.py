"""What the server alone decides of an object that is written: what it adds, what stays, and what may not change."""

import json
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
    return {**obj, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


_BORN = {("", "Namespace"): _namespace}


def changed(kind: Kind, old: Object, new: Object, subresource: str) -> Object:
    """An update as it is stored: what the server alone writes stays, and what this way in cannot write."""
    kept = {name: old["metadata"][name] for name in _SYSTEM if name in old["metadata"]}
    meta = {name: value for name, value in new["metadata"].items() if name not in _SYSTEM} | kept
    out = {**new, "metadata": meta}
    if subresource == "status":
        out = _with_status(kind, old, out)
    elif "status" in kind.subresources:
        out.pop("status", None)
        out |= {"status": old["status"]} if "status" in old else {}
    if has_generation(kind) and _wish(kind, out) != _wish(kind, old):
        out["metadata"] = {**out["metadata"], "generation": old["metadata"].get("generation", 0) + 1}
    return out


def _with_status(kind: Kind, old: Object, new: Object) -> Object:
    """A write of the status alone: of a custom kind nothing else goes with it, of others the metadata does."""
    listed = new["metadata"].get("managedFields")
    meta = {name: one for name, one in old["metadata"].items() if name != "managedFields"}
    meta |= {"managedFields": listed} if listed else {}
    if kind.custom is None:
        meta = {**new["metadata"]}
        if (kind.group, kind.kind) in _KEEPS_LABELS:
            meta = {name: one for name, one in meta.items() if name != "labels"}
            meta |= {"labels": old["metadata"]["labels"]} if "labels" in old["metadata"] else {}
    rest = {name: one for name, one in old.items() if name != "status"}
    return {**rest, "metadata": meta, **({"status": new["status"]} if "status" in new else {})}


_KEEPS_LABELS = {("apps", "Deployment")}


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
    causes = _fresh_finalizers(old, new) + ([_immutable("metadata.uid", f'"{uid}"')] if other else [])
    causes *= 1 if (kind.group, kind.kind) in _CHECKED_ONCE else 2
    rest = _nulls_of(kind, new) + (_unfinished(new) if kind.custom is None else [])
    causes += rest + _IMMUTABLE.get((kind.group, kind.kind), _nothing)(old, new)
    if causes:
        raise invalid(what, causes)


RETURNED = frozenset({
    ("", "services"), ("", "serviceaccounts"), ("", "namespaces"), ("", "resourcequotas"), ("", "persistentvolumes"),
    ("", "persistentvolumeclaims"), ("", "pods"), ("", "podtemplates"), ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "csidrivers"), ("storage.k8s.io", "csinodes"), ("storage.k8s.io", "volumeattachments"),
})  # fmt: skip
"""What a DELETE gives back as it was, instead of a Status (ReturnDeletedObject)."""
_CHECKED_ONCE = frozenset({("policy", "PodDisruptionBudget")})
"""The kinds whose own validation does not look at the metadata once more."""


def _fresh_finalizers(old: Object, new: Object) -> list[Cause]:
    if "deletionTimestamp" not in old["metadata"]:
        return []
    known = old["metadata"].get("finalizers") or ()
    fresh = sorted(one for one in new["metadata"].get("finalizers") or () if one not in known)
    shown = ", ".join(json.dumps(one) for one in fresh)
    words = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
    return [_forbidden("metadata.finalizers", words)] if fresh else []


CONDITIONAL = frozenset({
    ("policy", "PodDisruptionBudget"), ("coordination.k8s.io", "Lease"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"), ("node.k8s.io", "RuntimeClass"),
})  # fmt: skip
"""The kinds of Kubernetes itself whose PUT must name a version."""
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


def _deployment(old: Object, new: Object) -> list[Cause]:
    mine, other = old["spec"].get("selector"), new["spec"].get("selector")
    return [] if mine == other else [_immutable("spec.selector", json.dumps(other, separators=(",", ":")))]


_MAY_CHANGE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)  # fmt: skip


def _stateful_set(old: Object, new: Object) -> list[Cause]:
    mine, other = ({k: v for k, v in one["spec"].items() if k not in _MAY_CHANGE} for one in (old, new))
    names = ", ".join(f"'{name}'" for name in _MAY_CHANGE[:-1])
    words = f"updates to statefulset spec for fields other than {names} and 'minReadySeconds' are forbidden"
    return [] if mine == other else [_forbidden("spec", words)]


def _binding(old: Object, new: Object) -> list[Cause]:
    mine, other = old.get("roleRef"), new.get("roleRef") or {}
    if mine == other:
        return []
    shown = {name: other.get(key, "") for name, key in (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))}
    words = f"Invalid value: {json.dumps(shown, separators=(',', ':'))}: cannot change roleRef"
    return [Cause("FieldValueInvalid", words, "roleRef")]


_IMMUTABLE = {
    ("", "ConfigMap"): _config_map,
    ("", "Secret"): _secret_type,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("rbac.authorization.k8s.io", "RoleBinding"): _binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _binding,
}


PATCH_OPTIONS = What("meta.k8s.io", "", "PatchOptions")


def reset(kind: Kind, subresource: str) -> Set | None:
    """The fields that cannot be written this way in (rest.ResetFieldsStrategy)."""
    if subresource == "status":
        if kind.custom is not None:
            return {"f:metadata": {}, "f:spec": {}}
        return {"f:spec": {}} | ({"f:metadata": {"f:labels": {}}} if (kind.group, kind.kind) in _KEEPS_LABELS else {})
    return {"f:status": {}} if "status" in kind.subresources else None


def refuse(kind: Kind, obj: Object) -> None:
    """Raise Refusal where a new object is not valid."""
    causes = _nulls_of(kind, obj) + (_unfinished(obj) if kind.custom is None else [])
    if causes:
        raise invalid(kind.what(obj["metadata"]["name"]), causes)


def _unfinished(obj: Object) -> list[Cause]:
    """Containers of a workload that lack an image."""
    template = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
    return [
        Cause("FieldValueRequired", "Required value", f"spec.template.spec.containers[{at}].image")
        for at, one in enumerate(template.get("containers") or ())
        if isinstance(one, dict) and not one.get("image")
    ]


def _nulls_of(kind: Kind, obj: Object) -> list[Cause]:
    """Fields of a custom kind that are null and may not be."""
    schema = ((kind.custom or {}).get("schema") or {}).get("openAPIV3Schema") or {}
    return [
        Cause("FieldValueTypeInvalid", f'Invalid value: "null": {path} in body must be of type {name}: "null"', path)
        for path, name in _nulls(schema, obj, "")
    ]


def _nulls(schema: Any, value: Any, path: str) -> list[tuple[str, str]]:
    if not isinstance(schema, dict) or not schema:
        return []
    if value is None:
        return [] if schema.get("nullable") or not schema.get("type") else [(path, schema["type"])]
    if isinstance(value, list):
        return [one for at, item in enumerate(value) for one in _nulls(schema.get("items"), item, f"{path}[{at}]")]
    if not isinstance(value, dict):
        return []
    fields, more = schema.get("properties", {}), schema.get("additionalProperties")
    found = []
    for name, item in value.items():
        found += _nulls(fields.get(name, more), item, f"{path}.{name}" if path else name)
    return found
