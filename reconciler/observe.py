"""The gathering half of a pass: what a cluster should be (rendered) and what is there (cache, GET, LIST, dry-run). Writes nothing."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.apply import Key, send
from reconciler.engine import readiness
from reconciler.engine.writes import foreign
from reconciler.errors import ApiError, ErrorClass, NidusError, Retry, Stalled
from reconciler.kube.client import Client
from reconciler.model import Bundle, Desired, InventoryEntry, Layer, Object, ObjectRef, Observed, Target
from reconciler.plan import mark, suspects

LISTED_FROM = 4  # that many objects of one kind inside a nested cluster are listed, fewer are read one by one


@dataclass(frozen=True, slots=True)
class Sight:
    """Through which eyes a pass sees: `client` raises ApiError or Retry where a target cannot be reached now.

    `merge` takes the answers to our own writes, so that the cache is never behind them (R1).
    """

    client: Callable[[Target], Client]
    cached: Callable[[Target, ObjectRef], Object | None]
    render: Callable[[Layer], tuple[Object, ...]]
    merge: Callable[[Target, Object], None]


def desire(bundle: Bundle, sight: Sight, nonce: str) -> tuple[tuple[Desired, ...], dict[str, str]]:
    """Every layer rendered, its objects placed and marked; and the layers that could not be, with the reason."""
    desired, broken = [], {}
    for layer in bundle.layers:
        try:
            objects = sight.render(layer)
        except (Stalled, Retry) as error:
            broken[layer.name] = f"{error.reason}: {error.message}"
            continue
        desired.append(Desired(layer, tuple(_finish(item, layer, bundle, sight, nonce) for item in objects)))
    return tuple(desired), broken


def observe(
    bundle: Bundle, desired: Sequence[Desired], entries: Sequence[InventoryEntry], sight: Sight
) -> tuple[dict[Key, Observed], dict[str, str]]:
    """Every desired or inventoried object as it is, and the layers nobody could look at (P6), with the reason."""
    wanted: dict[Target, dict[ObjectRef, str]] = {}
    for one in desired:
        for item in one.objects:
            wanted.setdefault(one.layer.target, {})[mark.ref_of(item)] = str(item["apiVersion"]).rsplit("/", 1)[-1]
    for entry in entries:
        if entry.target.nested and bundle.tombstone is not None:
            continue  # goes with its cluster: nobody need look (D2)
        wanted.setdefault(entry.target, {}).setdefault(entry.ref, "")
    seen: dict[Key, Observed] = {}
    dark: dict[Target, str] = {}
    for target, refs in sorted(wanted.items()):  # a host sorts before what is nested on it
        if target.nested and not _is_up(desired, seen):
            dark[target] = "known after the control plane is up"
            continue
        try:
            found = _look(bundle, target, refs, sight)
        except (ApiError, Retry, Stalled) as error:  # Stalled: the engine's Secret is not to be trusted (M15)
            dark[target] = error.message
            continue
        seen.update({(target, ref): one for ref, one in found.items()})
    unknown = {one.layer.name: dark[one.layer.target] for one in desired if one.layer.target in dark}
    return seen, unknown


def _is_up(desired: Sequence[Desired], seen: Mapping[Key, Observed]) -> bool:
    """Whether the engine is rolled out on the host: until then nobody asks its API server, and no breaker opens over it (A7)."""
    engine = next((one for one in desired if one.layer.name == "engine"), None)
    if engine is None:
        return True  # it could not be rendered: what runs may well answer
    refs = [ref for item in engine.objects if (ref := mark.ref_of(item)).kind in readiness.ROLLOUTS]
    live = {ref: one.live for ref in refs if (one := seen.get((engine.layer.target, ref))) and one.live is not None}
    return readiness.compute(live, secret=True, answers=True).status == "Current"


def dry_run(
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    entries: Sequence[InventoryEntry],
    settled: Mapping[Key, str],
    sight: Sight,
) -> dict[Key, Observed]:
    """The observations, with the server's dry-run answer for each suspect (P1, P3)."""
    by_key = {(one.layer.target, mark.ref_of(item)): (one.layer, item) for one in desired for item in one.objects}
    owned = {(entry.target, entry.ref): entry.fields for entry in entries}
    answers = dict(observed)
    for key in suspects.suspects(desired, observed, entries, settled):
        layer, item = by_key[key]
        body = suspects.request(item, layer, observed[key].live)
        answers[key] = _rehearse(body, observed[key], owned.get(key, ()), sight.client(key[0]))
    return answers


def _rehearse(body: Object, seen: Observed, owned: tuple[str, ...], client: Client) -> Observed:
    try:
        return replace(seen, merged=send(client, body, seen.live, owned, dry_run=True).object)
    except ApiError as error:
        if error.kind in (ErrorClass.TRANSIENT, ErrorClass.UNAUTHENTICATED):
            raise
        return replace(seen, refused=f"{error.reason}: {error.message}", immutable=error.kind == ErrorClass.IMMUTABLE)


