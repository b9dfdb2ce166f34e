"""What the server makes of an object that is written: the form it is stored in, defaults, and what may not change."""

import base64
from typing import Any

from tests.memory.fieldsets import Set
from tests.memory.kinds import Kind
from tests.memory.refusal import Cause, What, invalid
from tests.memory.shapes import DEDUCED, UNTYPED, Map, Type

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


def shaped(kind: Kind, obj: Object) -> Object:
    """The object as it comes back from the server's own types: no nulls, no empty maps and lists, defaults filled in."""
    if kind.custom is not None:
        meta = kind.type.map.fields["metadata"] if kind.type.map else UNTYPED
        return {**obj, "metadata": _shaped(meta, obj["metadata"])}
    out = _shaped(kind.type, obj)
    out.setdefault("metadata", {})
    return _DEFAULTS.get((kind.group, kind.kind), _same)(out)


def _shaped(of: Type, value: Any) -> Any:
    if isinstance(value, dict) and of.map and (of.map.fields or of.map.other):
        return _shaped_map(of.map, value)
    if isinstance(value, list) and of.list:
        return [_shaped(of.list.item, one) for one in value]
    return value


def _shaped_map(of: Map, value: Object) -> Object:
    out = {}
    for name, one in value.items():
        kind = of.fields.get(name, of.other)
        if (one is None and name in of.fields) or kind is None:
            continue
        made = _shaped(kind, one)
        plain = kind.map is not None and not kind.map.fields and kind.map.other is not DEDUCED
        if name in of.fields and ((made == {} and plain) or made == []):
            continue
        out[name] = made
    return out


def _same(obj: Object) -> Object:
    return obj


def _secret(obj: Object) -> Object:
    plain = obj.pop("stringData", None) or {}
    data = {**obj.get("data", {}), **{key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}}
    return {**obj, **({"data": data} if data else {}), "type": obj.get("type") or "Opaque"}


_DEFAULTS = {("", "Secret"): _secret}


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
    return _BORN.get((kind.group, kind.kind), _same)(out)


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


def refuse_change(kind: Kind, old: Object, new: Object) -> None:
    """Raise Refusal where an update changes what may not be changed."""
    what = kind.what(old["metadata"]["name"])
    causes = _IMMUTABLE.get((kind.group, kind.kind), _nothing)(old, new)
    if causes:
        raise invalid(what, causes)


def refuse_identity(kind: Kind, old: Object, new: Object) -> None:
    """Raise Refusal where a write names another object by its UID or version."""
    uid, meta = new["metadata"].get("uid"), old["metadata"]
    if uid and uid != meta["uid"]:
        raise invalid(kind.what(meta["name"]), [_immutable("metadata.uid", f'"{uid}"')])


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


def known(of: Type, value: Any, path: str, unknown: list[str]) -> Any:
    """The value without names its type does not have; their paths are added to `unknown`."""
    if isinstance(value, dict) and of.map:
        return _known_map(of.map, value, path, unknown)
    if isinstance(value, list) and of.list:
        item = of.list.item
        return [known(item, one, f"{path}[{at}]", unknown) for at, one in enumerate(value)]
    return value


def _known_map(of: Map, value: Object, path: str, unknown: list[str]) -> Object:
    out = {}
    for name, one in value.items():
        where = f"{path}.{name}" if path else name
        kind = of.fields.get(name, of.other)
        if kind is None:
            unknown.append(where)
        else:
            out[name] = known(kind, one, where, unknown)
    return out


def reset(kind: Kind, subresource: str) -> Set | None:
    """The fields that cannot be written this way in (rest.ResetFieldsStrategy)."""
    if subresource == "status":
        return {"f:spec": {}} if kind.custom is not None else {"f:spec": {}, "f:metadata": {"f:labels": {}}}
    return {"f:status": {}} if "status" in kind.subresources else None
