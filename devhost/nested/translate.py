"""Objects made inside a nested cluster as the host sees them: the engine's names, labels, annotations and owner.

Pure. Pods, Services and claims are translated; of a pod's ConfigMaps and Secrets only the names are, since the host's
nodes run no containers that could read them.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Final

from devhost.api import Object
from devhost.nested.contract import Engine, owner, value

MANAGED_BY: Final = "vcluster.loft.sh/managed-by"
NAMESPACE: Final = "vcluster.loft.sh/namespace"
OBJECT: Final = "vcluster.loft.sh/object-"
_NAME_LIMIT: Final = 63
_POD_DROPS: Final = (
    "nodeName", "serviceAccount", "ephemeralContainers", "priority", "preemptionPolicy", "priorityClassName",
    "resourceClaims", "schedulerName",
)  # fmt: skip
_POD_METADATA_DROPS: Final = ("kubectl.kubernetes.io/last-applied-configuration",)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Whose objects they are on the host: the engine, its chart values and its Service."""

    engine: Engine
    config: Object
    service: Object


def host_name(name: str, namespace: str, cluster: str) -> str:
    """Return the host's name of an object: NAME-x-NAMESPACE-x-CLUSTER, over 63 characters cut to 52 and a hash."""
    full = f"{name}-x-{namespace}-x-{cluster}"
    if len(full) <= _NAME_LIMIT:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()
    return f"{full[:52]}-{digest[:10]}".replace(".-", "-")


def origin(outer: Object) -> tuple[str, str]:
    """Return (namespace, name) inside, of an object on the host."""
    notes = outer["metadata"].get("annotations", {})
    return notes.get(f"{OBJECT}namespace", ""), notes.get(f"{OBJECT}name", "")


def pod(inner: Object, tenancy: Tenancy) -> Object:
    """The host's pod for a pod inside: without token, under the workload account, with the engine's policies."""
    spec = copy.deepcopy(inner["spec"])
    for field in _POD_DROPS:
        spec.pop(field, None)
    spec["serviceAccountName"] = f"vc-workload-{tenancy.engine.name}"
    spec["automountServiceAccountToken"] = False
    spec["enableServiceLinks"] = False
    spec["terminationGracePeriodSeconds"] = (
        1  # nothing runs that would use more, and a namespace's deletion waits for it
    )
    spec["volumes"] = [_volume(volume, inner, tenancy) for volume in spec.get("volumes", ())]
    spec |= {"affinity": _affinity(spec["affinity"], inner, tenancy)} if "affinity" in spec else {}
    if priority := value(tenancy.config, "sync.toHost.pods.priorityClassName", ""):
        spec["priorityClassName"] = priority
    if selector := value(tenancy.config, "sync.fromHost.nodes.selector.labels", {}):
        spec["nodeSelector"] = spec.get("nodeSelector", {}) | selector
    enforced = [toleration(text) for text in value(tenancy.config, "sync.toHost.pods.enforceTolerations", ())]
    spec["tolerations"] = [*spec.get("tolerations", ()), *enforced]
    return _outer(inner, "Pod", tenancy) | {"spec": spec}


def service(inner: Object, tenancy: Tenancy) -> Object:
    """The host's Service for a Service inside; the host gives it an address of its own."""
    source = inner["spec"]
    kept = ("type", "externalName", "sessionAffinity", "publishNotReadyAddresses", "loadBalancerClass")
    spec = {key: source[key] for key in kept if key in source}
    if source.get("clusterIP") == "None":
        spec["clusterIP"] = "None"
    ports = [{key: item for key, item in port.items() if key != "nodePort"} for port in source.get("ports", ())]
    if ports:
        spec["ports"] = ports
    if source.get("selector"):
        spec["selector"] = source["selector"] | _labels(inner["metadata"]["namespace"], tenancy)
    return _outer(inner, "Service", tenancy) | {"spec": spec}


def claim(inner: Object, tenancy: Tenancy) -> Object:
    """The host's claim for a claim inside."""
    kept = ("accessModes", "resources", "storageClassName", "volumeMode")
    spec = {key: inner["spec"][key] for key in kept if key in inner["spec"]}
    return _outer(inner, "PersistentVolumeClaim", tenancy) | {"spec": spec}


def toleration(text: str) -> Object:
    """Read `key=value:Effect`, `key:Effect`, `key=value` or `key` (`*` is everything) as the engine does."""
    body, _, effect = text.partition(":")
    key, equals, wanted = body.partition("=")
    found: Object = {"operator": "Equal", "value": wanted} if equals else {"operator": "Exists"}
    if key != "*":
        found["key"] = key
    if effect:
        found["effect"] = effect
    return found


def _affinity(affinity: Object, inner: Object, tenancy: Tenancy) -> Object:
    """Affinity to pods, of the tenant's namespaces alone; on the host they are labels of pods."""
    found = copy.deepcopy(affinity)
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = found.get(kind, {})
        for one in terms.get("preferredDuringSchedulingIgnoredDuringExecution", ()):
            one["podAffinityTerm"] = _term(one["podAffinityTerm"], inner, tenancy)
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        if required in terms:
            terms[required] = [_term(one, inner, tenancy) for one in terms[required]]
    return found


def _term(term: Object, inner: Object, tenancy: Tenancy) -> Object:
    """A term without namespaces and their selector, which the engine never hands on (translatePodAffinityTerm). Of a selector of
    namespaces only the empty one is known here: all."""
    selector = copy.deepcopy(term.get("labelSelector"))
    if selector is None:
        return {"topologyKey": term["topologyKey"]}
    labels = selector.setdefault("matchLabels", {})
    labels[MANAGED_BY] = tenancy.engine.name
    if term.get("namespaces") and term.get("namespaceSelector") != {}:
        rule = {"key": NAMESPACE, "operator": "In", "values": list(term["namespaces"])}
        selector.setdefault("matchExpressions", []).append(rule)
    elif "namespaceSelector" not in term:
        labels[NAMESPACE] = inner["metadata"]["namespace"]
    return {"labelSelector": selector, "topologyKey": term["topologyKey"]}


def _outer(inner: Object, kind: str, tenancy: Tenancy) -> Object:
    meta = inner["metadata"]
    notes = {k: v for k, v in meta.get("annotations", {}).items() if k not in _POD_METADATA_DROPS}
    notes |= {
        f"{OBJECT}name": meta["name"],
        f"{OBJECT}namespace": meta["namespace"],
        f"{OBJECT}uid": meta["uid"],
        f"{OBJECT}kind": f"/v1, Kind={kind}",
    }
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": host_name(meta["name"], meta["namespace"], tenancy.engine.name),
            "namespace": tenancy.engine.namespace,
            "labels": meta.get("labels", {}) | _labels(meta["namespace"], tenancy),
            "annotations": notes,
            "ownerReferences": owner(tenancy.engine, tenancy.service),
        },
    }


def _labels(namespace: str, tenancy: Tenancy) -> dict[str, str]:
    return {MANAGED_BY: tenancy.engine.name, NAMESPACE: namespace}


def _volume(volume: Object, inner: Object, tenancy: Tenancy) -> Object:
    namespace, cluster = inner["metadata"]["namespace"], tenancy.engine.name
    if "projected" in volume or "downwardAPI" in volume:
        return {"name": volume["name"], "emptyDir": {}}
    for source, field in (("configMap", "name"), ("secret", "secretName"), ("persistentVolumeClaim", "claimName")):
        if source in volume:
            renamed = host_name(volume[source][field], namespace, cluster)
            return {"name": volume["name"], source: volume[source] | {field: renamed}}
    return volume
