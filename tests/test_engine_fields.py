"""Every field of a NestedCluster that is the engine's reaches the host: one effect each, and none is forgotten."""

from typing import Any, get_args

import msgspec
import pytest

from reconciler import engine
from reconciler.model import (
    ClusterSpec,
    ControlPlane,
    EngineChart,
    EngineChoice,
    Expose,
    Gateway,
    Isolation,
    KubernetesChoice,
    NamespaceRef,
    Quota,
    Resources,
    Rules,
    Scheduling,
    Store,
    Sync,
    ToHost,
    Toleration,
)
from tests.test_engine_values import CHART, FACTS, NAMESPACE, RULES, document

LB, PORT, EDGE = Expose(type="LoadBalancer"), Expose(type="NodePort"), Expose(type="Ingress", host="a.example.com")
# field -> (the least a cluster needs for it, the same with the field)
EFFECTS: dict[str, tuple[ClusterSpec, ClusterSpec]] = {
    "engine.version": (ClusterSpec(), ClusterSpec(engine=EngineChoice(version="0.36.0"))),
    "kubernetes.version": (ClusterSpec(), ClusterSpec(kubernetes=KubernetesChoice(version="v1.35.0"))),
    "controlPlane.replicas": (ClusterSpec(), ClusterSpec(control_plane=ControlPlane(replicas=2))),
    "controlPlane.store.type": (ClusterSpec(), ClusterSpec(control_plane=ControlPlane(store=Store(type="etcd")))),
    "controlPlane.store.members": (
        ClusterSpec(control_plane=ControlPlane(store=Store(type="etcd"))),
        ClusterSpec(control_plane=ControlPlane(store=Store(type="etcd", members=1))),
    ),
    "controlPlane.store.size": (ClusterSpec(), ClusterSpec(control_plane=ControlPlane(store=Store(size="6Gi")))),
    "controlPlane.store.storageClass": (
        ClusterSpec(),
        ClusterSpec(control_plane=ControlPlane(store=Store(storage_class="fast"))),
    ),
    "controlPlane.resources.requests": (
        ClusterSpec(),
        ClusterSpec(control_plane=ControlPlane(resources=Resources(requests={"cpu": "1"}))),
    ),
    "controlPlane.resources.limits": (
        ClusterSpec(),
        ClusterSpec(control_plane=ControlPlane(resources=Resources(limits={"memory": "1Gi"}))),
    ),
    "expose.type": (ClusterSpec(), ClusterSpec(expose=LB)),
    "expose.host": (ClusterSpec(expose=LB), ClusterSpec(expose=Expose(type="LoadBalancer", host="a.example.com"))),
    "expose.ingressClassName": (
        ClusterSpec(expose=EDGE),
        ClusterSpec(expose=Expose(type="Ingress", host="a.example.com", ingress_class_name="nginx")),
    ),
    **{
        f"expose.gateway.{field}": (
            ClusterSpec(expose=Expose(type="TLSRoute", host="a.example.com", gateway=Gateway("edge", "gateways"))),
            ClusterSpec(expose=Expose(type="TLSRoute", host="a.example.com", gateway=Gateway(*changed))),
        )
        for field, changed in (
            ("name", ("other", "gateways")),
            ("namespace", ("edge", "others")),
            ("sectionName", ("edge", "gateways", "tls")),
        )
    },
    "expose.nodePort": (ClusterSpec(expose=PORT), ClusterSpec(expose=Expose(type="NodePort", node_port=30443))),
    "expose.sourceRanges": (
        ClusterSpec(expose=LB),
        ClusterSpec(expose=Expose(type="LoadBalancer", source_ranges=("192.0.2.0/24",))),
    ),
    "expose.externalTrafficPolicy": (
        ClusterSpec(expose=LB),
        ClusterSpec(expose=Expose(type="LoadBalancer", external_traffic_policy="Local")),
    ),
    "expose.loadBalancerClass": (
        ClusterSpec(expose=LB),
        ClusterSpec(expose=Expose(type="LoadBalancer", load_balancer_class="x")),
    ),
    "expose.extraSANs": (ClusterSpec(), ClusterSpec(expose=Expose(extra_sans=("a.example.com",)))),
    "expose.annotations": (
        ClusterSpec(expose=LB),
        ClusterSpec(expose=Expose(type="LoadBalancer", annotations={"metallb.io/x": "y"})),
    ),
    "quota.cpu": (ClusterSpec(), ClusterSpec(quota=Quota(cpu="1"))),
    "quota.memory": (ClusterSpec(), ClusterSpec(quota=Quota(memory="1Gi"))),
    "quota.storage": (ClusterSpec(), ClusterSpec(quota=Quota(storage="1Gi"))),
    "quota.ephemeralStorage": (ClusterSpec(), ClusterSpec(quota=Quota(ephemeral_storage="1Gi"))),
    "quota.pods": (ClusterSpec(), ClusterSpec(quota=Quota(pods=0))),
    "quota.services": (ClusterSpec(), ClusterSpec(quota=Quota(services=0))),
    "quota.loadBalancers": (ClusterSpec(), ClusterSpec(quota=Quota(load_balancers=0))),
    "quota.nodePorts": (ClusterSpec(), ClusterSpec(quota=Quota(node_ports=0))),
    "quota.extended": (ClusterSpec(), ClusterSpec(quota=Quota(extended={"example.com/gpu": 1}))),
    "isolation.networkPolicy": (ClusterSpec(), ClusterSpec(isolation=Isolation(network_policy=False))),
    "isolation.ingressFrom.namespace": (
        ClusterSpec(),
        ClusterSpec(isolation=Isolation(ingress_from=(NamespaceRef(namespace="edge"),))),
    ),
    "isolation.runtimeClass": (ClusterSpec(), ClusterSpec(isolation=Isolation(runtime_class="gvisor"))),
    "isolation.podSecurity": (ClusterSpec(), ClusterSpec(isolation=Isolation(pod_security="restricted"))),
    "sync.toHost.ingresses": (ClusterSpec(), ClusterSpec(sync=Sync(to_host=ToHost(ingresses=True)))),
    "sync.toHost.podDisruptionBudgets": (
        ClusterSpec(),
        ClusterSpec(sync=Sync(to_host=ToHost(pod_disruption_budgets=True))),
    ),
    "sync.toHost.serviceAccounts": (ClusterSpec(), ClusterSpec(sync=Sync(to_host=ToHost(service_accounts=True)))),
    "sync.toHost.networkPolicies": (ClusterSpec(), ClusterSpec(sync=Sync(to_host=ToHost(network_policies=True)))),
    "sync.toHost.ingressHosts": (
        ClusterSpec(sync=Sync(to_host=ToHost(ingresses=True))),
        ClusterSpec(sync=Sync(to_host=ToHost(ingresses=True, ingress_hosts=("a.example.com",)))),
    ),
    "scheduling.nodeSelector": (ClusterSpec(), ClusterSpec(scheduling=Scheduling(node_selector={"a": "b"}))),
    "scheduling.priorityClassName": (ClusterSpec(), ClusterSpec(scheduling=Scheduling(priority_class_name="high"))),
    **{
        f"scheduling.tolerations.{field}": (
            ClusterSpec(scheduling=Scheduling(tolerations=(Toleration(key="a", operator=operator),))),
            ClusterSpec(
                scheduling=Scheduling(tolerations=(Toleration(**({"key": "a", "operator": operator} | changed)),))
            ),
        )
        for field, operator, changed in (
            ("key", "Exists", {"key": "b"}),
            ("operator", "Exists", {"operator": "Equal"}),
            ("value", "Equal", {"value": "b"}),
            ("effect", "Exists", {"effect": "NoSchedule"}),
        )
    },
}
NOT_THE_ENGINES = {
    "description",
    "host",
    "profiles",
    "namespaces",
    "suspend",
    "sleep",
    "backup",
    "restoreFrom",
    "upgrade",
    "access",
    "deletion",
}


