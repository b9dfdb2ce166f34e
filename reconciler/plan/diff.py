"""The changes of an object, field by field (P3): only fields we own, lists by their keys; empty values count as
equal."""

from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.model import MISSING, FieldChange, Object
from reconciler.plan import paths
from reconciler.plan.fields import SERVER_METADATA, TOP
from reconciler.plan.shapes import Keyed, Table, among, keys_of, shape, table
from reconciler.plan.walk import empty, whole


def diff(
    desired: Object, live: Object | None, merged: Object | None, owned_paths: Iterable[str], ignore: Sequence[str]
) -> tuple[FieldChange, ...]:
    """Field changes from `live` to `merged` (the server's dry-run answer; without one, to `desired`), sorted by path.

    `owned_paths`: the fields that count, ours now or at our last apply; `ignore`: JSON pointers that do not. Values are the
    plain ones: `plan.redact` comes after.
    """
    after = without(merged if merged is not None else desired, ignore)
    before = without(live, ignore) if live is not None else {}
    found: list[FieldChange] = []
    compare = _Compare(table(desired["apiVersion"]), found, subset=merged is None)
    for part, skip in (("", TOP), ("metadata", SERVER_METADATA)):
        old, new = (before.get(part, {}), after.get(part, {})) if part else (before, after)
        compare.fields(_less(old, skip), _less(new, skip), part, part)
    ours = paths.Index(owned_paths)
    return tuple(sorted((one for one in found if ours.touches(one.path)), key=lambda one: one.path))


def without(obj: Object, pointers: Sequence[str]) -> Object:
    """The object without the values at these JSON pointers; also used for the object to send."""
    for pointer in pointers:
        obj = _drop(obj, parts(pointer))
    return obj


def parts(pointer: str) -> list[str]:
    """The names in a JSON pointer (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _drop(value: Any, names: list[str]) -> Any:
    if not names:
        return value
    head, rest = names[0], names[1:]
    if isinstance(value, dict) and head in value:
        if rest:
            return {**value, head: _drop(value[head], rest)}
        return {key: below for key, below in value.items() if key != head}
    at = position(head, value)
    if isinstance(value, list) and at is not None:
        return [*value[:at], *([_drop(value[at], rest)] if rest else []), *value[at + 1 :]]
    return value


def position(name: str, items: Any) -> int | None:
    """The place in a list that a name in a JSON pointer means, None where there is none."""
    if not isinstance(items, list) or not (name.isascii() and name.isdigit()) or len(name) > 9:
        return None
    return int(name) if int(name) < len(items) else None


def _less(value: Any, skip: frozenset[str]) -> dict[str, Any]:
    return {key: below for key, below in value.items() if key not in skip}


class _Compare:
    """Walks two values together and collects leaves that differ; `subset`: leaves that only the old side has do not
    count."""

    def __init__(self, rows: Table, found: list[FieldChange], *, subset: bool) -> None:
        self.rows, self.found, self.subset = rows, found, subset

    def fields(self, old: dict[str, Any] | None, new: dict[str, Any] | None, path: str, above: str) -> None:
        old, new = old or {}, new or {}
        for key in old.keys() | new.keys():
            if not (self.subset and key not in new):
                self.value(old.get(key), new.get(key), paths.child(path, key), above, key)

    def value(self, old: Any, new: Any, path: str, above: str, name: str) -> None:
        if empty(name, old) and empty(name, new):
            return
        form = shape(self.rows, above, name)
        if form is None and _both(dict, old, new):
            self.fields(old, new, path, name)
        elif form == "set" and _both(list, old, new):
            self._set(old, new, path)
        elif isinstance(form, Keyed) and _both(list, old, new):
            self._keyed(old, new, path, name, form)
        else:
            self._whole(old, new, path)

    def _whole(self, old: Any, new: Any, path: str) -> None:
        if not whole(new, old, self.rows if self.subset else {}):
            self._note(path, old, new)

    def _set(self, old: list[Any] | None, new: list[Any] | None, path: str) -> None:
        old, new = old or [], new or []
        before, after = among(old), among(new)
        for one in old:
            if not self.subset and not after(one):
                self._note(paths.member(path, one), one, None)
        for one in new:
            if not before(one):
                self._note(paths.member(path, one), None, one)

    def _keyed(self, old: list[Any] | None, new: list[Any] | None, path: str, name: str, form: Keyed) -> None:
        old, new = old or [], new or []
        old_keys, new_keys = keys_of(old, form), keys_of(new, form)
        if old_keys is None or new_keys is None:
            return self._whole(old, new, path)
        before, after = dict(zip(old_keys, old, strict=True)), dict(zip(new_keys, new, strict=True))
        for key in dict.fromkeys([*old_keys, *new_keys]):
            if key in after or not self.subset:
                self._item(before.get(key), after.get(key), path, name, (form, key))
        return self._order(old_keys, new_keys, path)

    def _order(self, old: list[tuple[Any, ...]], new: list[tuple[Any, ...]], path: str) -> None:
        """Items of both sides whose order changed: the order of containers and of variables matters."""
        before, after = set(old), set(new)
        if [key for key in new if key in before] != [key for key in old if key in after]:
            self._note(path, [_name(key) for key in old], [_name(key) for key in new])

    def _item(self, old: Any, new: Any, path: str, name: str, row: tuple[Keyed, tuple[Any, ...]]) -> None:
        form, key = row
        here = paths.item(path, zip(form.keys, key, strict=True))
        if old is None or new is None or form.whole:
            self._whole(old, new, here)
        else:
            self.fields(old, new, here, name)

    def _note(self, path: str, old: Any, new: Any) -> None:
        self.found.append(FieldChange(path, MISSING if old is None else old, MISSING if new is None else new))


def _both(kind: type, old: Any, new: Any) -> bool:
    """Whether both sides are of this kind, or one is and the other is missing."""
    return (old is None or isinstance(old, kind)) and (new is None or isinstance(new, kind))


def _name(key: tuple[Any, ...]) -> str:
    return "/".join(str(part) for part in key)
