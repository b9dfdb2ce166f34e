"""The operator's ceilings (`spec.ceilings` of the configuration): what a NestedCluster may ask for.

Each mistake names the ceiling, what it allows and what was asked. A list or switch that is left out refuses; what
limits an amount and is left out is unlimited (docs/decisions/0017-ceilings.md).
"""

from collections.abc import Collection, Iterator, Mapping

from msgspec import UNSET, structs

from reconciler import engine
from reconciler.engine import overhead
from reconciler.errors import few
from reconciler.model import (
    Backup,
    Ceilings,
    ControllerSpec,
    ControlPlane,
    NestedCluster,
    Quota,
    QuotaCeiling,
    RestoreFrom,
    Rules,
    Scheduling,
    ToHost,
    Toleration,
)
from reconciler.spec import units
from reconciler.spec.codes import Code
from reconciler.spec.explain import pointer

Told = tuple[str, Code, str, str]
Key = tuple[str, ...]
"""A limit of a quota: (`cpu`,), or (`extended`, `nvidia.com/gpu`)."""

_REQUIRED: tuple[Key, ...] = (("cpu",), ("memory",))
_RESOURCES = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "ephemeralStorage"}
_QUOTA = tuple((field.name, field.encode_name) for field in structs.fields(Quota))
_SHOWN = 8  # entries of a list that one message names


def check(cluster: NestedCluster, rules: Rules) -> Iterator[Told]:
    """(pointer, code, message, hint) of everything the cluster asks for beyond the ceilings, where they are known."""
    ceilings, spec = rules.ceilings, cluster.spec
    if ceilings is None:
        return
    if ceilings.quota != QuotaCeiling():
        most = _limits(ceilings.quota.maximum)
        yield from _quota(cluster, rules, ceilings.quota, most)
        yield from _resources(spec.control_plane, most)
    yield from _control_plane(spec.control_plane, ceilings)
    yield from _scheduling(spec.scheduling, ceilings)
    if spec.isolation and not spec.isolation.network_policy and rules.defaults.isolation.network_policy:
        yield from _network_policy(ceilings)
    if spec.isolation and spec.isolation.runtime_class not in ("", rules.defaults.isolation.runtime_class):
        yield from _runtime_class(spec.isolation.runtime_class, ceilings)
    yield from _annotations(spec.expose.annotations, ceilings)
    yield from _synced(spec.sync.to_host, ceilings)
    yield from _stores(spec.backup, ceilings)
    yield from _read(spec.restore_from, ceilings)


def _runtime_class(name: str, ceilings: Ceilings) -> Iterator[Told]:
    if name not in ceilings.runtime_classes:
        told = _listed(f"asks for runtime class {name}", "runtimeClasses", ceilings.runtime_classes)
        yield "/spec/isolation/runtimeClass", Code.CEILING_RUNTIME_CLASS, *told


def _stores(backup: Backup | None, ceilings: Ceilings) -> Iterator[Told]:
    if backup is not None and backup.location.endpoint not in ceilings.backup_endpoints:
        asked = f"sends snapshots to {backup.location.endpoint[:100]}"
        allowed = few(ceilings.backup_endpoints, _SHOWN) if ceilings.backup_endpoints else "none"
        told = _told(asked, "backupEndpoints", allowed, "name one that it allows")
        yield "/spec/backup/location/endpoint", Code.CEILING_BACKUP, *told


def _read(asks: RestoreFrom | None, ceilings: Ceilings) -> Iterator[Told]:
    """The store of an address; one of a cluster's own snapshots was judged when it was made."""
    if asks is None or not asks.url:
        return
    endpoint = "/".join(asks.url.split("/")[:3])
    if endpoint not in ceilings.backup_endpoints:
        allowed = few(ceilings.backup_endpoints, _SHOWN) if ceilings.backup_endpoints else "none"
        told = _told(f"reads a snapshot from {endpoint[:100]}", "backupEndpoints", allowed, "name one that it allows")
        yield "/spec/restoreFrom/url", Code.CEILING_BACKUP, *told


