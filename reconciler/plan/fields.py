"""Which fields of an object are ours: what we ask for (`owned`), and what the API server says (`managed`). A1, P3.

Both speak the notation of `plan.paths` and name leaves only: scalars, empty maps, atomic lists and maps whole, members of
sets. The server's own form is fieldsV1 (`f:` field, `k:` key, `v:` value, `i:` index, `.` the thing itself).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.model import MISSING, Object
from reconciler.plan import paths
from reconciler.plan.shapes import Keyed, Shape, Table, keys_of, shape, table

MANAGER = "nidus"
TOP = frozenset({"apiVersion", "kind", "metadata", "status"})
SERVER_METADATA = frozenset(
    {
        "clusterName",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


class Owner(NamedTuple):
    """Who last wrote a field: operation is Apply or Update, `time` as the server prints it."""

    name: str
    operation: str
    subresource: str
    time: str


def owned(obj: Object) -> tuple[str, ...]:
    """The field paths an object owns once applied, sorted; never its identity, never status."""
    rows = table(obj["apiVersion"])
    found: list[str] = []
    for name, value in obj.items():
        if name not in TOP:
            _collect(value, paths.child("", name), "", name, rows, found)
    for name, value in obj["metadata"].items():
        if name not in SERVER_METADATA:
            _collect(value, paths.child("metadata", name), "metadata", name, rows, found)
    found.sort()
    return tuple(found)


def _collect(value: Any, path: str, above: str, name: str, rows: Table, found: list[str]) -> None:
    if isinstance(value, dict):
        if value and shape(rows, above, name) is None:
            _collect_fields(value, path, name, rows, found)
        else:
            found.append(path)
    elif isinstance(value, list):
        _collect_list(value, path, shape(rows, above, name), name, rows, found)
    else:
        found.append(path)


def _collect_fields(value: dict[str, Any], path: str, name: str, rows: Table, found: list[str]) -> None:
    for key, below in value.items():
        here = f"{path}.{paths.part(key)}"
        if isinstance(below, (dict, list)):
            _collect(below, here, name, key, rows, found)
        else:
            found.append(here)


def _collect_list(value: list[Any], path: str, form: Shape | None, name: str, rows: Table, found: list[str]) -> None:
    keys = keys_of(value, form) if isinstance(form, Keyed) else None
    if form == "set":
        found.extend([paths.member(path, one) for one in value])
    elif keys is None or not isinstance(form, Keyed):
        found.append(path)
    elif form.whole:
        found.extend([paths.item(path, zip(form.keys, key, strict=True)) for key in keys])
    else:
        for one, key in zip(value, keys, strict=True):
            _collect_fields(one, paths.item(path, zip(form.keys, key, strict=True)), name, rows, found)


def managed(obj: Object, manager: str = MANAGER) -> tuple[str, ...]:
    """The field paths live `managedFields` lists for our applies on the main resource, sorted, in the notation of `owned`."""
    found: set[str] = set()
    for entry in _entries(obj):
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            found.update(leaves(entry.get("fieldsV1") or {}))
    return tuple(sorted(found))


def managers(obj: Object, path: str) -> list[Owner]:
    """Everyone whose entry lists the field, something above it as a leaf, or something below it; newest first."""
    found = [_owner(entry) for entry in _entries(obj) if touches(entry.get("fieldsV1") or {}, path)]
    return sorted(found, key=lambda one: (one.time, one), reverse=True)


def touches(tree: Mapping[str, Any], path: str) -> bool:
    """Whether a fieldsV1 tree speaks of the field at `path`: the field itself, one below it, or one above it as a whole."""
    node: Any = tree
    for element in paths.parse(path):
        if not any(name != "." for name in node):
            return True
        node = next((below for name, below in node.items() if name != "." and _read(name) == element), None)
        if node is None:
            return False
    return True


def scaled(obj: Object) -> Iterator[tuple[str, Owner]]:
    """The fields somebody wrote through a subresource other than status (`scale`), each with who did."""
    for entry in _entries(obj):
        if entry.get("subresource") not in (None, "", "status") and entry.get("operation") == "Update":
            for path in leaves(entry.get("fieldsV1") or {}):
                yield path, _owner(entry)


def left_out(live: Object, desired: Object) -> tuple[str, ...]:
    """JSON pointers of desired fields a request must leave out, because a subresource wrote them last (A1): an autoscaler's
    replicas stay."""
    written = {path for path, _ in scaled(live)}
    if not written:
        return ()
    asked = [path for path in written if paths.get(desired, path) is not MISSING]
    return tuple(sorted(_pointer(path) for path in asked if all(isinstance(e, str) for e in paths.parse(path))))


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The leaf paths of a fieldsV1 tree."""
    for name, below in tree.items():
        if name == ".":
            continue
        here = _spell(path, _read(name))
        if any(key != "." for key in below):
            yield from leaves(below, here)
        else:
            yield here


def _read(name: str) -> paths.Element:
    mark, _, rest = name.partition(":")
    if mark == "k":
        return tuple(sorted(json.loads(rest).items()))
    if mark == "v":
        return (("", json.loads(rest)),)
    return int(rest) if mark == "i" else rest


def _spell(path: str, element: paths.Element) -> str:
    if isinstance(element, str):
        return paths.child(path, element)
    if isinstance(element, int):
        return f"{path}[{element}]"
    return paths.member(path, element[0][1]) if element[0][0] == "" else paths.item(path, element)


def _pointer(path: str) -> str:
    return "".join("/" + str(e).replace("~", "~0").replace("/", "~1") for e in paths.parse(path))


def _entries(obj: Object) -> list[dict[str, Any]]:
    return obj["metadata"].get("managedFields") or []


def _owner(entry: Mapping[str, Any]) -> Owner:
    return Owner(
        entry.get("manager", ""), entry.get("operation", ""), entry.get("subresource", ""), entry.get("time", "")
    )
