"""The form in which the server keeps and gives back an object: unknown fields, nulls and empty values go, defaults come."""

from functools import cache
from typing import Any

from tests.memory import defaults
from tests.memory.kinds import Kind
from tests.memory.shapes import DEDUCED, UNTYPED, Map, Type

Object = dict[str, Any]
_ALWAYS: dict[str, Object] = {"Role": {"rules": None}, "ClusterRole": {"rules": None}}
"""Lists and maps that Go writes even when they are empty, though the schema does not require them."""
_NEVER: dict[str, tuple[str, ...]] = {
    "LocalObjectReference": ("name",),
    "ContainerPort": ("protocol",),
    "ServicePort": ("protocol",),
}

_COUNTS = (
    "observedGeneration",
    "replicas",
    "readyReplicas",
    "updatedReplicas",
    "availableReplicas",
    "currentReplicas",
    "unavailableReplicas",
)
_ZERO_IS_NOTHING = {
    "DeploymentSpec": ("minReadySeconds",),
    "StatefulSetSpec": ("minReadySeconds",),
    "DaemonSetSpec": ("minReadySeconds",),
    "DeploymentStatus": _COUNTS,
    "StatefulSetStatus": _COUNTS,
}
"""Numbers that are not written when they are zero."""


def shaped(kind: Kind, obj: Object) -> Object:
    """The object as it is stored, with its defaults."""
    if kind.custom is not None:
        meta = kind.type.map.fields["metadata"] if kind.type.map else UNTYPED
        whole = _custom(kind.type, {name: one for name, one in obj.items() if name != "metadata"})
        return {**whole, "metadata": _value(meta, obj["metadata"], True)}
    made: Object = _value(kind.type, obj, True)
    return made


@cache
def _zero(kind: Kind) -> Object:
    return _value(kind.type, {}, False)  # type: ignore[no-any-return]


def zero(kind: Kind) -> Object:
    """An object of the kind before anything is set: what a create is compared with."""
    head = {"apiVersion": kind.api_version, "kind": kind.kind}
    return head if kind.custom is not None else {**_zero(kind), **head}


def settled(kind: Kind, obj: Object) -> Object:
    """The object as it is read back: of what Go always writes, an empty list is none."""
    gone = [name for name in _ALWAYS.get(kind.kind, {}) if obj.get(name) == []]
    return {**obj, **dict.fromkeys(gone)} if gone else obj


# Kinds of Kubernetes itself: as Go's types write them


def _value(of: Type, value: Any, fill: bool) -> Any:
    if isinstance(value, dict) and of.map and of.map is not DEDUCED.map:
        return _struct(of.map, value, fill) if of.map.fields else _plain(of.map, value, fill)
    if isinstance(value, list) and of.list:
        return [_value(of.list.item, one, fill) for one in value]
    return value


def _plain(of: Map, value: Object, fill: bool) -> Object:
    kind = of.other
    if kind is None:
        return value
    return {name: "" if one is None and kind.scalar == "s" else _value(kind, one, fill) for name, one in value.items()}


def _struct(of: Map, value: Object, fill: bool) -> Object:
    out: Object = {}
    for name, one in value.items():
        kind = of.fields.get(name)
        if one is None or kind is None:
            continue
        made = _value(kind, one, fill)
        if _is_nothing(of, name, kind, made):
            continue
        out[name] = made
    never = _NEVER.get(of.name, ())
    for name, given in {**of.given, **_ALWAYS.get(of.name, {})}.items():
        if name not in out and name not in never:
            out[name] = _value(of.fields[name], given, fill)
    return defaults.filled(of.name, out) if fill else out


def _is_nothing(of: Map, name: str, kind: Type, value: Any) -> bool:
    """Whether Go leaves the value out."""
    if value == [] or (value == {} and _is_plain(kind)):
        return value == {} or {**of.given, **_ALWAYS.get(of.name, {})}.get(name, 1) is not None
    return value == "" or (value == 0 and name in _ZERO_IS_NOTHING.get(of.name, ()))


def _is_plain(kind: Type) -> bool:
    """Whether it is a map in Go, not a struct."""
    return kind.map is not None and not kind.map.fields and kind.map.other is not DEDUCED


# Kinds of CRDs: as their schema says


def _custom(of: Type, value: Any) -> Any:
    if isinstance(value, dict) and of.map:
        return _custom_map(of.map, value)
    if isinstance(value, list) and of.list:
        return [_custom(of.list.item, one) for one in value]
    return value


def _custom_map(of: Map, value: Object) -> Object:
    out: Object = {}
    for name, one in value.items():
        kind = of.fields.get(name, of.other)
        if kind is None or (one is None and name in of.fields and name in of.given):
            continue
        out[name] = _custom(kind, one)
    for name, given in of.given.items():
        out.setdefault(name, given)
    return out


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
