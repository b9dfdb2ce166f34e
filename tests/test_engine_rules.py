"""Rules of the engine: violations, versions, readiness, endpoints, its own writes, what it leaves behind."""

from typing import Any

import pytest

from reconciler import engine
from reconciler.engine import leftovers, readiness, versions, writes
from reconciler.model import (
    ClusterSpec,
    ControlPlane,
    EngineChart,
    EngineChoice,
    Expose,
    Gateway,
    KubernetesChoice,
    Metadata,
    NestedCluster,
    ObjectRef,
    Quota,
    Resources,
    Rules,
    Scheduling,
    Store,
    Sync,
    ToHost,
    Toleration,
)

RULES = Rules(
    "vcluster-{name}",
    (EngineChart("0.35.0", "d", ()), EngineChart("0.36.1", "d", ())),
    ("v1.36.0", "v1.37.0", "v1.35.2"),
    dns_pattern="*.nested.example.com",
)


def cluster(**fields: Any) -> NestedCluster:
    return NestedCluster(
        api_version="nidus.dev/v1alpha1",
        kind="NestedCluster",
        metadata=Metadata(name="a"),
        spec=ClusterSpec(**({"kubernetes": KubernetesChoice(version="v1.36.0")} | fields)),
    )


def pointers(rules: Rules = RULES, **fields: Any) -> list[str]:
    document = cluster(**fields)
    found = [*engine.unoffered(document, rules), *engine.impossible(document)]
    assert all(message for _, message, _ in found)
    return [pointer for pointer, _, _ in found]


def test_hosts_of_ingresses_need_ingresses() -> None:
    hosts = ("a.example.com",)
    assert pointers(sync=Sync(to_host=ToHost(ingress_hosts=hosts))) == ["/spec/sync/toHost/ingressHosts"]
    assert pointers(sync=Sync(to_host=ToHost(ingresses=True, ingress_hosts=hosts))) == []


def tolerations(*found: Toleration) -> Scheduling:
    return Scheduling(tolerations=found)


GATEWAY = Gateway("edge", "gateways")
NGINX = "nginx.ingress.kubernetes.io"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"engine": EngineChoice(version="0.36.1")},
        {"control_plane": ControlPlane(replicas=3, store=Store(type="etcd"))},
        {"expose": Expose(type="Ingress", host="a.nested.example.com", ingress_class_name="nginx")},
        {"expose": Expose(type="TLSRoute", host="a.nested.example.com", gateway=GATEWAY)},
        {"expose": Expose(type="Ingress", host="a.nested.example.com", annotations={f"{NGINX}/ssl-redirect": "true"})},
        {"expose": Expose(type="LoadBalancer", source_ranges=("192.0.2.0/24",), external_traffic_policy="Local")},
        {"expose": Expose(type="LoadBalancer", annotations={"metallb.io/address-pool": "tenants"})},
        {"expose": Expose(type="NodePort", node_port=30443)},
        {"quota": Quota(cpu="2500m", memory="8Gi", storage="1.5Ti")},
        {"scheduling": tolerations(Toleration(operator="Exists"), Toleration(key="a", value="b"))},
    ],
)
def test_what_is_fine(fields: dict[str, Any]) -> None:
    assert pointers(**fields) == []


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"engine": EngineChoice(version="0.30.0")}, "/spec/engine/version"),
        ({"engine": EngineChoice(version="0.35.0")}, "/spec/kubernetes/version"),
        ({"kubernetes": KubernetesChoice(version="v1.34.0")}, "/spec/kubernetes/version"),
        ({"kubernetes": KubernetesChoice(version="v1.37.0")}, "/spec/kubernetes/version"),
        ({"control_plane": ControlPlane(replicas=2)}, "/spec/controlPlane/replicas"),
        ({"control_plane": ControlPlane(store=Store(size="5 Gi"))}, "/spec/controlPlane/store/size"),
        (
            {"control_plane": ControlPlane(resources=Resources(limits={"example.com/x": "?"}))},
            "/spec/controlPlane/resources/limits/example.com~1x",
        ),
        ({"expose": Expose(type="Ingress")}, "/spec/expose/host"),
        ({"expose": Expose(type="TLSRoute", gateway=GATEWAY)}, "/spec/expose/host"),
        ({"expose": Expose(type="TLSRoute", host="a.nested.example.com")}, "/spec/expose/gateway"),
        ({"expose": Expose(type="Ingress", host="a.nested.example.com", gateway=GATEWAY)}, "/spec/expose/gateway"),
        ({"expose": Expose(host="a.nested.example.com")}, "/spec/expose/host"),
        ({"expose": Expose(node_port=30443)}, "/spec/expose/nodePort"),
        ({"expose": Expose(type="NodePort", source_ranges=("10.0.0.0/8",))}, "/spec/expose/sourceRanges"),
        ({"expose": Expose(type="NodePort", load_balancer_class="x")}, "/spec/expose/loadBalancerClass"),
        ({"expose": Expose(external_traffic_policy="Local")}, "/spec/expose/externalTrafficPolicy"),
        ({"expose": Expose(type="LoadBalancer", ingress_class_name="nginx")}, "/spec/expose/ingressClassName"),
        (
            {
                "expose": Expose(
                    type="Ingress",
                    host="a.nested.example.com",
                    annotations={f"{NGINX}/configuration-snippet": "return 200;"},
                )
            },
            f"/spec/expose/annotations/{NGINX}~1configuration-snippet",
        ),
        ({"expose": Expose(annotations={"a": "b"})}, "/spec/expose/annotations/a"),
        ({"quota": Quota(memory="lots")}, "/spec/quota/memory"),
        (
            {"scheduling": tolerations(Toleration(key="a", operator="Exists", value="b"))},
            "/spec/scheduling/tolerations/0/value",
        ),
        ({"scheduling": tolerations(Toleration(value="b"))}, "/spec/scheduling/tolerations/0/key"),
        ({"scheduling": tolerations(Toleration(key="a=b"))}, "/spec/scheduling/tolerations/0"),
    ],
)
def test_what_the_engine_would_refuse(fields: dict[str, Any], pointer: str) -> None:
    assert pointers(**fields) == [pointer]


