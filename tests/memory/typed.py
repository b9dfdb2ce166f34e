"""Typed values of server-side apply: check, list the fields, compare, merge, take fields out (structured-merge-diff `typed`).

Values are plain JSON. ABSENT is "no value", None is JSON's null: the difference decides here.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.memory import fieldsets
from tests.memory.fieldsets import Set, is_member, node
from tests.memory.shapes import List, Map, Type


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
Json = Any


class Untyped(Exception):
    """A value does not fit its type: where and how, as structured-merge-diff says it."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        super().__init__(errors[0] if len(errors) == 1 else "\n".join(["errors:", *(f"  {one}" for one in errors)]))


def form(of: Type, value: Json) -> str:
    """Which of its forms a type takes for a value: map, scalar or list, in that order where the value does not tell (deduceAtom)."""
    if isinstance(value, dict) and of.map:
        return "map"
    if isinstance(value, list) and of.list:
        return "list"
    if isinstance(value, str | int | float) and of.scalar:
        return "scalar"
    return "map" if of.map else ("scalar" if of.scalar else "list")


def key_of(of: List, item: Json) -> str:
    """The path element of an item of a set or a list by keys; raises ValueError with the server's words."""
    if of.keys:
        return "k:" + _json(_keys_of(of, item))
    if isinstance(item, dict):
        raise ValueError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ValueError("not supported: associative list with lists as elements")
    if item is None:
        raise ValueError("associative list without keys has an element that's an explicit null")
    return "v:" + _json(item)


def _keys_of(of: List, item: Json) -> dict[str, Json]:
    if item is None:
        raise ValueError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise ValueError("associative list with keys may not have non-map elements")
    given = of.item.map.given if of.item.map else {}
    found = {key: item.get(key, given.get(key)) for key in of.keys if key in item or given.get(key) is not None}
    if not found:
        names = " ".join(_json(key) for key in of.keys)
        words = "associative list with keys has an element that omits all key fields"
        raise ValueError(f"{words} [{names}] (and doesn't have default values for any key fields)")
    return dict(sorted(found.items()))


def _json(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _field(of: Map, name: str) -> Type | None:
    return of.fields.get(name, of.other)


# Check


def check(of: Type, value: Json, *, duplicates: bool = False) -> None:
    """Raise Untyped when `value` does not fit; `duplicates` may be in lists by key of what is stored already."""
    errors = [f"{path}: {words}" if path else words for path, words in _faults(of, value, "", duplicates)]
    if errors:
        raise Untyped(errors)


def _faults(of: Type, value: Json, path: str, duplicates: bool) -> Iterator[tuple[str, str]]:
    match form(of, value):
        case "map" if of.map:
            yield from _map_faults(of.map, value, path, duplicates)
        case "list" if of.list:
            yield from _list_faults(of.list, value, path, duplicates)
        case _:
            words = _scalar_fault(of.scalar, value)
            if words:
                yield path, words


def _map_faults(of: Map, value: Json, path: str, duplicates: bool) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield path, f"expected map, got &{{{_go(value)}}}"
        return
    for name, one in value.items():
        kind = _field(of, name)
        if kind is None:
            yield f"{path}.{name}", "field not declared in schema"
            return
        yield from _faults(kind, one, f"{path}.{name}", duplicates)


def _list_faults(of: List, value: Json, path: str, duplicates: bool) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if not isinstance(value, list):
        yield path, f"expected list, got &{{{_go(value)}}}"
        return
    seen = set()
    for at, item in enumerate(value):
        try:
            key = key_of(of, item) if of.form != "atomic" else f"i:{at}"
        except ValueError as error:
            yield path, f"element {at}: {error}"
            return
        if key in seen and not duplicates:
            yield path, f"duplicate entries for key {fieldsets.spelled(key)}"
        seen.add(key)
        yield from _faults(of.item, item, path + fieldsets.spelled(key), duplicates)


_WANTED: dict[str, tuple[Callable[[Json], bool], str]] = {
    "n": (lambda v: isinstance(v, int | float) and not isinstance(v, bool), "numeric (int or float)"),
    "s": (lambda v: isinstance(v, str), "string"),
    "b": (lambda v: isinstance(v, bool), "boolean"),
    "u": (lambda v: isinstance(v, str | int | float), "any scalar"),
}


def _scalar_fault(scalar: str, value: Json) -> str:
    fits, words = _WANTED[scalar]
    if value is None or fits(value):
        return ""
    return f"expected {words}, got {_go_type(value) if scalar == 'n' else '&{' + _go(value) + '}'}"


def _go(value: Json) -> str:
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go(one)}" for key, one in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go, value)) + "]"
    return {True: "true", False: "false", None: "<nil>"}[value] if value in (True, False, None) else str(value)