def leaves(kind: Any, prefix: str) -> set[str]:
    """Every field below a document type, by the names people write."""
    found: set[str] = set()
    for field in msgspec.structs.fields(kind):
        inner = [part for part in (*get_args(field.type), field.type) if isinstance(part, type)]
        below = next((part for part in inner if issubclass(part, msgspec.Struct)), None)
        path = f"{prefix}{field.encode_name}"
        found |= leaves(below, f"{path}.") if below else {path}
    return found


def test_the_table_of_effects_is_complete() -> None:
    ours = {path for path in leaves(ClusterSpec, "") if path.split(".")[0] not in NOT_THE_ENGINES}
    assert set(EFFECTS) == ours


@pytest.mark.parametrize("field", sorted(EFFECTS))
def test_every_field_has_an_effect(field: str) -> None:
    older = EngineChart("0.36.0", "d0", ())
    rules = Rules("vcluster-{name}", (older, CHART), ("v1.35.0", "v1.36.0"))
    before, after = (engine.layers(document(spec), NAMESPACE, rules, FACTS) for spec in EFFECTS[field])
    assert [layer.digest for layer in before] != [layer.digest for layer in after]


@pytest.mark.parametrize("field", [f for f in sorted(EFFECTS) if f.startswith(("quota.", "isolation.ingressFrom"))])
def test_what_guards_the_tenant_does_not_restart_the_control_plane(field: str) -> None:
    before, after = (engine.layers(document(spec), NAMESPACE, RULES, FACTS)[2] for spec in EFFECTS[field])
    assert before.digest == after.digest
