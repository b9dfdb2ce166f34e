"""Who manages which fields: what an update and a server-side apply do to `metadata.managedFields`.

After structured-merge-diff `merge.Updater` and k8s.io/apimachinery `managedfields/internal`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.memory import fieldsets, refusal, typed
from tests.memory.fieldsets import Set
from tests.memory.shapes import Type

Object = dict[str, Any]
MOST_UPDATERS = 10
_STRIPPED: Set = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        **{
            f"f:{name}": {}
            for name in (
                "creationTimestamp", "generation", "managedFields", "name", "namespace",
                "resourceVersion", "selfLink", "uid", "clusterName",
            )
        },
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One manager's fields."""

    manager: str
    operation: str
    version: str
    subresource: str
    time: str
    fields: Set

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Who it is: an applier is the same at every version."""
        return self.manager, self.operation, self.version if self.operation == "Update" else "", self.subresource


Entries = dict[tuple[str, str, str, str], Entry]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes now: its name, the apiVersion and subresource it writes by, when, and what it cannot write there."""

    manager: str
    version: str
    time: str
    subresource: str = ""
    reset: Set | None = None


def decoded(obj: Mapping[str, Any]) -> Entries:
    """The entries of an object's `managedFields`."""
    listed = obj.get("metadata", {}).get("managedFields") or ()
    found = [
        Entry(
            one.get("manager", ""), one.get("operation", ""), one.get("apiVersion", ""), one.get("subresource", ""),
            one.get("time", ""), one.get("fieldsV1") or {},
        )
        for one in listed if one
    ]  # fmt: skip
    return {one.key: one for one in found}


def encoded(entries: Entries) -> list[Object]:
    """`managedFields` of the entries, in the server's order."""
    rank = sorted(
        entries.values(), key=lambda one: (one.operation, one.time, one.manager, one.version, one.subresource)
    )
    out = []
    for one in rank:
        made = {
            "manager": one.manager, "operation": one.operation, "apiVersion": one.version, "time": one.time,
            "fieldsType": "FieldsV1", "fieldsV1": one.fields, "subresource": one.subresource,
        }  # fmt: skip
        out.append({name: value for name, value in made.items() if value != "" or name == "fieldsV1"})
    return out


def bare(obj: Mapping[str, Any]) -> Object:
    """The object without `managedFields`."""
    if "managedFields" not in obj.get("metadata", {}):
        return dict(obj)
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": meta}


def updated(of: Type, live: Object | None, new: Object, who: Writer, zero: Object) -> Object:
    """`new` with `managedFields` as a create (`live` None: compared with `zero`), PUT or patch by `who` leaves them."""
    entries = _given(live, new, who)
    if live is not None and not entries:
        return bare(new)  # nobody has applied yet: nothing is tracked
    old, new = bare(live) if live is not None else zero, bare(new)
    entries = _update(of, old, new, entries, who)
    return _with(new, _capped(entries))


def _given(live: Object | None, new: Object, who: Writer) -> Entries:
    """What the request says the managers are, if it may; else what is stored."""
    listed = new.get("metadata", {}).get("managedFields")
    if not who.subresource and listed == [{}]:
        return {}
    found = decoded(new) if not who.subresource and listed else {}
    return found or decoded(live or {})


def _update(of: Type, old: Object, new: Object, entries: Entries, who: Writer) -> Entries:
    changes = _compared(of, old, new, who)
    taken = fieldsets.union(changes.modified, changes.added)
    left = {key: _less(_less(one, taken), changes.removed) for key, one in entries.items()}
    mine = _stripped(_filtered(taken, who))
    key = (who.manager, "Update", who.version, who.subresource)
    if mine:
        before = left[key].fields if key in left else {}
        left[key] = Entry(who.manager, "Update", who.version, who.subresource, who.time, fieldsets.union(before, mine))
    return {one: entry for one, entry in left.items() if entry.fields}


def _compared(of: Type, old: Object, new: Object, who: Writer) -> typed.Changes:
    found = typed.compare(of, old, new)
    if not who.reset:
        return found
    return typed.Changes(*[_filtered(one, who) for one in (found.added, found.removed, found.modified)])


def _filtered(fields: Set, who: Writer) -> Set:
    return fieldsets.beyond(fields, who.reset) if who.reset else fields


def _less(entry: Entry, gone: Set) -> Entry:
    left = fieldsets.difference(entry.fields, gone) if gone else entry.fields
    return entry if left == entry.fields else replace(entry, fields=left)


def _stripped(fields: Set) -> Set:
    return fieldsets.difference(fields, _STRIPPED)


def _with(obj: Object, entries: Entries) -> Object:
    meta = {**obj.get("metadata", {})}
    if entries:
        meta["managedFields"] = encoded(entries)
    return {**obj, "metadata": meta}


