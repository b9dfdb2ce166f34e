"""Objects with the field managers of the server in memory, without a server: for properties of the planner, and for golden cases."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.model import (
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
    replace,
)
from reconciler.plan import paths
from reconciler.plan.compute import compute
from reconciler.plan.fields import owned
from reconciler.plan.mark import mark, ref_of
from reconciler.plan.suspects import Key, request, suspects
from tests.memory import kinds, managers, typed
from tests.memory.managers import Writer
from tests.memory.shapes import DEDUCED, Type

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
    """Objects by target and ref, with the field managers of the server in memory: `apply` answers as a real server would for manager
    `nidus`, and takes what others hold."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.count = 0

    def dry_run(self, target: Target, obj: Object) -> dict[str, Any]:
        live = self.objects.get((target, ref_of(obj)))
        of = _type(obj)
        who = Writer("nidus", str(obj["apiVersion"]), "2026-01-01T00:00:00Z")
        made = managers.applied(of, live, _plain(obj), who, {}, force=True)
        return {**made, "metadata": {"uid": "", **made["metadata"]}}

    def edit(
        self, target: Target, obj: Object, manager: str, *, subresource: str = "", time: str = ""
    ) -> dict[str, Any]:
        """Somebody else writes these fields (a plain update), over what is there or anew."""
        key, of = (target, ref_of(obj)), _type(obj)
        live = self.objects.get(key)
        who = Writer(manager, str(obj["apiVersion"]), time, subresource)
        new = typed.merge(of, managers.bare(live), _plain(obj)) if live else {**_plain(obj)}
        made = managers.updated(of, live, {**new, "metadata": {"uid": f"uid-{manager}", **new["metadata"]}}, who, {})
        self.objects[key] = made
        return made

    def apply(self, target: Target, obj: Object) -> dict[str, Any]:
        live = self.dry_run(target, obj)
        if not live["metadata"]["uid"]:
            self.count += 1
            live["metadata"]["uid"] = f"uid-{self.count}"
        self.objects[target, ref_of(obj)] = live
        return live


def _plain(obj: Object) -> dict[str, Any]:
    return copy.deepcopy(dict(obj))


def _type(obj: Object) -> Type:
    """The type of a kind of Kubernetes itself; of others, what their values tell."""
    found = (
        kind.type for kind in kinds.built_in() if (kind.api_version, kind.kind) == (obj["apiVersion"], obj["kind"])
    )
    return next(found, DEDUCED)


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
