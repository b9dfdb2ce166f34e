"""Sets of field paths, kept as fieldsV1 writes them: a name leads to what is below it, {} is a member, "." one with more below.

The algebra is that of structured-merge-diff `fieldpath.Set`: members and what is below them are set apart, so taking a member
away leaves its children. Sets are values: nothing here changes one.
"""

import json
from collections.abc import Iterator
from typing import Any

Set = dict[str, Any]
SELF = "."


def is_member(node: Set | None) -> bool:
    """Whether the path that led here is in the set."""
    return node is not None and (not node or SELF in node)


def node(member: bool, below: Set) -> Set | None:
    """What a name leads to, None when it leads to nothing."""
    if not below:
        return {} if member else None
    return {SELF: {}, **below} if member else below


def union(a: Set, b: Set) -> Set:
    """Every path of both."""
    out = dict(a)
    for name, other in b.items():
        mine = out.get(name)
        out[name] = other if mine is None or name == SELF else _joined(mine, other)
    return out


def _joined(a: Set, b: Set) -> Set:
    if not a or not b:
        return {SELF: {}, **a, **b} if a or b else {}
    return union(a, b)


def difference(a: Set, b: Set) -> Set:
    """The paths of `a` that are not in `b`."""
    out: Set = {}
    for name, mine in a.items():
        other = b.get(name)
        if name == SELF:
            continue
        if other is None:
            out[name] = mine
            continue
        left = node(is_member(mine) and not is_member(other), difference(mine, other))
        if left is not None:
            out[name] = left
    return out


def intersection(a: Set, b: Set) -> Set:
    """The paths in both."""
    out: Set = {}
    for name, mine in a.items():
        other = b.get(name)
        if other is None or name == SELF:
            continue
        left = node(is_member(mine) and is_member(other), intersection(mine, other))
        if left is not None:
            out[name] = left
    return out


def paths(of: Set, prefix: str = "") -> Iterator[str]:
    """Each path as conflicts name it, such as .spec.ports[port=80,protocol="TCP"].name; members of a level before what is below."""
    names = sorted((name for name in of if name != SELF), key=order)
    for name in names:
        if is_member(of[name]):
            yield prefix + spelled(name)
    for name in names:
        if of[name]:
            yield from paths(of[name], prefix + spelled(name))


def order(name: str) -> tuple[int, Any]:
    """The order of path elements: field names, keys, values, indexes."""
    rank = "fkvi".index(name[0])
    return rank, name


def spelled(name: str) -> str:
    """One element as a conflict names it."""
    form, _, rest = name.partition(":")
    if form == "f":
        return f".{rest}"
    if form == "k":
        keys: dict[str, Any] = json.loads(rest)
        return "[" + ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()) + "]"
    return f"[={rest}]" if form == "v" else f"[{rest}]"


def beyond(a: Set, b: Set) -> Set:
    """The paths of `a` that are neither in `b` nor below a member of `b`."""
    out: Set = {}
    for name, mine in a.items():
        other = b.get(name)
        if name == SELF or is_member(other):
            continue
        left = mine if other is None else node(is_member(mine), beyond(mine, other))
        if left is not None:
            out[name] = left
    return out