def _capped(entries: Entries) -> Entries:
    """At most MOST_UPDATERS entries of updates: the oldest become one of `ancient-changes`."""
    updates = sorted(
        (one for one in entries.values() if one.operation == "Update"), key=lambda one: (one.time, one.manager)
    )
    if len(updates) <= MOST_UPDATERS:
        return entries
    merged: Entries = {one.key: one for one in entries.values() if one.operation != "Update"}
    extra = len(updates) - MOST_UPDATERS
    for one in updates[: extra + 1]:
        old = replace(one, manager="ancient-changes", subresource="")
        known = merged.get(old.key)
        merged[old.key] = replace(old, fields=fieldsets.union(known.fields, old.fields)) if known else old
    return merged | {one.key: one for one in updates[extra + 1 :]}


# Apply


def applied(of: Type, live: Object | None, patch: Object, who: Writer, zero: Object, *, force: bool) -> Object:
    """`live` with `patch` applied by `who`; where `live` is None it is compared with `zero`.

    Raises Refusal: a conflict, or a patch that does not fit its type.
    """
    entries = decoded(live or {})
    old = bare(live or {})
    if live is not None and not entries:
        entries = _before(of, zero, old, who)
    key = (who.manager, "Apply", "", who.subresource)
    last = entries.pop(key, None)
    merged = typed.merge(of, old, patch)
    mine = _filtered(typed.fields(of, patch), who)
    claims = [*(one.fields for one in entries.values()), mine]
    pruned = _pruned(of, merged, last.fields, claims) if last else merged
    rest = _yielded(of, old, pruned, entries, who, force)
    mine = _stripped(mine)
    if mine:
        rest[key] = Entry(who.manager, "Apply", who.version, who.subresource, who.time, mine)
    return _with(pruned, rest)


def _before(of: Type, zero: Object, old: Object, who: Writer) -> Entries:
    """An object made before anybody was tracked: all it has is of `before-first-apply`."""
    first = replace(who, manager="before-first-apply", subresource="")
    return _update(of, zero, old, {}, first)


def _yielded(of: Type, old: Object, new: Object, entries: Entries, who: Writer, force: bool) -> Entries:
    """The other managers' entries after the change from `old` to `new`; a field of theirs that changes is a conflict, or taken."""
    changes = _compared(of, old, new, who)
    taken = fieldsets.union(changes.modified, changes.added)
    lost = {key: common for key, one in entries.items() if (common := fieldsets.intersection(one.fields, taken))}
    if lost and not force:
        raise _conflict([(entries[key], common) for key, common in lost.items()])
    rest = {key: _less(_less(one, lost.get(key, {})), changes.removed) for key, one in entries.items()}
    return {key: one for key, one in rest.items() if one.fields}


def _conflict(lost: list[tuple[Entry, Set]]) -> refusal.Refusal:
    found = [
        (_printed(entry), path)
        for entry, common in sorted(lost, key=lambda one: _identifier(one[0]))
        for path in fieldsets.paths(common)
    ]
    causes = [refusal.Cause("FieldManagerConflict", f"conflict with {who}", path) for who, path in found]
    if len(found) == 1:
        return refusal.apply_conflict(
            causes, f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
        )
    lines = []
    for who in dict.fromkeys(who for who, _ in found):
        lines += [f"conflicts with {who}:", *(f"- {path}" for one, path in found if one == who)]
    return refusal.apply_conflict(causes, f"Apply failed with {len(found)} conflicts: " + "\n".join(lines))


def _identifier(entry: Entry) -> str:
    """By what the server orders managers."""
    named = {
        "manager": entry.manager,
        "operation": entry.operation,
        "apiVersion": entry.key[2],
        "subresource": entry.subresource,
    }
    return json.dumps({name: one for name, one in named.items() if one}, separators=(",", ":"))


def _printed(entry: Entry) -> str:
    who = json.dumps(entry.manager)
    if entry.subresource:
        who += f" with subresource {json.dumps(entry.subresource)}"
    return f"{who} using {entry.version}" if entry.operation == "Update" else who


def _pruned(of: Type, merged: Object, last: Set, claims: list[Set]) -> Object:
    """`merged` without what its applier applied last time, does not apply now, and nobody else claims."""
    owned: Set = {}
    for one in claims:
        owned = fieldsets.union(owned, one)
    last = typed.named(of, last)
    if not fieldsets.difference(last, typed.named(of, owned)):
        return merged  # nothing was left out
    there = typed.named(of, typed.fields(of, merged))
    kept = typed.named(of, typed.fields(of, typed.without(of, merged, last) or {}))
    wanted = fieldsets.union(kept, typed.named(of, owned))
    pruned = typed.without(of, merged, fieldsets.difference(there, wanted)) or {}
    left = typed.named(of, typed.fields(of, pruned))
    out: Object = typed.without(of, merged, fieldsets.intersection(fieldsets.difference(there, left), last)) or {}
    return out
