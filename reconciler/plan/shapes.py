"""How server-side apply merges the lists and maps of built-in kinds: by key, as a set, or whole.

Facts of the Kubernetes OpenAPI schema (x-kubernetes-list-type, -list-map-keys, -map-type; 1.36). Field names decide, with the
field above where one name means two things. What is not listed: maps and structs merge per field, lists are atomic. That is
also how lists of custom resources are taken; where a CRD says otherwise, the dry-run decides (P3).
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal

from msgspec import Struct


class Keyed(Struct, frozen=True):
    """A list of maps matched by `keys` (sorted); `defaults` stand for keys the schema fills in; `whole`: an item has one owner."""

    keys: tuple[str, ...]
    defaults: Mapping[str, Any]
    whole: bool = False


Shape = Keyed | Literal["set", "atomic"]
Table = Mapping[str, Shape | dict[str, Shape]]

NAMED = Keyed(("name",), {})
NAMED_WHOLE = Keyed(("name",), {}, whole=True)
CONTAINER_PORTS = Keyed(("containerPort", "protocol"), {"protocol": "TCP"})

METADATA: Table = {
    "finalizers": {"metadata": "set"},
    "ownerReferences": {"metadata": Keyed(("uid",), {}, whole=True)},
}

BUILTIN: Table = {
    **METADATA,
    "claims": NAMED,
    "conditions": {"status": Keyed(("type",), {})},
    "containers": {"spec": NAMED},
    "env": NAMED,
    "ephemeralContainers": NAMED,
    "hostAliases": Keyed(("ip",), {}),
    "imagePullSecrets": {"spec": NAMED_WHOLE},
    "initContainers": NAMED,
    "matchConditions": NAMED,
    "podCIDRs": "set",
    "ports": {
        "containers": CONTAINER_PORTS,
        "initContainers": CONTAINER_PORTS,
        "ephemeralContainers": CONTAINER_PORTS,
        "spec": Keyed(("port", "protocol"), {"protocol": "TCP"}),
    },
    "resourceClaims": {"spec": NAMED},
    "schedulingGates": NAMED,
    "secrets": {"": NAMED_WHOLE},
    "topologySpreadConstraints": Keyed(("topologyKey", "whenUnsatisfiable"), {}),
    "validationActions": "set",
    "values": {"onExitCodes": "set", "exitCodes": "set"},
    "variables": {"spec": NAMED_WHOLE},
    "volumeDevices": Keyed(("devicePath",), {}),
    "volumeLifecycleModes": "set",
    "volumeMounts": Keyed(("mountPath",), {}),
    "volumes": {"spec": NAMED},
    "webhooks": {"": NAMED},
    **dict.fromkeys(
        [
            "claimRef",
            "configMapKeyRef",
            "controllerExpandSecretRef",
            "controllerPublishSecretRef",
            "dataSource",
            "fieldRef",
            "fileKeyRef",
            "labelSelector",
            "matchConstraints",
            "matchResources",
            "namespaceSelector",
            "nodeExpandSecretRef",
            "nodePublishSecretRef",
            "nodeSelector",
            "nodeStageSecretRef",
            "nodeTopology",
            "objectSelector",
            "paramKind",
            "paramRef",
            "podSelector",
            "preference",
            "required",
            "requiredDuringSchedulingIgnoredDuringExecution",
            "resourceFieldRef",
            "roleRef",
            "scopeSelector",
            "secretKeyRef",
            "secretRef",
            "selector",
            "targetRef",
        ],
        "atomic",
    ),
    "port": {"service": "atomic"},
    "resource": {"defaultBackend": "atomic"},
}

GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)


def table(api_version: str) -> Table:
    """The table for objects of this apiVersion."""
    group = api_version.rpartition("/")[0]
    return BUILTIN if group in GROUPS else METADATA


def shape(rows: Table, above: str, name: str) -> Shape | None:
    """The shape of field `name` below field `above` ("" at the top), None where the table says nothing."""
    row = rows.get(name)
    return row.get(above) if isinstance(row, dict) else row


def keys_of(items: list[Any], keyed: Keyed) -> list[tuple[Any, ...]] | None:
    """The key of each item, in order; None where one lacks a key or two are alike (the list is then taken whole)."""
    found = []
    for item in items:
        if not isinstance(item, dict):
            return None
        key = tuple([item.get(key, keyed.defaults.get(key)) for key in keyed.keys])
        for part in key:
            if not isinstance(part, (str, int)):
                return None
        found.append(key)
    return found if len(found) < 2 or len(set(found)) == len(found) else None


def among(items: list[Any]) -> Callable[[Any], bool]:
    """Whether something is a member of a set: by hash where all members are scalars, as in every built-in kind."""
    try:
        known = frozenset(items)
    except TypeError:
        return items.__contains__
    return lambda one: isinstance(one, Hashable) and one in known
