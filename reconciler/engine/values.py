"""Maps a NestedCluster to the chart's values.

Only values that differ from the chart's defaults, or must not change with them, are set. The engine runs without root
from the first install: later it cannot be changed, because the data on the volume would belong to root.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from reconciler.engine import choice, overhead
from reconciler.engine.overhead import ETCD_RESOURCES
from reconciler.errors import Stalled
from reconciler.model import EngineChart, Expose, Isolation, NestedCluster, Oidc, Quota, Rules, Scheduling, Toleration

USER = 12345
POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def chart_values(cluster: NestedCluster, namespace: str, rules: Rules) -> dict[str, Any]:
    """The values for the engine's chart. Raises Stalled where the operator offers no such engine."""
    return {
        "controlPlane": _control_plane(cluster, namespace, rules),
        "sync": _sync(cluster, runtime_class_of(cluster, rules)),
        "policies": _policies(isolation_of(cluster, rules)),
        "rbac": {"role": {"enabled": False}, "clusterRole": {"enabled": False}},
        "networking": {"advanced": {"proxyKubelets": {"byHostname": False, "byIP": False}}},
        "telemetry": {"enabled": False},
    }


def chart_of(cluster: NestedCluster, rules: Rules) -> EngineChart:
    """The chart of the version the cluster asks for, or of the newest. Raises Stalled where it is not offered or cannot be used."""
    wanted = choice.asked(cluster, rules).engine
    found = next((chart for chart in rules.engines if chart.version == wanted), None)
    if found is None:
        message = f"the controller offers no engine {wanted[:40]}".rstrip()
        raise Stalled(message, reason="VersionWithdrawn", hint="engine.versions of the controller's configuration")
    if found.problem:
        raise Stalled(f"engine {wanted}: {found.problem}", reason="VersionWithdrawn")
    return found


def kubernetes_of(cluster: NestedCluster, rules: Rules) -> str:
    """The Kubernetes version the cluster asks for, or the newest of the operator's that its engine runs; "" where there is none."""
    return choice.asked(cluster, rules).kubernetes


def isolation_of(cluster: NestedCluster, rules: Rules) -> Isolation:
    """The cluster's isolation as a whole, or the operator's."""
    return cluster.spec.isolation or rules.defaults.isolation


def runtime_class_of(cluster: NestedCluster, rules: Rules) -> str:
    """The RuntimeClass of the tenant's pods: the cluster's own, else the operator's, whatever else of isolation the cluster chooses."""
    own = cluster.spec.isolation.runtime_class if cluster.spec.isolation else ""
    return own or rules.defaults.isolation.runtime_class


def quota_of(cluster: NestedCluster, rules: Rules) -> Quota:
    """The tenant's share: each limit the cluster leaves out is the operator's default."""
    own, fallback = cluster.spec.quota or Quota(), rules.defaults.quota
    chosen = {name: getattr(own, name) for name in Quota.__struct_fields__ if getattr(own, name) not in ("", UNSET, {})}
    return msgspec.structs.replace(fallback, **chosen)


def _control_plane(cluster: NestedCluster, namespace: str, rules: Rules) -> dict[str, Any]:
    spec = cluster.spec
    return {
        "distro": {
            "k8s": {
                "image": {"tag": kubernetes_of(cluster, rules)},
                "securityContext": CONTAINER_SECURITY,
                **({"apiServer": {"extraArgs": _oidc(spec.access.oidc)}} if spec.access.oidc is not None else {}),
            }
        },
        "statefulSet": _stateful_set(cluster, rules),
        "proxy": {"extraSANs": _names(cluster, namespace)},
        "service": _service(cluster),
        "ingress": _ingress(cluster),
        **({"tlsRoute": _route(expose)} if (expose := spec.expose).type == "TLSRoute" else {}),
        **({"backingStore": {"etcd": {"deploy": _etcd(cluster)}}} if spec.control_plane.store.type == "etcd" else {}),
        **({"advanced": {"podDisruptionBudget": _BUDGET}} if spec.control_plane.replicas > 1 else {}),
    }


def _oidc(one: Oidc) -> list[str]:
    """The API server's arguments. Names from elsewhere get a prefix: a group `system:masters` of an issuer would be every right."""
    return [
        f"--oidc-issuer-url={one.issuer}",
        f"--oidc-client-id={one.client_id}",
        f"--oidc-username-claim={one.username_claim}",
        "--oidc-username-prefix=oidc:",
        *([f"--oidc-groups-claim={one.groups_claim}"] if one.groups_claim else []),
        "--oidc-groups-prefix=oidc:",
    ]


_BUDGET = {"enabled": True, "maxUnavailable": 1}


def _stateful_set(cluster: NestedCluster, rules: Rules) -> dict[str, Any]:
    plane, chart = cluster.spec.control_plane, chart_of(cluster, rules)
    tag = f"{chart.version}@{chart.image_digest}" if chart.image_digest else chart.version
    resources = {"requests": plane.resources.requests, "limits": plane.resources.limits}
    return {
        "image": {"registry": "ghcr.io", "repository": "loft-sh/vcluster-oss", "tag": tag},
        "highAvailability": {"replicas": plane.replicas},
        "security": _security(),
        **({"resources": kept} if (kept := {key: part for key, part in resources.items() if part}) else {}),
        **({"persistence": {"volumeClaim": _claim(cluster)}} if plane.store.type == "sqlite" else {}),
        **_scheduled(cluster.spec.scheduling),
    }