def _finish(item: Object, layer: Layer, bundle: Bundle, sight: Sight, nonce: str) -> Object:
    """The object as it will be sent: in a namespace where its kind has one, and marked as ours."""
    placed = _placed(item, layer.namespace or ("" if layer.target.nested else bundle.namespace), layer.target, sight)
    return mark.mark(placed, cluster=bundle.cluster, layer=layer.name, nonce=nonce, nested=bool(layer.target.nested))


def _placed(item: Object, namespace: str, target: Target, sight: Sight) -> Object:
    metadata: Mapping[str, Any] = item["metadata"]
    namespaced = _is_namespaced(item, target, sight)
    if namespaced is False:
        return {**item, "metadata": {name: value for name, value in metadata.items() if name != "namespace"}}
    if metadata.get("namespace") or not (namespaced or namespace):
        return item
    return {**item, "metadata": {**metadata, "namespace": namespace or "default"}}


def _is_namespaced(item: Object, target: Target, sight: Sight) -> bool | None:
    """None where nobody knows yet: the kind is not installed, or the target is not up."""
    ref = mark.ref_of(item)
    known = BUILT_IN.get((ref.group, ref.kind))
    if known is not None:
        return known
    try:
        return sight.client(target).namespaced(ref.group, ref.kind)
    except NidusError:
        return None


def _look(bundle: Bundle, target: Target, refs: Mapping[ObjectRef, str], sight: Sight) -> dict[ObjectRef, Observed]:
    if not target.nested:
        return _look_host(bundle, target, refs, sight)
    client = sight.client(target)
    listed = _listed(client, target, refs)
    return {ref: listed.get(ref) or _read(client, target, ref, version) for ref, version in refs.items()}


def _look_host(
    bundle: Bundle, target: Target, refs: Mapping[ObjectRef, str], sight: Sight
) -> dict[ObjectRef, Observed]:
    """The live cache answers what it holds; a miss is no absence, so it is asked for (R1), unless its namespace is known to be absent."""
    home = ObjectRef("", "Namespace", "", bundle.namespace)
    found: dict[ObjectRef, Observed] = {}
    client = sight.client(target)
    home_live = sight.cached(target, home) or client.get(home)
    for ref, version in refs.items():
        live = home_live if ref == home else sight.cached(target, ref)
        if live is not None or ref == home or (home_live is None and ref.namespace == bundle.namespace):
            found[ref] = Observed(target, ref, live)
        else:
            found[ref] = _read(client, target, ref, version)
    return {ref: replace(one, foreign=True) if one.live and foreign(one.live) else one for ref, one in found.items()}


def _read(client: Client, target: Target, ref: ObjectRef, version: str) -> Observed:
    """One GET. A kind that is not installed and a Secret we may not read yet are unknown, never absent (I7)."""
    try:
        return Observed(target, ref, client.get(ref, version=version))
    except ApiError as error:
        if error.kind in (ErrorClass.KIND_MISSING, ErrorClass.NAMESPACE_MISSING, ErrorClass.DENIED):
            return Observed(target, ref, None, unknown=f"{error.reason}: {error.message}")
        raise


def _listed(client: Client, target: Target, refs: Mapping[ObjectRef, str]) -> dict[ObjectRef, Observed]:
    """Of kinds and namespaces with many refs: one LIST each, without a selector, so that what it lacks is absent (A2).

    What the server lists at another version than the one wanted is left to be read one by one.
    """
    wanted = Counter((ref.group, ref.kind, ref.namespace) for ref in refs)
    many = {place for place, count in wanted.items() if count >= LISTED_FROM}
    live: dict[ObjectRef, Object] = {}
    for group, kind, namespace in sorted(many):
        try:
            objects, _ = client.list(group, kind, namespace=namespace)
        except ApiError as error:
            if error.kind != ErrorClass.KIND_MISSING:
                raise
            many = many - {(group, kind, namespace)}
            continue
        live.update({mark.ref_of(item): item for item in objects})
    found = {ref: live.get(ref) for ref in refs if (ref.group, ref.kind, ref.namespace) in many}
    return {ref: Observed(target, ref, item) for ref, item in found.items() if item is None or _at(item, refs[ref])}


def _at(item: Object, version: str) -> bool:
    return version in ("", str(item["apiVersion"]).rsplit("/", 1)[-1])


BUILT_IN: Mapping[tuple[str, str], bool] = {
    ("", "Namespace"): False,
    ("", "ConfigMap"): True,
    ("", "Secret"): True,
    ("", "Service"): True,
    ("", "ServiceAccount"): True,
    ("", "ResourceQuota"): True,
    ("", "LimitRange"): True,
    ("apps", "Deployment"): True,
    ("apps", "StatefulSet"): True,
    ("networking.k8s.io", "NetworkPolicy"): True,
    ("networking.k8s.io", "Ingress"): True,
    ("rbac.authorization.k8s.io", "Role"): True,
    ("rbac.authorization.k8s.io", "RoleBinding"): True,
    ("rbac.authorization.k8s.io", "ClusterRole"): False,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): False,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): False,
}
