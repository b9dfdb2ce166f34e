"""NestedCluster -> the chart's values: every field, against the official chart's schema and what that schema misses."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.engine.values import chart_values
from reconciler.errors import Stalled
from reconciler.model import (
    ClusterDocument,
    ClusterSpec,
    ControlPlane,
    EngineChart,
    EngineChoice,
    Expose,
    Gateway,
    HostFacts,
    Isolation,
    KubernetesChoice,
    Metadata,
    NestedCluster,
    Quota,
    Resources,
    Rules,
    Scheduling,
    Store,
    Sync,
    ToHost,
    Toleration,
)

DATA = Path(__file__).parents[1].parent / "shared" / "data" / "vcluster-0.36.1" / "values.schema.json"
FACTS = HostFacts("local")
CHART = EngineChart("0.36.1", "chart-digest", (("Chart.yaml", "oid-1"), ("values.yaml", "oid-2")))
RULES = Rules("vcluster-{name}", (CHART,), ("v1.35.0", "v1.36.0"))
NAMESPACE = "vcluster-team-a"


def cluster(spec: ClusterSpec | None = None, name: str = "team-a") -> NestedCluster:
    return NestedCluster(
        api_version="nidus.dev/v1alpha1", kind="NestedCluster", metadata=Metadata(name=name), spec=spec or ClusterSpec()
    )


def document(spec: ClusterSpec | None = None) -> ClusterDocument:
    return ClusterDocument(cluster(spec), "clusters/team-a.yaml", 1, "digest")


def values(spec: ClusterSpec | None = None, rules: Rules = RULES) -> dict[str, Any]:
    return chart_values(cluster(spec), NAMESPACE, rules)


def at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


FULL = ClusterSpec(
    engine=EngineChoice(version="0.36.1"),
    kubernetes=KubernetesChoice(version="v1.35.0"),
    control_plane=ControlPlane(
        replicas=3,
        store=Store(type="etcd", size="8Gi", storage_class="fast"),
        resources=Resources(requests={"cpu": "300m"}, limits={"memory": "3Gi"}),
    ),
    expose=Expose(
        type="LoadBalancer",
        host="a.example.com",
        source_ranges=("192.0.2.0/24",),
        external_traffic_policy="Local",
        load_balancer_class="example.com/lb",
        extra_sans=("b.example.com", "192.0.2.7"),
        annotations={"metallb.io/address-pool": "tenants"},
    ),
    quota=Quota(cpu="6", memory="8Gi", pods=50),
    isolation=Isolation(pod_security="restricted"),
    sync=Sync(
        to_host=ToHost(ingresses=True, pod_disruption_budgets=True, service_accounts=True, network_policies=True)
    ),
    scheduling=Scheduling(
        node_selector={"pool": "tenants"},
        tolerations=(
            Toleration(key="tenant", value="a", effect="NoSchedule"),
            Toleration(key="gpu", operator="Exists"),
            Toleration(operator="Exists"),
        ),
        priority_class_name="tenants",
    ),
)
NODE_PORT = ClusterSpec(expose=Expose(type="NodePort", node_port=30443, external_traffic_policy="Cluster"))
ROUTE = ClusterSpec(expose=Expose(type="TLSRoute", host="a.example.com", gateway=Gateway("edge", "gateways", "tls")))
INGRESS = ClusterSpec(
    expose=Expose(
        type="Ingress",
        host="a.example.com",
        ingress_class_name="nginx",
        annotations={"nginx.ingress.kubernetes.io/ssl-redirect": "false"},
    )
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("controlPlane.statefulSet.image.registry", "ghcr.io"),
        ("controlPlane.statefulSet.image.repository", "loft-sh/vcluster-oss"),
        ("controlPlane.statefulSet.image.tag", "0.36.1"),
        ("controlPlane.statefulSet.highAvailability.replicas", 1),
        ("controlPlane.statefulSet.persistence.volumeClaim.size", "5Gi"),
        ("controlPlane.distro.k8s.image.tag", "v1.36.0"),
        ("controlPlane.service.spec.type", "ClusterIP"),
        ("controlPlane.ingress.host", ""),
        ("controlPlane.proxy.extraSANs", [f"team-a.{NAMESPACE}.svc", f"team-a.{NAMESPACE}.svc.cluster.local"]),
        ("networking.advanced.proxyKubelets", {"byHostname": False, "byIP": False}),
        ("policies.podSecurityStandard", "baseline"),
        ("policies.resourceQuota.enabled", False),
        ("policies.limitRange.enabled", False),
        ("policies.networkPolicy.enabled", False),
        ("rbac.role.enabled", False),
        ("rbac.clusterRole.enabled", False),
        ("sync.toHost.pods.useSecretsForSATokens", True),
        ("sync.toHost.ingresses.enabled", False),
        ("telemetry.enabled", False),
    ],
)
def test_a_default_cluster(path: str, value: Any) -> None:
    assert at(values(), path) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("controlPlane.distro.k8s.image.tag", "v1.35.0"),
        ("controlPlane.statefulSet.highAvailability.replicas", 3),
        ("controlPlane.advanced.podDisruptionBudget", {"enabled": True, "maxUnavailable": 1}),
        ("controlPlane.statefulSet.resources", {"requests": {"cpu": "300m"}, "limits": {"memory": "3Gi"}}),
        ("controlPlane.statefulSet.scheduling.nodeSelector", {"pool": "tenants"}),
        ("controlPlane.statefulSet.scheduling.priorityClassName", "tenants"),
        ("controlPlane.backingStore.etcd.deploy.enabled", True),
        ("controlPlane.backingStore.etcd.deploy.statefulSet.highAvailability.replicas", 3),
        (
            "controlPlane.backingStore.etcd.deploy.statefulSet.persistence.volumeClaim",
            {"size": "8Gi", "storageClass": "fast"},
        ),
        ("controlPlane.backingStore.etcd.deploy.statefulSet.scheduling.nodeSelector", {"pool": "tenants"}),
        ("controlPlane.backingStore.etcd.deploy.statefulSet.scheduling.priorityClassName", "tenants"),
        ("controlPlane.service.spec.type", "LoadBalancer"),
        ("controlPlane.service.spec.loadBalancerSourceRanges", ["192.0.2.0/24"]),
        ("controlPlane.service.spec.externalTrafficPolicy", "Local"),
        ("controlPlane.service.spec.loadBalancerClass", "example.com/lb"),
        ("controlPlane.service.annotations", {"metallb.io/address-pool": "tenants"}),
        ("policies.podSecurityStandard", "restricted"),
        ("sync.toHost.ingresses.enabled", True),
        ("sync.toHost.podDisruptionBudgets.enabled", True),
        ("sync.toHost.serviceAccounts.enabled", True),
        ("sync.toHost.networkPolicies.enabled", True),
        ("sync.toHost.pods.enforceTolerations", ["tenant=a:NoSchedule", "gpu:", "*"]),
        ("sync.toHost.pods.priorityClassName", "tenants"),
        ("sync.fromHost.nodes", {"enabled": False, "selector": {"labels": {"pool": "tenants"}}}),
        (
            "controlPlane.statefulSet.scheduling.tolerations",
            [
                {"key": "tenant", "operator": "Equal", "value": "a", "effect": "NoSchedule"},
                {"key": "gpu", "operator": "Exists"},
                {"operator": "Exists"},
            ],
        ),
    ],
)
def test_every_field_reaches_the_chart(path: str, value: Any) -> None:
    assert at(values(FULL), path) == value


def test_names_in_the_certificate() -> None:
    assert at(values(FULL), "controlPlane.proxy.extraSANs")[2:] == ["a.example.com", "b.example.com", "192.0.2.7"]


def test_node_port() -> None:
    service = at(values(NODE_PORT), "controlPlane.service")
    assert service == {"spec": {"type": "NodePort", "externalTrafficPolicy": "Cluster"}, "httpsNodePort": 30443}


def test_ingress() -> None:
    assert at(values(INGRESS), "controlPlane.ingress") == {
        "enabled": True,
        "host": "a.example.com",
        "annotations": {"nginx.ingress.kubernetes.io/ssl-redirect": "false"},
        "spec": {"ingressClassName": "nginx"},
    }
    assert at(values(INGRESS), "controlPlane.service.spec.type") == "ClusterIP"


def test_a_pinned_image() -> None:
    pinned = EngineChart("0.36.1", "d", (), "sha256:" + "a" * 64)
    rules = Rules("vcluster-{name}", (pinned,), ("v1.36.0",))
    assert at(values(rules=rules), "controlPlane.statefulSet.image.tag") == "0.36.1@sha256:" + "a" * 64


def test_defaults_are_the_newest_the_operator_offers() -> None:
    older = EngineChart("0.36.0", "d0", ())
    rules = Rules("vcluster-{name}", (older, CHART), ("v1.9.0", "v1.36.0", "v1.35.4", "v1.99.0"))
    assert at(values(rules=rules), "controlPlane.statefulSet.image.tag") == "0.36.1"
    assert at(values(rules=rules), "controlPlane.distro.k8s.image.tag") == "v1.36.0"
    chosen = ClusterSpec(engine=EngineChoice(version="0.36.0"))
    assert at(values(chosen, rules), "controlPlane.statefulSet.image.tag") == "0.36.0"


@pytest.mark.parametrize(
    "place",
    [
        "statefulSet.security.containerSecurityContext",
        "distro.k8s.securityContext",
        "backingStore.etcd.deploy.statefulSet.security.containerSecurityContext",
    ],
)
def test_rootless_on_three_places(place: str) -> None:
    found = at(values(FULL)["controlPlane"], place)
    assert found["runAsNonRoot"] is True
    assert found["runAsUser"] > 0
    assert found["capabilities"] == {"drop": ["ALL"]}
    assert found["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["allowPrivilegeEscalation"] is False


def test_an_unknown_engine_is_an_error() -> None:
    with pytest.raises(Stalled, match="offers no engine"):
        values(ClusterSpec(engine=EngineChoice(version="0.1.0")))


@pytest.mark.skipif(not DATA.exists(), reason="the official chart's schema is not in this checkout's neighbourhood")
@pytest.mark.parametrize("spec", [None, FULL, NODE_PORT, INGRESS], ids=["default", "full", "node port", "ingress"])
def test_the_official_schema_accepts_the_values(spec: ClusterSpec | None) -> None:
    schema = json.loads(DATA.read_text())
    problems = [error.message for error in Draft202012Validator(schema).iter_errors(values(spec))]
    assert problems == []


WORDS = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
SPECS = st.builds(
    ClusterSpec,
    control_plane=st.builds(
        ControlPlane,
        replicas=st.integers(1, 5),
        store=st.builds(Store, type=st.sampled_from(["sqlite", "etcd"]), storage_class=st.just("") | WORDS),
    ),
    expose=st.builds(
        Expose,
        type=st.sampled_from(["None", "LoadBalancer", "NodePort", "Ingress", "TLSRoute"]),
        host=st.just("") | WORDS,
    ),
    sync=st.builds(Sync, to_host=st.builds(ToHost, ingresses=st.booleans(), service_accounts=st.booleans())),
    scheduling=st.builds(
        Scheduling,
        node_selector=st.dictionaries(WORDS, WORDS, max_size=2),
        tolerations=st.lists(st.builds(Toleration, key=WORDS, value=st.just("") | WORDS), max_size=2).map(tuple),
    ),
)


@given(SPECS)
def test_values_hold_no_licensed_key_and_no_empty_surprise(spec: ClusterSpec) -> None:
    found = values(spec)
    assert set(found) == {"controlPlane", "sync", "policies", "rbac", "networking", "telemetry"}
    assert "database" not in found["controlPlane"].get("backingStore", {})
    assert "exportKubeConfig" not in found
    assert json.loads(json.dumps(found)) == found