def _etcd(cluster: NestedCluster) -> dict[str, Any]:
    return {
        "enabled": True,
        "statefulSet": {
            "highAvailability": {"replicas": overhead.members(cluster.spec.control_plane.store)},
            "resources": {"requests": ETCD_RESOURCES},
            "security": _security(),
            "persistence": {"volumeClaim": _claim(cluster)},
            **_scheduled(cluster.spec.scheduling),
        },
    }


def _security() -> dict[str, Any]:
    return {"podSecurityContext": POD_SECURITY, "containerSecurityContext": CONTAINER_SECURITY}


def _claim(cluster: NestedCluster) -> dict[str, Any]:
    store = cluster.spec.control_plane.store
    return {"size": store.size, **({"storageClass": store.storage_class} if store.storage_class else {})}


def _scheduled(scheduling: Scheduling) -> dict[str, Any]:
    chosen = {
        "nodeSelector": scheduling.node_selector,
        "tolerations": [_toleration(one) for one in scheduling.tolerations],
        "priorityClassName": scheduling.priority_class_name,
    }
    kept = {key: value for key, value in chosen.items() if value}
    return {"scheduling": kept} if kept else {}


def _toleration(one: Toleration) -> dict[str, str]:
    fields = {"key": one.key, "operator": one.operator, "value": one.value, "effect": one.effect}
    return {key: value for key, value in fields.items() if value}


def enforced(one: Toleration) -> str:
    """The engine's spelling: `key=value:Effect`, `key:Effect` for Exists, `*` for everything (pkg/util/toleration).

    The colon stands even without an effect: without it the engine reads `key` as "equal to nothing".
    """
    if one.operator == "Exists":
        return f"{one.key}:{one.effect}" if one.key or one.effect else "*"
    return f"{one.key}={one.value}:{one.effect}"


def _names(cluster: NestedCluster, namespace: str) -> list[str]:
    name, expose = cluster.metadata.name, cluster.spec.expose
    wanted = [f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local", expose.host, *expose.extra_sans]
    return list(dict.fromkeys(found for found in wanted if found))


def _service(cluster: NestedCluster) -> dict[str, Any]:
    expose = cluster.spec.expose
    if expose.type not in ("LoadBalancer", "NodePort"):
        return {"spec": {"type": "ClusterIP"}}
    spec = {
        "type": expose.type,
        "externalTrafficPolicy": expose.external_traffic_policy,
        "loadBalancerSourceRanges": list(expose.source_ranges),
        "loadBalancerClass": expose.load_balancer_class,
    }
    return {
        "spec": {key: value for key, value in spec.items() if value},
        **({"httpsNodePort": expose.node_port} if expose.node_port else {}),
        **({"annotations": expose.annotations} if expose.annotations else {}),
    }


def _ingress(cluster: NestedCluster) -> dict[str, Any]:
    expose = cluster.spec.expose
    if expose.type != "Ingress":
        return {"host": ""}
    return {
        "enabled": True,
        "host": expose.host,
        **({"annotations": expose.annotations} if expose.annotations else {}),
        **({"spec": {"ingressClassName": expose.ingress_class_name}} if expose.ingress_class_name else {}),
    }


def _route(expose: Expose) -> dict[str, Any]:
    """With one parent, whatever its section: listeners that do not fit refuse the route."""
    at = expose.gateway
    parents = (
        [{"name": at.name, "namespace": at.namespace} | ({"sectionName": at.section_name} if at.section_name else {})]
        if at
        else []
    )
    return {
        "enabled": True,
        "host": expose.host,
        "parentRefs": parents,
        **({"annotations": expose.annotations} if expose.annotations else {}),
    }


def _sync(cluster: NestedCluster, runtime_class: str) -> dict[str, Any]:
    chosen, scheduling = cluster.spec.sync.to_host, cluster.spec.scheduling
    pods: dict[str, Any] = {"useSecretsForSATokens": True}
    if scheduling.tolerations:
        pods["enforceTolerations"] = [enforced(one) for one in scheduling.tolerations]
    if scheduling.priority_class_name:
        pods["priorityClassName"] = scheduling.priority_class_name
    if runtime_class:
        pods["runtimeClassName"] = runtime_class
    to_host: dict[str, Any] = {
        "pods": pods,
        "ingresses": {"enabled": chosen.ingresses},
        "podDisruptionBudgets": {"enabled": chosen.pod_disruption_budgets},
        "serviceAccounts": {"enabled": chosen.service_accounts},
        "networkPolicies": {"enabled": chosen.network_policies},
    }
    if not scheduling.node_selector:
        return {"toHost": to_host}
    nodes = {"enabled": False, "selector": {"labels": scheduling.node_selector}}
    return {"toHost": to_host, "fromHost": {"nodes": nodes}}


def _policies(isolation: Isolation) -> dict[str, Any]:
    """Quota, limits and network policies are rendered by us: every chart value restarts the control plane."""
    return {
        "podSecurityStandard": isolation.pod_security,
        "resourceQuota": {"enabled": False},
        "limitRange": {"enabled": False},
        "networkPolicy": {"enabled": False},
    }
