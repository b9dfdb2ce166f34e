"""Compares a live object with the desired one without asking the server (P3). Reads only desired fields."""

from collections.abc import Mapping
from typing import Any

from reconciler.model import Object
from reconciler.plan.fields import SERVER_METADATA, TOP
from reconciler.plan.shapes import BUILTIN, Keyed, Table, among, keys_of, shape, table

FILLED_IN: Mapping[str, Any] = {
    "protocol": "TCP",
    "volumeMode": "Filesystem",
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "apiGroup": "rbac.authorization.k8s.io",
    "status": {"phase": "Pending"},
    "pathType": "ImplementationSpecific",
    "defaultMode": 420,
    "scope": "*",
    "matchPolicy": "Equivalent",
}


def satisfied(desired: Object, live: Object) -> bool:
    """Whether every field we own in `desired` has that value in `live`. False may be wrong, because the server writes
    quantities and defaults in its own way: the dry-run decides then. True is final."""
    rows = table(desired["apiVersion"])
    for name, value in desired.items():
        if name not in TOP and value != live.get(name) and not _same(value, live.get(name), "", name, rows):
            return False
    there = live["metadata"]
    for name, value in desired["metadata"].items():
        if (
            name not in SERVER_METADATA
            and value != there.get(name)
            and not _same(value, there.get(name), "metadata", name, rows)
        ):
            return False
    return True


def empty(name: str, value: Any) -> bool:
    """Whether the server may drop the value: {}, [], null, and `nodePort: 0`."""
    return value is None or (value == 0 and name == "nodePort") or (value in ({}, []) and value is not False)


def _same(value: Any, there: Any, above: str, name: str, rows: Table) -> bool:
    kind = type(value)
    if kind is str or kind is int:
        return bool(value == there) or (value == 0 and empty(name, value) and empty(name, there))
    if kind is dict:
        return _same_map(value, there, above, name, rows)
    if value is None or value == []:
        return empty(name, there)
    if kind is list:
        return _same_list(value, there, above, name, rows)
    return bool(value == there)


def _same_map(value: dict[str, Any], there: Any, above: str, name: str, rows: Table) -> bool:
    if type(there) is not dict:
        return there is None and all(empty(key, below) for key, below in value.items())
    if shape(rows, above, name) is not None:
        return whole(value, there, rows)
    return stands(value, there, name, rows)


def stands(value: Mapping[str, Any], there: Mapping[str, Any], above: str, rows: Table) -> bool:
    """Whether every field of `value`, a map at field `above`, is in `there`."""
    for key, below in value.items():
        found = there.get(key)
        if below != found and not _same(below, found, above, key, rows):
            return False
    return True


def _same_list(value: list[Any], there: Any, above: str, name: str, rows: Table) -> bool:
    if type(there) is not list:
        return False
    form = shape(rows, above, name)
    if form == "set":
        member = among(there)
        return all(member(one) for one in value)
    if isinstance(form, Keyed):
        return _same_keyed(value, there, form, name, rows)
    return whole(value, there, rows)


def _same_keyed(value: list[Any], there: list[Any], form: Keyed, name: str, rows: Table) -> bool:
    """Whether every item is there in the desired order; other items may be between them."""
    keys, theirs = keys_of(value, form), keys_of(there, form)
    if keys is None or theirs is None:
        return whole(value, there, rows)
    at = {key: index for index, key in enumerate(theirs)}
    places = [at.get(key, -1) for key in keys]
    if -1 in places or places != sorted(places):
        return False
    pairs = zip(value, [there[place] for place in places], strict=True)
    if form.whole:
        return all(whole(one, other, rows) for one, other in pairs)
    return all(stands(one, other, name, rows) for one, other in pairs)


def whole(value: Any, there: Any, rows: Table) -> bool:
    """Whether a value with one owner is equal, apart from empty values and the defaults of built-in kinds."""
    if value == there:
        return isinstance(value, bool) == isinstance(there, bool)
    if isinstance(value, dict) and isinstance(there, dict):
        return _whole_map(value, there, rows)
    if isinstance(value, list) and isinstance(there, list):
        return len(value) == len(there) and all(
            whole(one, other, rows) for one, other in zip(value, there, strict=True)
        )
    return bool(value == there) and isinstance(value, bool) == isinstance(there, bool)


def _whole_map(value: dict[str, Any], there: dict[str, Any], rows: Table) -> bool:
    for key, below in value.items():
        if key in there:
            if not whole(below, there[key], rows):
                return False
        elif not empty(key, below):
            return False
    extra = there.keys() - value.keys()
    return not extra or all(empty(key, there[key]) or _default(key, there[key], rows) for key in extra)


def _default(key: str, value: Any, rows: Table) -> bool:
    return rows is BUILTIN and key in FILLED_IN and bool(FILLED_IN[key] == value)
