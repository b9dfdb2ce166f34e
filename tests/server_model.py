"""A tiny pure model of server-side apply, for properties of the planner: fields set and removed by owner, lists by key."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.model import (
    MISSING,
    Bundle,
    Desired,
    InventoryEntry,
    Layer,
    Object,
    ObjectRef,
    Observed,
    Plan,
    Revision,
    Target,
    Tombstone,
)
from reconciler.plan import paths
from reconciler.plan.compute import compute
from reconciler.plan.fields import leaves, owned
from reconciler.plan.mark import mark, ref_of
from reconciler.plan.shapes import Keyed, Table, keys_of, shape, table
from reconciler.plan.suspects import Key, request, suspects

HOST = Target("local")
NESTED = Target("local", "team-a")
SALT = b"salt"
NONCE = "0a1b2c3d"


def tree(fields: Iterable[str]) -> dict[str, Any]:
    """fieldsV1 of leaf paths."""
    root: dict[str, Any] = {}
    for path in fields:
        node = root
        for element in paths.parse(path):
            node = node.setdefault(_spelled(element), {})
            if isinstance(element, tuple):
                node.setdefault(".", {})
    return root


def _spelled(element: paths.Element) -> str:
    import json

    if isinstance(element, str):
        return f"f:{element}"
    if isinstance(element, int):
        return f"i:{element}"
    if element[0][0] == "":
        return f"v:{json.dumps(element[0][1])}"
    return f"k:{json.dumps(dict(element), separators=(',', ':'))}"


class Server:
    """Objects by target and ref. `apply` answers as a real server would for manager `nidus`, unforced, without conflicts."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.count = 0

    def dry_run(self, target: Target, obj: Object) -> dict[str, Any]:
        old = self.objects.get((target, ref_of(obj)))
        live = copy.deepcopy(old) if old else {"metadata": {"uid": ""}}
        rows = table(obj["apiVersion"])
        before = {p for e in live["metadata"].get("managedFields", ()) if e["manager"] == "nidus" for p in e["paths"]}
        entries = live["metadata"].get("managedFields", ())
        theirs = {path for e in entries if e["manager"] != "nidus" for path in leaves(e["fieldsV1"])}
        for path in sorted(before - theirs - set(owned(obj)), reverse=True):
            _remove(live, list(paths.parse(path)))
        _merge(live, copy.deepcopy(dict(obj)), "", "", rows)
        others = [e for e in live["metadata"].get("managedFields", ()) if e["manager"] != "nidus"]
        ours = {"manager": "nidus", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "paths": list(owned(obj))}
        live["metadata"]["managedFields"] = [*others, {**ours, "fieldsV1": tree(owned(obj))}]
        return live

    def merged(self, live: dict[str, Any], obj: Object) -> dict[str, Any]:
        """The live object with these fields written over it."""
        new = copy.deepcopy(live)
        _merge(new, copy.deepcopy(dict(obj)), "", "", table(obj["apiVersion"]))
        return new

    def apply(self, target: Target, obj: Object) -> dict[str, Any]:
        live = self.dry_run(target, obj)
        if not live["metadata"]["uid"]:
            self.count += 1
            live["metadata"]["uid"] = f"uid-{self.count}"
        self.objects[target, ref_of(obj)] = live
        return live


def _merge(live: dict[str, Any], new: Mapping[str, Any], above: str, name: str, rows: Table) -> None:
    for key, value in new.items():
        form = shape(rows, name, key)
        if isinstance(value, dict) and form is None and isinstance(live.get(key), dict):
            _merge(live[key], value, name, key, rows)
        elif isinstance(value, list) and isinstance(form, Keyed) and isinstance(live.get(key), list):
            live[key] = _merge_list(live[key], value, form, key, rows)
        elif isinstance(value, list) and form == "set" and isinstance(live.get(key), list):
            live[key] = [*live[key], *[one for one in value if one not in live[key]]]
        else:
            live[key] = value


def _merge_list(live: list[Any], new: list[Any], form: Keyed, name: str, rows: Table) -> list[Any]:
    old_keys, new_keys = keys_of(live, form), keys_of(new, form)
    if old_keys is None or new_keys is None:
        return new
    old = dict(zip(old_keys, live, strict=True))
    out = []
    for key, one in zip(new_keys, new, strict=True):
        item = old.pop(key, {})
        if form.whole:
            item = one
        else:
            _merge(item, one, "", name, rows)
        out.append(item)
    return out + list(old.values())