def test_everything_is_reported_at_once() -> None:
    found = pointers(control_plane=ControlPlane(replicas=2), expose=Expose(type="Ingress"), quota=Quota(cpu="x"))
    assert found == ["/spec/controlPlane/replicas", "/spec/expose/host", "/spec/quota/cpu"]


def test_a_controller_without_engines_says_so() -> None:
    assert pointers(Rules("vcluster-{name}", (), ("v1.36.0",))) == ["/spec/engine/version"]


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("v1.35.0", "v1.35.0", True),
        ("v1.35.0", "v1.35.9", True),
        ("v1.35.4", "v1.36.0", True),
        ("v1.35.0", "v1.37.0", False),
        ("v1.36.0", "v1.35.9", False),
        ("v1.36.1", "v1.36.0", False),
        ("0.36.1", "0.37.0", True),
        ("0.36.1", "1.0.0", False),
    ],
)
def test_steps_between_versions(old: str, new: str, allowed: bool) -> None:
    assert (versions.step(old, new) == "") is allowed


@pytest.mark.parametrize("text", ["", "1.36", "v1.x.0", "latest", "v1.36.0.1"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        versions.parse(text)


# Readiness

WORKLOAD = ObjectRef("apps", "StatefulSet", "ns", "a")
SERVICE = ObjectRef("", "Service", "ns", "a")


def rolled_out(ready: int) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 1, "readyReplicas": ready}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 1}, "status": status}


@pytest.mark.parametrize(
    ("objects", "secret", "answers", "status", "reason"),
    [
        ({}, False, False, "InProgress", "NotStarted"),
        ({WORKLOAD: rolled_out(0)}, False, False, "InProgress", "LessReady"),
        ({WORKLOAD: rolled_out(1)}, False, False, "InProgress", "CredentialsMissing"),
        ({WORKLOAD: rolled_out(1)}, True, False, "InProgress", "NotAnswering"),
        ({WORKLOAD: rolled_out(1)}, True, True, "Current", "Current"),
    ],
)
def test_readiness(objects: Any, secret: bool, answers: bool, status: str, reason: str) -> None:
    found = readiness.compute(objects, secret, answers)
    assert (found.status, found.reason) == (status, reason)