def contradictions(spec: ControllerSpec) -> Iterator[Told]:
    """What is wrong with the ceilings themselves: the operator's default quota is above them, or a toleration is none
    that Kubernetes knows."""
    given = _limits(spec.defaults.quota)
    for key, most in _limits(spec.ceilings.quota.maximum).items():
        if key in given and units.quantity(given[key]) > units.quantity(most):
            message = f"the default {_named(key)} {given[key]} is above ceilings.quota.maximum, which allows {most}"
            yield (
                pointer(("spec", "defaults", "quota", *key)),
                Code.WRONG_VALUE,
                message,
                "lower it, or raise the maximum",
            )
    for index, one in enumerate(spec.ceilings.tolerations):
        for where, message, hint in engine.toleration(f"/spec/ceilings/tolerations/{index}", one):
            yield where, Code.WRONG_VALUE, message, hint


def _quota(cluster: NestedCluster, rules: Rules, ceiling: QuotaCeiling, most: Mapping[Key, str]) -> Iterator[Told]:
    """The cluster's own limits are compared with the maximum; what has a maximum must be limited, by default or here."""
    own, given = _limits(cluster.spec.quota or Quota()), _limits(engine.quota_of(cluster, rules))
    for key, limit in most.items():
        if key in own and units.quantity(own[key]) > units.quantity(limit):
            yield _above(("spec", "quota", *key), f"asks for {_named(key)} {own[key]}", key, limit)
    for key in [*most, *(one for one in _REQUIRED if ceiling.required and one not in most)]:
        if key not in given:
            yield "/spec/quota", Code.CEILING_QUOTA, *_unlimited(key, most.get(key, ""))


def _unlimited(key: Key, most: str) -> tuple[str, str]:
    asked, instead = f"sets no limit for {_named(key)}, and no default does", f"set {_named(key)} in spec.quota"
    if most:
        return _told(asked, _maximum(key), f"at most {most}", f"{instead} to at most {most}")
    return _told(asked, "quota.required", "no cluster without one", instead)


def _resources(plane: ControlPlane, most: Mapping[Key, str]) -> Iterator[Told]:
    """What is asked for the control plane comes on top of the tenant's share, so that the same maximum limits it, over
    all its replicas."""
    for part, amounts in (("requests", plane.resources.requests), ("limits", plane.resources.limits)):
        for name, amount in amounts.items():
            key = (_RESOURCES[name],)
            if key in most and plane.replicas * units.quantity(amount) > units.quantity(most[key]):
                times = f" for each of {plane.replicas} replicas" if plane.replicas > 1 else ""
                asked = f"the control plane asks for {name} {amount}{times}"
                yield _above(("spec", "controlPlane", "resources", part, name), asked, key, most[key])


def _control_plane(plane: ControlPlane, ceilings: Ceilings) -> Iterator[Told]:
    most, volumes = ceilings.replicas, overhead.members(plane.store) or plane.replicas
    if most is not UNSET and plane.replicas > most:
        told = _told(f"asks for {plane.replicas} replicas", "replicas", f"at most {most}", f"ask for at most {most}")
        yield "/spec/controlPlane/replicas", Code.CEILING_REPLICAS, *told
    if ceilings.storage and volumes * units.quantity(plane.store.size) > units.quantity(ceilings.storage):
        asked = f"asks for {plane.store.size} of storage" + (f" for each of {volumes} volumes" if volumes > 1 else "")
        told = _told(asked, "storage", f"at most {ceilings.storage} in all", "ask for less")
        yield "/spec/controlPlane/store/size", Code.CEILING_STORAGE, *told


def _scheduling(scheduling: Scheduling, ceilings: Ceilings) -> Iterator[Told]:
    name = scheduling.priority_class_name
    if name and name not in ceilings.priority_classes:
        told = _listed(f"asks for priority class {name}", "priorityClasses", ceilings.priority_classes)
        yield "/spec/scheduling/priorityClassName", Code.CEILING_PRIORITY_CLASS, *told
    allowed = [_spelt(one) for one in ceilings.tolerations]
    for index, asked in enumerate(scheduling.tolerations):
        if not any(_covers(one, asked) for one in ceilings.tolerations):
            told = _listed(f"tolerates {_spelt(asked)}", "tolerations", allowed)
            yield f"/spec/scheduling/tolerations/{index}", Code.CEILING_TOLERATION, *told
    yield from _node_selector(scheduling.node_selector, ceilings.node_selectors)


