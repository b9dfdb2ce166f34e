"""What a real control plane does by itself: establish CRDs, empty namespaces that go, collect what has no owner left.

They act at once after each write, so that tests need not wait. A test that wants to see the time between takes names out of
`Server.controllers` and calls `Server.settle` itself.
"""

from collections.abc import Iterator

from tests.memory.core import CRDS, NAMESPACES, Core
from tests.memory.kinds import Kind
from tests.memory.storage import Change, Object

ALL = frozenset({"crds", "namespaces", "garbage", "quotas"})
QUOTAS = ("", "resourcequotas")
ROUNDS = 50


def settle(core: Core, active: frozenset[str], *, everything: bool = False) -> None:
    """Let the active ones work until none of them changes anything; unless `everything`, only those the last writes concern."""
    for _ in range(ROUNDS):
        fresh = core.storage.take_fresh()
        wanted = ALL if everything else _concerned(fresh)
        before = core.storage.version
        for name in sorted(active & wanted):
            _WORK[name](core)
        if core.storage.version == before:
            return


def _concerned(fresh: list[Change]) -> frozenset[str]:
    found = set()
    for change in fresh:
        if change.resource == CRDS:
            found.add("crds")
        if change.resource == QUOTAS:
            found.add("quotas")
        meta = change.after["metadata"] if change.after is not None else {}
        if not meta or "deletionTimestamp" in meta or "ownerReferences" in meta:
            found |= {"namespaces", "garbage"}
    return frozenset(found)


def _crds(core: Core) -> None:
    for crd in core.storage.all(CRDS):
        if "deletionTimestamp" in crd["metadata"]:
            _emptied(core, crd)
            continue
        if any(one["type"] == "Established" for one in (crd.get("status") or {}).get("conditions") or ()):
            continue
        names = crd["spec"]["names"]
        accepted = {
            "kind": names["kind"],
            "plural": names["plural"],
            "listKind": names.get("listKind", names["kind"] + "List"),
        }
        accepted["singular"] = names.get("singular", names["kind"].lower())
        conditions = [
            _condition("NamesAccepted", "NoConflicts", core),
            _condition("Established", "InitialNamesAccepted", core),
        ]
        stored = [one["name"] for one in crd["spec"]["versions"] if one.get("storage")]
        status = {"conditions": conditions, "acceptedNames": accepted, "storedVersions": stored}
        core.storage.put(CRDS, {**crd, "status": status})
        core.serve()


def _emptied(core: Core, crd: Object) -> None:
    """Delete the objects of a kind that goes, then let its definition go."""
    resource = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
    kind = next((one for one in core.kinds() if one.resource == resource), None)
    left = [obj for obj in core.storage.all(resource) if kind is None or not _doom(core, kind, obj)]
    definition = core.named(CRDS[0], "CustomResourceDefinition")
    if left or definition is None:
        return
    rest = [one for one in crd["metadata"].get("finalizers", ()) if one != "customresourcecleanup.apiextensions.k8s.io"]
    if rest != crd["metadata"].get("finalizers"):
        core.store(definition, {**crd, "metadata": {**crd["metadata"], "finalizers": rest}})


def _condition(kind: str, reason: str, core: Core) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": core.now()}


def _namespaces(core: Core) -> None:
    """Delete what is in a namespace that goes; let it go when it is empty."""
    for home in core.storage.all(NAMESPACES):
        if "deletionTimestamp" not in home["metadata"]:
            continue
        name = home["metadata"]["name"]
        left = 0
        for kind in _stored(core):
            if kind.namespaced:
                for obj in core.storage.all(kind.resource, name):
                    left += not _doom(core, kind, obj)
        spec = home.get("spec") or {}
        if not left and "kubernetes" in spec.get("finalizers", ()):
            rest = [one for one in spec["finalizers"] if one != "kubernetes"]
            own = core.named("", "Namespace")
            if own is not None:
                core.store(own, {**home, "spec": {**spec, "finalizers": rest} if rest else {}})


def _stored(core: Core) -> Iterator[Kind]:
    """A kind of each resource that has objects, in the order of discovery."""
    left = set(core.storage.resources())
    for kind in core.kinds():
        if kind.resource in left:
            left.discard(kind.resource)
            yield kind


def _doom(core: Core, kind: Kind, obj: Object) -> bool:
    """Delete one object; whether it is gone."""
    meta = obj["metadata"]
    if meta.get("finalizers"):
        if "deletionTimestamp" not in meta:
            marks = {"deletionTimestamp": core.now(), "deletionGracePeriodSeconds": 0}
            core.storage.put(kind.resource, {**obj, "metadata": {**meta, **marks}})
        return False
    core.remove(kind, obj)
    return True


def _garbage(core: Core) -> None:
    """Delete what had owners and has none left; finish foreground and orphan deletions."""
    alive = core.storage.uids()
    for kind in list(_stored(core)):
        for obj in core.storage.all(kind.resource):
            owners = obj["metadata"].get("ownerReferences") or ()
            if owners and not any(one["uid"] in alive for one in owners) and "deletionTimestamp" not in obj["metadata"]:
                _doom(core, kind, obj)
            elif "deletionTimestamp" in obj["metadata"]:
                _propagate(core, kind, obj)


def _propagate(core: Core, kind: Kind, obj: Object) -> None:
    finalizers = obj["metadata"].get("finalizers") or []
    done = {"foregroundDeletion", "orphan"} & set(finalizers)
    if not done:
        return
    uid, left = obj["metadata"]["uid"], 0
    for other in list(_stored(core)):
        for one in core.storage.all(other.resource):
            owners = one["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == uid for owner in owners):
                left += not (_release(core, other, one, uid) if "orphan" in done else _doom(core, other, one))
    if not left:
        rest = [one for one in finalizers if one not in done]
        meta = {name: value for name, value in obj["metadata"].items() if name != "finalizers"}
        core.store(kind, {**obj, "metadata": meta | ({"finalizers": rest} if rest else {})})


def _release(core: Core, kind: Kind, obj: Object, uid: str) -> bool:
    owners = [one for one in obj["metadata"]["ownerReferences"] if one["uid"] != uid]
    meta = {name: value for name, value in obj["metadata"].items() if name != "ownerReferences"}
    core.storage.put(kind.resource, {**obj, "metadata": meta | ({"ownerReferences": owners} if owners else {})})
    return True


def _quotas(core: Core) -> None:
    """Enforce what is asked for: nothing is used here."""
    for quota in core.storage.all(QUOTAS):
        hard = (quota.get("spec") or {}).get("hard") or {}
        status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
        if hard and (quota.get("status") or {}).get("hard") != hard:
            core.storage.put(QUOTAS, {**quota, "status": status})


_WORK = {"quotas": _quotas, "crds": _crds, "namespaces": _namespaces, "garbage": _garbage}