def _go_type(value: Json) -> str:
    names = {str: "string", bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
    return names.get(type(value), "interface {}")


# Fields


def fields(of: Type, value: Json) -> Set:
    """The set of all leaf fields of a value, items of lists by key included."""
    return _fields(of, value)[1]


def _fields(of: Type, value: Json) -> tuple[bool, Set]:
    match form(of, value):
        case "map" if of.map:
            return (True, {}) if of.map.atomic else (False, _map_fields(of.map, value or {}))
        case "list" if of.list:
            return (True, {}) if of.list.form == "atomic" else (False, _list_fields(of.list, value or []))
    return True, {}


def _map_fields(of: Map, value: dict[str, Json]) -> Set:
    out: Set = {}
    for name, one in value.items():
        kind = _field(of, name)
        if kind is None:
            continue
        member, below = _fields(kind, one)
        found = node(member or one is None or one == {} or name not in of.fields, below)
        if found is not None:
            out[f"f:{name}"] = found
    return out


def _list_fields(of: List, value: list[Json]) -> Set:
    out: Set = {}
    for item in value:
        key = key_of(of, item)
        if key in out:
            out[key] = {}
            continue
        out[key] = node(True, _fields(of.item, item)[1]) or {}
    return out


# Compare


@dataclass(slots=True)
class Changes:
    """The fields that differ between two values."""

    added: Set = field(default_factory=dict)
    removed: Set = field(default_factory=dict)
    modified: Set = field(default_factory=dict)


_Three = tuple[Set | None, Set | None, Set | None]
_NONE: _Three = (None, None, None)
_ADDED: _Three = ({}, None, None)
_REMOVED: _Three = (None, {}, None)
_MODIFIED: _Three = (None, None, {})


def compare(of: Type, old: Json, new: Json) -> Changes:
    """Return which fields were added, removed and modified from `old` to `new`."""
    added, removed, modified = _compare(of, old, new)
    return Changes(added or {}, removed or {}, modified or {})


def same(a: Json, b: Json) -> bool:
    """Whether two JSON values are equal; unlike Python's, true is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(one, b[name]) for name, one in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _compare(of: Type, old: Json, new: Json) -> _Three:
    if old is new:
        return _NONE
    left, right = form(of, old), form(of, new)
    if old is ABSENT or new is ABSENT or old is None or new is None or left == right:
        return _compare_as(of, right if old is ABSENT or old is None else left, old, new)
    return _joined(_compare_as(of, left, old, new), _compare_as(of, right, old, new))


def _joined(a: _Three, b: _Three) -> _Three:
    one, two, three = (
        y if x is None else (x if y is None else fieldsets.union({"f:": x}, {"f:": y})["f:"])
        for x, y in zip(a, b, strict=True)
    )
    return one, two, three


def _compare_as(of: Type, shape: str, old: Json, new: Json) -> _Three:
    """Compare two values as this form of the type; one of another form counts as nothing of it."""
    if shape == "map" and of.map and not of.map.atomic and (_filled(old, dict) or _filled(new, dict)):
        found = _compare_maps(of.map, _part(old, dict), _part(new, dict))
    elif shape == "list" and of.list and of.list.form != "atomic" and (_filled(old, list) or _filled(new, list)):
        found = _compare_lists(of.list, _part(old, list), _part(new, list))
    else:
        return _leaf(old, new)
    return _with_self(found, old, new)


def _part(value: Json, kind: type) -> Json:
    return value if isinstance(value, kind) else kind()


def _with_self(found: _Three, old: Json, new: Json) -> _Three:
    added, removed, modified = found
    if old is ABSENT:
        return node(True, added or {}), removed, modified
    if new is ABSENT:
        return added, node(True, removed or {}), modified
    return found


def _leaf(old: Json, new: Json) -> _Three:
    if old is ABSENT:
        return _ADDED
    if new is ABSENT:
        return _REMOVED
    return _NONE if same(old, new) else _MODIFIED


def _filled(value: Json, kind: type) -> bool:
    return isinstance(value, kind) and bool(value)


def _or(value: Json, empty: Json) -> Json:
    return empty if value is ABSENT or value is None else value


def _compare_maps(of: Map, old: dict[str, Json], new: dict[str, Json]) -> _Three:
    found = []
    for name in {**old, **new}:
        kind = _field(of, name)
        if kind is not None:
            found.append((f"f:{name}", _compare(kind, old.get(name, ABSENT), new.get(name, ABSENT))))
    return _gathered(found)


def _gathered(found: list[tuple[str, _Three]]) -> _Three:
    out: tuple[Set, Set, Set] = ({}, {}, {})
    for name, three in found:
        for into, one in zip(out, three, strict=True):
            if one is not None:
                into[name] = one
    return out[0] or None, out[1] or None, out[2] or None


def _compare_lists(of: List, old: list[Json], new: list[Json]) -> _Three:
    before, after = _grouped(of, old), _grouped(of, new)
    return _gathered(
        [(key, _compare_items(of, before.get(key, []), after.get(key, []))) for key in {**before, **after}]
    )


def _grouped(of: List, items: list[Json]) -> dict[str, list[Json]]:
    out: dict[str, list[Json]] = {}
    for item in items:
        out.setdefault(key_of(of, item), []).append(item)
    return out


def _compare_items(of: List, old: list[Json], new: list[Json]) -> _Three:
    """Items of one key; several of one key are one leaf."""
    if len(old) <= 1 and len(new) <= 1:
        return _compare(of.item, old[0] if old else ABSENT, new[0] if new else ABSENT)
    if len(old) > 1 and len(new) > 1:
        return _NONE if same(old, new) else _MODIFIED
    if len(old) > 1:
        added = _compare(of.item, ABSENT, new[0])[0] if new else None
        return added, {}, None
    removed = _compare(of.item, old[0], ABSENT)[1] if old else None
    return {}, removed, None


# Merge


def merge(of: Type, old: Json, new: Json) -> Json:
    """`new` laid over `old`; ABSENT where nothing is left."""
    if new is ABSENT or old is ABSENT:
        kind, there = form(of, new if old is ABSENT else old), (new if old is ABSENT else old)
        if kind != "list" or of.list is None or of.list.form == "atomic":
            return there
        return there
    shape = form(of, new if new is not None else old)
    if new is not None and old is not None and form(of, old) != shape:
        return new
    if shape == "map" and of.map and not of.map.atomic and (_filled(old, dict) or _filled(new, dict)):
        return _merge_maps(of.map, _or(old, {}), _or(new, {}))
    if shape == "list" and of.list and of.list.form != "atomic" and (_filled(old, list) or _filled(new, list)):
        return _merge_lists(of.list, _or(old, []), _or(new, []))
    return new


def _merge_maps(of: Map, old: dict[str, Json], new: dict[str, Json]) -> Json:
    out = dict(old)
    for name, one in new.items():
        kind = _field(of, name)
        if kind is not None:
            out[name] = merge(kind, old.get(name, ABSENT), one)
    return out


def _merge_lists(of: List, old: list[Json], new: list[Json]) -> Json:
    """Items of both by key, in the order structured-merge-diff gives them: shared items as in `new`, others where they were."""
    left, right = [key_of(of, item) for item in old], [key_of(of, item) for item in new]
    before, after = _first(left, old), dict(zip(right, new, strict=True))
    shared = [key for key in right if key in before]
    turn, done, out = 0, set[str](), list[Json]()
    at, to = 0, 0
    while at < len(left) or to < len(right):
        if at < len(left) and to < len(right):
            if left[at] == right[to]:
                done.add(left[at])
                out.append(merge(of.item, before[left[at]], after[right[to]]))
                at, to, turn = at + 1, to + 1, turn + 1
                continue
            if left[at] in after and turn < len(shared) and shared[turn] != left[at]:
                at += 1
                continue
        if at < len(left):
            if left[at] not in after:
                out.append(old[at])
                at += 1
                continue
            if left[at] in done:
                at += 1
        if to < len(right):
            key = right[to]
            done.add(key)
            out.append(merge(of.item, before.get(key, ABSENT), after[key]))
            turn += turn < len(shared) and shared[turn] == key
            to += 1
    return out


def _first(keys: list[str], items: list[Json]) -> dict[str, Json]:
    """Items by key; several of one key are not merged with anything (null)."""
    out: dict[str, Json] = {}
    for key, item in zip(keys, items, strict=True):
        out[key] = None if key in out else item
    return out


# Take out


def without(of: Type, value: Json, gone: Set) -> Json:
    """`value` without the fields of `gone`; what is emptied becomes null."""
    match form(of, value):
        case "map" if of.map:
            return _map_without(of.map, value, gone)
        case "list" if of.list:
            return _list_without(of.list, value, gone)
    return value


def _map_without(of: Map, value: Json, gone: Set) -> Json:
    if not isinstance(value, dict) or not value or of.atomic:
        return None
    out = {}
    for name, one in value.items():
        below = gone.get(f"f:{name}")
        kind = _field(of, name)
        if is_member(below):
            continue
        out[name] = without(kind, one, below) if below and kind else one
    return out or None


def _list_without(of: List, value: Json, gone: Set) -> Json:
    if not isinstance(value, list) or not value or of.form == "atomic":
        return None
    out = []
    for item in value:
        below = gone.get(key_of(of, item))
        if is_member(below):
            continue
        out.append(without(of.item, item, below) if below else item)
    return out or None


def named(of: Type | None, given: Set) -> Set:
    """`given` with each struct field it goes through as a member (Set.EnsureNamedFieldsAreMembers)."""
    out: Set = {}
    for name, below in given.items():
        if name == fieldsets.SELF:
            out[name] = below
            continue
        kind, declared = _step(of, name)
        inner = named(kind, below)
        member = is_member(below) or declared
        out[name] = node(member, {one: more for one, more in inner.items() if one != fieldsets.SELF}) or {}
    return out


def _step(of: Type | None, name: str) -> tuple[Type | None, bool]:
    if of is None:
        return None, False
    if name.startswith("f:") and of.map:
        return _field(of.map, name[2:]), name[2:] in of.map.fields
    if name.startswith("k:") and of.list:
        return of.list.item, False
    return None, False