def _remove(value: Any, elements: list[paths.Element]) -> None:
    head, rest = elements[0], elements[1:]
    if isinstance(head, str) and isinstance(value, dict) and head in value:
        if rest:
            _remove(value[head], rest)
            if isinstance(rest[0], tuple) and value[head] == []:
                del value[head]
        else:
            del value[head]
    elif isinstance(head, tuple) and isinstance(value, list):
        found = paths._step(value, head)
        if found is MISSING:
            return
        if rest and set(found) - {k for k, _ in head}:
            _remove(found, rest)
        if not rest or set(found) <= {k for k, _ in head}:
            value.remove(found)


def layer(name: str = "web/base", target: Target = NESTED, **more: Any) -> Layer:
    return Layer(name, target, "manifests", {}, "d", **more)


def bundle(*layers: Layer, tombstone: Tombstone | None = None, commit: str = "4f2a1c9") -> Bundle:
    return Bundle("team-a", "vcluster-team-a", Revision("main", commit), layers, "digest", tombstone=tombstone)


def wanted(one: Layer, *objects: Object) -> Desired:
    nested = bool(one.target.nested)
    marked = [mark(obj, cluster="team-a", layer=one.name, nonce=NONCE, nested=nested) for obj in objects]
    return Desired(one, tuple(marked))


def observe(
    server: Server,
    desired: Sequence[Desired],
    inventory: Sequence[InventoryEntry],
    driven: Mapping[str, str] | None = None,
) -> dict[Key, Observed]:
    """Everything asked about, with the dry-run's answer for the suspects: what a pass gathers. `driven`: who drives which
    object."""
    keys = {(d.layer.target, ref_of(obj)) for d in desired for obj in d.objects} | {
        (e.target, e.ref) for e in inventory
    }
    drives = driven or {}
    seen = {key: Observed(*key, server.objects.get(key), driven=drives.get(str(key[1]), "")) for key in keys}
    for key in suspects(desired, seen, inventory, {}):
        d, obj = next((d, o) for d in desired for o in d.objects if (d.layer.target, ref_of(o)) == key)
        merged = server.dry_run(key[0], request(obj, d.layer, seen[key].live, seen[key].driven))
        seen[key] = replace(seen[key], merged=merged)
    return seen


def plan(
    server: Server,
    desired: Sequence[Desired],
    inventory: Sequence[InventoryEntry] = (),
    *,
    of: Bundle | None = None,
    unknown: Mapping[str, str] | None = None,
    now: float = 0.0,
    driven: Mapping[str, str] | None = None,
) -> Plan:
    of = of or bundle(*[d.layer for d in desired])
    seen = observe(server, desired, inventory, driven)
    return compute(of, desired, seen, inventory, salt=SALT, unknown=unknown or {}, nonce=NONCE, now=now)


def execute(server: Server, todo: Plan, inventory: Sequence[InventoryEntry] = ()) -> list[InventoryEntry]:
    """Carry a plan out and confirm it in the inventory."""
    entries = {(e.target, e.ref): e for e in inventory}
    for change in todo.changes:
        key = (change.target, change.ref)
        if change.action == "replace":
            del server.objects[key]
        if change.action in ("create", "configure", "adopt", "replace") and change.desired is not None:
            live = server.apply(change.target, change.desired)
            entries[key] = InventoryEntry(*key, change.layer, live["metadata"]["uid"], "owned", owned(change.desired))
        elif change.action == "delete":
            del server.objects[key], entries[key]
    return list(entries.values())


def actions(of: Plan) -> list[tuple[str, str, str]]:
    return [(c.action, str(c.ref), c.reason) for c in of.changes]


def config_map(name: str, namespace: str = "web", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def entry(
    ref: ObjectRef, uid: str = "uid-1", target: Target = NESTED, name: str = "web/base", **more: Any
) -> InventoryEntry:
    return InventoryEntry(target, ref, name, uid, more.pop("state", "owned"), **more)
