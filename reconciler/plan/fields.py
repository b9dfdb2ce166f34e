"""Which fields of an object are ours: those we send (`owned`), and those the API server lists as ours (`managed`). A1,
P3.

Both use the notation of `plan.paths` and name leaves only: scalars, empty maps, atomic lists and maps whole, members of
sets. The server's own form is fieldsV1 (`f:` field, `k:` key, `v:` value, `i:` index, `.` the thing itself).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.model import MISSING, Object, Owner
from reconciler.plan import paths
from reconciler.plan.shapes import Keyed, Shape, Table, keys_of, shape, table

MANAGER = "nidus"
DEPTH = 64  # levels of fieldsV1 that are told apart
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


def owned(obj: Object) -> tuple[str, ...]:
    """The field paths that are ours once the object is applied, sorted; without its identity and status."""
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
    for entry in entries(obj):
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            found.update(leaves(entry.get("fieldsV1")))
    return tuple(sorted(found))


class Owners:
    """The owners of one object's fields, read once for many questions."""

    def __init__(self, obj: Object) -> None:
        self._found = [(owner_of(entry), paths.Index(leaves(entry.get("fieldsV1")))) for entry in entries(obj)]
        self._open = frozenset(up for _, one in self._found for path in one.exact for up in paths.ancestors(path)[1:])

    def of(self, path: str) -> list[Owner]:
        """All managers whose entry lists the field, a whole value above it, or a field below it; newest first. If any
        entry lists fields inside a map, the map is not owned as a whole: an entry that lists the map itself owns only
        an empty map."""
        ups = [up for up in paths.ancestors(path) if up == path or up not in self._open]
        found = [owner for owner, index in self._found if path in index.above or any(up in index.exact for up in ups)]
        return sorted(found, key=lambda one: (one.time, one), reverse=True)


def managers(obj: Object, path: str) -> list[Owner]:
    """`Owners(obj).of(path)`, for one path."""
    return Owners(obj).of(path)


def scaled(obj: Object) -> Iterator[tuple[str, Owner]]:
    """The fields written through a subresource other than status (`scale`), each with the manager."""
    for entry in entries(obj):
        if entry.get("subresource") not in (None, "", "status") and entry.get("operation") == "Update":
            for path in leaves(entry.get("fieldsV1")):
                yield path, owner_of(entry)


def left_out(live: Object, desired: Object) -> tuple[str, ...]:
    """JSON pointers of desired fields that were last written through a subresource: a request leaves them to an
    autoscaler (A1)."""
    written = {path for path, _ in scaled(live)}
    if not written:
        return ()
    asked = [path for path in written if paths.get(desired, path) is not MISSING]
    return tuple(sorted(pointer(path) for path in asked if all(isinstance(e, str) for e in paths.parse(path))))


def leaves(tree: Any) -> Iterator[str]:
    """The leaf paths of a fieldsV1 tree. A value that is no tree has none; anything deeper than any schema counts as
    one leaf."""
    stack: list[tuple[str, Any, int]] = [("", tree, 0)]
    while stack:
        path, node, depth = stack.pop()
        names = [name for name in node if name != "."] if isinstance(node, Mapping) else []
        if names and depth < DEPTH:
            stack += [(spell(path, element_of(name)), node[name], depth + 1) for name in names]
        elif path:
            yield path


def element_of(name: str) -> paths.Element:
    """A name in fieldsV1 as the element of a path; a malformed name counts as a field of that name."""
    mark, _, rest = name.partition(":")
    if mark == "f":
        return rest
    if mark == "i" and rest.isascii() and rest.isdigit() and len(rest) < 10:
        return int(rest)
    value = _json(rest) if mark in ("k", "v") else None
    if (
        mark == "k"
        and isinstance(value, dict)
        and value
        and all(map(paths.KEY.match, value))
        and all(map(_is_scalar, value.values()))
    ):
        return tuple(sorted(value.items()))
    return (("", value),) if mark == "v" and _is_scalar(value) else name


def name_of(element: paths.Element) -> str:
    """An element of a path as fieldsV1 names it."""
    if isinstance(element, str):
        return f"f:{element}"
    if isinstance(element, int):
        return f"i:{element}"
    value = element[0][1] if element[0][0] == "" else dict(element)
    return ("v:" if element[0][0] == "" else "k:") + json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def spell(path: str, element: paths.Element) -> str:
    """The path of an element below `path`."""
    if isinstance(element, str):
        return paths.child(path, element)
    if isinstance(element, int):
        return f"{path}[{element}]"
    return paths.member(path, element[0][1]) if element[0][0] == "" else paths.item(path, element)


def entries(obj: Object) -> list[dict[str, Any]]:
    """The entries of live `managedFields`; what is no entry is passed over."""
    found = obj["metadata"].get("managedFields")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def owner_of(entry: Mapping[str, Any]) -> Owner:
    """The owner in an entry of `managedFields`."""
    return Owner(*(str(entry.get(name) or "") for name in ("manager", "operation", "subresource", "time")))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def pointer(path: str) -> str:
    """The JSON pointer of a path of plain fields."""
    return "".join("/" + str(e).replace("~", "~0").replace("/", "~1") for e in paths.parse(path))