def _node_selector(asked: Mapping[str, str], allowed: Mapping[str, tuple[str, ...]]) -> Iterator[Told]:
    for label, value in asked.items():
        if value not in allowed.get(label, ()):
            pairs = [f"{name}={one}" for name, values in allowed.items() for one in values]
            told = _listed(f"chooses nodes by {label}={value}", "nodeSelectors", pairs)
            yield pointer(("spec", "scheduling", "nodeSelector", label)), Code.CEILING_NODE_SELECTOR, *told


def _network_policy(ceilings: Ceilings) -> Iterator[Told]:
    if not ceilings.network_policy_off:
        told = _told("switches its network policy off", "networkPolicyOff", "no cluster to", "leave networkPolicy out")
        yield "/spec/isolation/networkPolicy", Code.CEILING_NETWORK_POLICY, *told


def _annotations(names: Collection[str], ceilings: Ceilings) -> Iterator[Told]:
    for name in names:
        if not name.startswith(ceilings.annotations):
            told = _listed(f"sets annotation {name}", "annotations", ceilings.annotations)
            yield pointer(("spec", "expose", "annotations", name)), Code.CEILING_ANNOTATION, *told


def _synced(asked: ToHost, ceilings: Ceilings) -> Iterator[Told]:
    kinds = {
        "ingresses": asked.ingresses,
        "podDisruptionBudgets": asked.pod_disruption_budgets,
        "serviceAccounts": asked.service_accounts,
        "networkPolicies": asked.network_policies,
    }
    for kind, wanted in kinds.items():
        if wanted and kind not in ceilings.sync_to_host:
            told = _listed(f"copies {kind} to the host", "syncToHost", ceilings.sync_to_host)
            yield f"/spec/sync/toHost/{kind}", Code.CEILING_SYNC, *told


def _covers(ceiling: Toleration, asked: Toleration) -> bool:
    """Whether every taint that `asked` tolerates is tolerated by `ceiling` too (Kubernetes: tolerations)."""
    if ceiling.effect not in ("", asked.effect):
        return False
    if ceiling.operator == "Exists":
        return ceiling.key in ("", asked.key)
    return (asked.operator, asked.key, asked.value) == ("Equal", ceiling.key, ceiling.value)


def _spelt(one: Toleration) -> str:
    """As kubectl shows it: `pool=tenants:NoSchedule`, `pool op=Exists`; or `every taint`."""
    exists, effect = one.operator == "Exists", f":{one.effect}" if one.effect else ""
    if exists and not one.key:
        return f"every taint{effect}"
    return f"{one.key}{effect} op=Exists" if exists else f"{one.key}={one.value}{effect}"


def _limits(quota: Quota) -> dict[Key, str]:
    """What a quota limits, as written."""
    found: dict[Key, str] = {}
    for field, name in _QUOTA:
        given = getattr(quota, field)
        if isinstance(given, dict):
            found |= {(name, resource): str(count) for resource, count in given.items()}
        elif given is not UNSET and given != "":
            found[name,] = str(given)
    return found


def _above(place: Key, asked: str, key: Key, most: str) -> Told:
    return (
        pointer(place),
        Code.CEILING_QUOTA,
        *_told(asked, _maximum(key), f"at most {most}", f"ask for at most {most}"),
    )


def _maximum(key: Key) -> str:
    return "quota.maximum." + ".".join(key)


def _listed(asked: str, path: str, allowed: Collection[str]) -> tuple[str, str]:
    return _told(
        asked, path, few(list(allowed), _SHOWN) or "none", "choose one of these" if allowed else "leave it out"
    )


def _told(asked: str, path: str, allows: str, instead: str) -> tuple[str, str]:
    """(message, hint)"""
    message = f"{asked}; the controller's ceilings.{path} allows {allows}"
    return message, f"{instead}, or have the operator of the controller change spec.ceilings.{path}"


def _named(key: Key) -> str:
    return key[-1]
