"""The subresource /scale: replicas of a workload, or of a custom kind by its paths (managedfields/scalehandler.go)."""

import dataclasses
from typing import Any

from tests.memory import fieldsets, managers, refusal, typed
from tests.memory.core import Ask, Core
from tests.memory.kinds import Kind, library
from tests.memory.managers import Entries, Writer
from tests.memory.shapes import Map, Type

Object = dict[str, Any]
VERSION = "autoscaling/v1"
_REPLICAS: fieldsets.Set = {"f:spec": {"f:replicas": {}}}


def of(core: Core, ask: Ask) -> Object:
    """The Scale of an object."""
    return shown(ask.kind, _parent(core, ask))


def shown(kind: Kind, parent: Object) -> Object:
    """The Scale of `parent` as it is given back."""
    return managers.bare(_scale(kind, parent))


def applied(core: Core, ask: Ask) -> tuple[Object, Object]:
    """The parent as a server-side apply of its Scale leaves it, and the Scale; `ask.body` is the patch."""
    old = _parent(core, ask)
    live = _scale(ask.kind, old)
    who = Writer(ask.manager, VERSION, core.now(), "scale")
    try:
        typed.check(_type(), ask.body)
        new = managers.applied(_type(), live, ask.body, who, {}, force=ask.query.get("force") == "true")
    except typed.Untyped as error:
        where = f"{ask.namespace}/{ask.name}; {VERSION}, Kind=Scale"
        raise refusal.broken(f"failed to create typed patch object ({where}): {error}") from None
    return _with(ask.kind, old, new), new


def _parent(core: Core, ask: Ask) -> Object:
    found = core.storage.get(ask.kind.resource, ask.namespace, ask.name)
    if found is None:
        raise refusal.not_found(ask.kind.what(ask.name))
    return found


def _scale(kind: Kind, parent: Object) -> Object:
    meta = {
        name: parent["metadata"][name]
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if name in parent["metadata"]
    }
    entries = {
        key: dataclasses.replace(one, version=VERSION, fields=_REPLICAS)
        for key, one in managers.decoded(parent).items()
        if fieldsets.intersection(one.fields, _REPLICAS)
    }
    wanted = (parent.get("spec") or {}).get("replicas")
    status: Object = {"replicas": (parent.get("status") or {}).get("replicas", 0)}
    labels = ((parent.get("spec") or {}).get("selector") or {}).get("matchLabels") if kind.custom is None else None
    status |= {"selector": ",".join(f"{name}={one}" for name, one in sorted(labels.items()))} if labels else {}
    return {
        "apiVersion": VERSION,
        "kind": "Scale",
        "metadata": {**meta, "managedFields": managers.encoded(entries)},
        "spec": {"replicas": wanted} if wanted else {},
        "status": status,
    }


def _with(kind: Kind, parent: Object, scale: Object) -> Object:
    """The parent with the replicas of its Scale, and who manages them now."""
    spec = {**(parent.get("spec") or {}), "replicas": (scale.get("spec") or {}).get("replicas", 0)}
    kept = _kept(managers.decoded(parent), managers.decoded(scale), kind.api_version)
    meta = {name: one for name, one in parent["metadata"].items() if name != "managedFields"}
    return {**parent, "metadata": {**meta, "managedFields": managers.encoded(kept)}, "spec": spec}


def _kept(parent: Entries, scale: Entries, version: str) -> Entries:
    out: Entries = {}
    left = {_who(one): one for one in scale.values() if fieldsets.intersection(one.fields, _REPLICAS)}
    for key, entry in parent.items():
        if not fieldsets.intersection(entry.fields, _REPLICAS):
            out[key] = entry
        elif _who(entry) in left:
            out[key] = entry
            del left[_who(entry)]
        elif rest := fieldsets.difference(entry.fields, _REPLICAS):
            out[key] = dataclasses.replace(entry, fields=rest)
    for entry in left.values():
        made = dataclasses.replace(entry, version=version, fields=_REPLICAS)
        out[made.key] = made
    return out


def _who(entry: managers.Entry) -> tuple[str, str, str]:
    return entry.manager, entry.operation, entry.subresource


def _type() -> Type:
    number, text = Type("n"), Type("s")
    spec, status = Type(map=Map({"replicas": number})), Type(map=Map({"replicas": number, "selector": text}))
    meta = library().named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    return Type(map=Map({"apiVersion": text, "kind": text, "metadata": meta, "spec": spec, "status": status}))