def test_readiness_names_the_worst_object() -> None:
    waiting = {"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}}
    gone = rolled_out(1) | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    found = readiness.compute({SERVICE: waiting, WORKLOAD: gone}, True, True)
    assert (found.status, found.message.split(":")[0]) == ("Terminating", "StatefulSet.apps/ns/a")


BALANCED = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
PORTS = {"spec": {"ports": [{"name": "https", "nodePort": 30443}, {"name": "kubelet", "nodePort": 30444}]}}


@pytest.mark.parametrize(
    ("expose", "service", "url"),
    [
        (Expose(), None, "https://a.ns"),
        (Expose(type="LoadBalancer"), None, ""),
        (Expose(type="LoadBalancer"), {"status": {"loadBalancer": {}}}, ""),
        (Expose(type="LoadBalancer"), BALANCED, "https://192.0.2.1"),
        (
            Expose(type="LoadBalancer"),
            {"status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1"}]}}},
            "https://[2001:db8::1]",
        ),
        (Expose(type="LoadBalancer", host="a.example.com"), BALANCED, "https://a.example.com"),
        (Expose(type="NodePort"), PORTS, ""),
        (Expose(type="NodePort", extra_sans=("192.0.2.9",)), PORTS, "https://192.0.2.9:30443"),
        (Expose(type="NodePort", host="a.example.com"), None, ""),
        (Expose(type="Ingress", host="a.example.com"), None, "https://a.example.com"),
        (Expose(type="TLSRoute", host="a.example.com", gateway=GATEWAY), None, "https://a.example.com"),
    ],
)
def test_endpoint(expose: Expose, service: Any, url: str) -> None:
    assert readiness.endpoint(cluster(expose=expose), "ns", service) == url


def test_the_endpoint_of_a_route_has_the_port_of_its_listener() -> None:
    exposed = cluster(expose=Expose(type="TLSRoute", host="a.example.com", gateway=GATEWAY))
    assert readiness.endpoint(exposed, "ns", None, 8443) == "https://a.example.com:8443"


# The engine's own writes and leftovers


def test_the_engines_annotations_are_ignored() -> None:
    assert writes.ignored(SERVICE) == ("/metadata/annotations/vcluster.loft.sh~1service-cidr",)
    assert "/metadata/annotations/loft.sh~1paused" in writes.ignored(WORKLOAD)
    assert writes.ignored(ObjectRef("", "ConfigMap", "ns", "a")) == ()


def test_ignore_rules_name_the_release() -> None:
    rules = {(rule.kind, rule.name): rule.pointers for rule in writes.ignore_rules("a", "ns")}
    assert ("Secret", "vc-config-a") in rules
    assert ("StatefulSet", "a-etcd") in rules
    assert rules["Service", "a"] == writes.ignored(SERVICE)


def test_foreign_objects() -> None:
    ours = {"labels": {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "a"}}
    synced = {"labels": ours["labels"] | {"vcluster.loft.sh/managed-by": "a"}}
    owned = ours | {"ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "a", "uid": "u"}]}
    assert not writes.foreign({"metadata": ours})
    assert not writes.foreign({"metadata": {"labels": None, "ownerReferences": None}})
    assert writes.foreign({"metadata": synced})
    assert writes.foreign({"metadata": owned})


def test_claims_and_what_retain_keeps() -> None:
    assert [ref.name for ref in leftovers.claims(cluster(), "ns")] == ["data-a-0"]
    etcd = cluster(control_plane=ControlPlane(store=Store(type="etcd")))
    assert [ref.name for ref in leftovers.claims(etcd, "ns")] == ["data-a-etcd-0", "data-a-etcd-1", "data-a-etcd-2"]
    kept = {f"{ref.kind}/{ref.name}" for ref in leftovers.kept(cluster(), "ns")}
    assert kept == {
        "Namespace/ns",
        "Service/a",
        "Secret/a-certs",
        "Secret/vc-config-a",
        "PersistentVolumeClaim/data-a-0",
    }


def test_selectors_stay_inside_the_namespace_or_name_the_cluster() -> None:
    for selector in leftovers.selectors("a", "ns"):
        assert selector.namespace == "ns" or selector.labels.endswith("=ns-x-a")


KINDS_WITH_ADDRESS: tuple[Any, ...] = ("LoadBalancer", "NodePort")
ODD_SERVICES: list[Any] = [
    {"spec": [], "status": []},
    {"spec": {"ports": {}}, "status": {"loadBalancer": "x"}},
    {"spec": {"ports": ["https"]}, "status": {"loadBalancer": {"ingress": {}}}},
    {"spec": {"ports": [{"name": "https", "nodePort": "x"}]}, "status": {"loadBalancer": {"ingress": ["x"]}}},
    {"spec": {"ports": [{"name": "https", "nodePort": {}}]}, "status": {"loadBalancer": {"ingress": [{"ip": []}]}}},
]


def test_an_odd_service_has_no_address_yet() -> None:
    for service in ODD_SERVICES:
        for kind in KINDS_WITH_ADDRESS:
            assert readiness.endpoint(cluster(expose=Expose(type=kind, extra_sans=("192.0.2.9",))), "ns", service) == ""
