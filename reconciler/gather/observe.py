"""Reads every object that is desired or in the inventory: from the live cache, by GET or by LIST."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from reconciler.engine import readiness
from reconciler.engine.writes import foreign
from reconciler.errors import UNSERVED, ApiError, ErrorClass, NidusError
from reconciler.gather import drivers, scope
from reconciler.gather.reader import Key, Reader
from reconciler.kube.client import Client
from reconciler.model import Bundle, Desired, InventoryEntry, Object, ObjectRef, Observed, Target, replace
from reconciler.plan import mark

LOOK = 10.0  # seconds for one look at a nested cluster, all its calls together (A7)
LISTED_FROM = 4  # that many objects of one kind inside a nested cluster are listed, fewer are read one by one
NOT_UP = "known after the control plane is up"


class Seen(Struct, frozen=True):
    """What was read, and the targets that were not: `unreachable` did not answer, `down` have no control plane yet."""

    objects: Mapping[Key, Observed]
    unreachable: Mapping[Target, str]
    down: Mapping[Target, str]


def observe(
    bundle: Bundle,
    desired: Sequence[Desired],
    entries: Sequence[InventoryEntry],
    reader: Reader,
    later: str = "",
    more: Sequence[Key] = (),
) -> Seen:
    """Read every object that is desired, in the inventory or among `more`. A target of which one read fails counts as not read at all
    (S3, I7). `later`: when nested targets are looked at, where that is not now: the cluster sleeps."""
    objects: dict[Key, Observed] = {}
    unreachable: dict[Target, str] = {}
    down: dict[Target, str] = {}
    coming = scope.versions((one.layer.target, one.objects) for one in desired)
    for target, refs in sorted(
        _wanted(bundle, desired, entries, more).items()
    ):  # a host sorts before what is nested on it
        host = replace(target, nested="")
        if host in unreachable:
            unreachable[target] = unreachable[host]
            continue
        if target.nested and (later or not _is_up(desired, objects)):
            down[target] = later or NOT_UP
            continue
        try:
            found = _observed(bundle, target, refs, reader)
            found = {ref: _coming(one, refs[ref], coming) for ref, one in found.items()}
            found = drivers.told(target, found, desired, entries, reader.client)
        except NidusError as error:  # also Stalled: the engine's Secret is not to be trusted (M15)
            unreachable[target] = error.told
            continue
        objects.update({(target, ref): one for ref, one in found.items()})
    return Seen(objects, unreachable, down)


def _wanted(
    bundle: Bundle, desired: Sequence[Desired], entries: Sequence[InventoryEntry], more: Sequence[Key]
) -> dict[Target, dict[ObjectRef, str]]:
    """Target -> ref -> the version to read it at, "" for whichever the server prefers."""
    wanted: dict[Target, dict[ObjectRef, str]] = {}
    for one in desired:
        for item in one.objects:
            wanted.setdefault(one.layer.target, {})[mark.ref_of(item)] = str(item["apiVersion"]).rsplit("/", 1)[-1]
    for entry in entries:
        if entry.target.nested and bundle.tombstone is not None:
            continue  # deleted with its cluster: no need to read it (D2)
        wanted.setdefault(entry.target, {}).setdefault(entry.ref, "")
    for target, ref in more:
        wanted.setdefault(target, {}).setdefault(ref, "")
    return wanted


def _is_up(desired: Sequence[Desired], seen: Mapping[Key, Observed]) -> bool:
    """Whether the engine is rolled out on the host. Until then its API server is not called, so that its breaker does
    not open (A7)."""
    engine = next((one for one in desired if one.layer.role == "engine"), None)
    if engine is None:
        return True  # it could not be rendered; the engine that runs may still answer
    refs = [ref for item in engine.objects if (ref := mark.ref_of(item)).kind in readiness.ROLLOUTS]
    live = {ref: one.live for ref in refs if (one := seen.get((engine.layer.target, ref))) and one.live is not None}
    return readiness.compute(live, secret=True, answers=True).status == "Current"


def _observed(
    bundle: Bundle, target: Target, refs: Mapping[ObjectRef, str], reader: Reader
) -> dict[ObjectRef, Observed]:
    if not target.nested:
        return _observed_host(bundle, target, refs, reader)
    client = reader.client(target).budgeted(LOOK)
    listed = _listed(client, target, refs)
    return {ref: listed.get(ref) or _read(client, target, ref, version) for ref, version in refs.items()}


def _observed_host(
    bundle: Bundle, target: Target, refs: Mapping[ObjectRef, str], reader: Reader
) -> dict[ObjectRef, Observed]:
    """Objects from the live cache. One that the cache lacks is read by GET (R1), unless its namespace is known to be
    absent."""
    home = ObjectRef("", "Namespace", "", bundle.namespace)
    found: dict[ObjectRef, Observed] = {}
    client = reader.client(target)
    home_live = reader.cached(target, home) or _merged(client.get(home), target, reader)
    for ref, version in refs.items():
        live = home_live if ref == home else reader.cached(target, ref)
        if live is not None or ref == home or (home_live is None and ref.namespace == bundle.namespace):
            found[ref] = Observed(target, ref, live)
        else:
            found[ref] = _read(client, target, ref, version)
            _merged(found[ref].live, target, reader)
    return {ref: replace(one, foreign=True) if one.live and foreign(one.live) else one for ref, one in found.items()}


def _merged(live: Object | None, target: Target, reader: Reader) -> Object | None:
    """What was read, kept in the cache: an object may be listed only after it was seen there, and is whole from here on."""
    if live is not None:
        reader.merge(target, live)
    return live


def _read(client: Client, target: Target, ref: ObjectRef, version: str) -> Observed:
    """One GET. A kind that is not installed and a Secret we may not read yet are unknown, never absent (I7). An object is the
    same at every version: where the wanted one is not served, it is read at another."""
    try:
        return Observed(target, ref, client.get(ref, version=version))
    except ApiError as error:
        if error.kind == ErrorClass.VERSION_MISSING:
            return replace(_read(client, target, ref, ""), unserved=error.message)
        if error.kind in UNSERVED | {ErrorClass.NAMESPACE_MISSING, ErrorClass.DENIED}:
            coming = error.kind == ErrorClass.KIND_MISSING
            return Observed(target, ref, None, unknown=f"{error.reason}: {error.message}", coming=coming)
        raise


def _coming(one: Observed, version: str, coming: Collection[scope.Versioned]) -> Observed:
    """An object whose version is not served yet, and will be by a CRD of this bundle: it cannot be compared before."""
    if not one.unserved or (one.target, (one.ref.group, one.ref.kind), version) not in coming:
        return one
    return replace(one, unserved="", unknown=f"{ErrorClass.KIND_MISSING}: {one.unserved}", coming=True)


def _listed(client: Client, target: Target, refs: Mapping[ObjectRef, str]) -> dict[ObjectRef, Observed]:
    """One LIST for each kind and namespace with many refs, without a selector, so that an object that is not in it is
    absent (A2).

    Kinds that the server lists at another version than the wanted one are read one by one.
    """
    wanted = Counter((ref.group, ref.kind, ref.namespace) for ref in refs)
    many = {place for place, count in wanted.items() if count >= LISTED_FROM}
    live: dict[ObjectRef, Object] = {}
    for group, kind, namespace in sorted(many):
        try:
            objects, _ = client.list(group, kind, namespace=namespace)
        except ApiError as error:
            if error.kind not in UNSERVED:
                raise
            many = many - {(group, kind, namespace)}
            continue
        live.update({mark.ref_of(item): item for item in objects})
    found = {ref: live.get(ref) for ref in refs if (ref.group, ref.kind, ref.namespace) in many}
    return {ref: Observed(target, ref, item) for ref, item in found.items() if item is None or _at(item, refs[ref])}


def _at(item: Object, version: str) -> bool:
    return version in ("", str(item["apiVersion"]).rsplit("/", 1)[-1])
