"""The values through Helm and the stand-in chart (devhost/chart): what really reaches the host."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart

from reconciler.engine.values import chart_values
from reconciler.model import ClusterSpec, NestedCluster
from tests.installed import LOADER
from tests.test_engine_values import FULL, INGRESS, NAMESPACE, NODE_PORT, ROUTE, RULES, cluster

CHART = Path(__file__).parents[1] / "devhost" / "chart"
ALL = [ClusterSpec(), FULL, NODE_PORT, INGRESS, ROUTE]
IDS = ["default", "full", "node port", "ingress", "route"]


def render(spec: ClusterSpec) -> dict[tuple[str, str], Any]:
    """One of ALL, rendered once; nobody changes it."""
    return rendered(ALL.index(spec))


@cache
def rendered(which: int) -> dict[tuple[str, str], Any]:
    wanted: NestedCluster = cluster(ALL[which])
    with Chart.load(CHART) as chart:
        files = chart.render(chart_values(wanted, NAMESPACE, RULES), name="team-a", namespace=NAMESPACE)
    objects = [obj for text in files.values() for obj in yaml.load_all(text, LOADER) if obj]
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}


@pytest.mark.parametrize("spec", ALL, ids=IDS)
def test_no_rights_and_no_policies_come_from_the_chart(spec: ClusterSpec) -> None:
    kinds = {kind for kind, _ in render(spec)}
    ours = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ResourceQuota", "LimitRange", "NetworkPolicy"}
    assert not kinds & ours
    assert {"Service", "ServiceAccount", "Secret"} <= kinds


@pytest.mark.parametrize("spec", ALL, ids=IDS)
def test_every_pod_passes_the_restricted_level(spec: ClusterSpec) -> None:
    templates = [obj["spec"]["template"]["spec"] for obj in render(spec).values() if "template" in obj.get("spec", {})]
    assert templates
    for pod in templates:
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["runAsNonRoot"] is True
            assert context["runAsUser"] > 0
            assert context["capabilities"]["drop"] == ["ALL"]
            assert context["seccompProfile"]["type"] == "RuntimeDefault"


def test_a_default_cluster() -> None:
    objects = render(ClusterSpec())
    engine = objects["StatefulSet", "team-a"]["spec"]
    assert engine["replicas"] == 1
    assert [c["image"] for c in engine["template"]["spec"]["containers"]] == ["ghcr.io/loft-sh/vcluster-oss:0.36.1"]
    assert engine["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert objects["Service", "team-a"]["spec"]["type"] == "ClusterIP"


def test_a_full_cluster() -> None:
    objects = render(FULL)
    engine, store = objects["Deployment", "team-a"]["spec"], objects["StatefulSet", "team-a-etcd"]["spec"]
    assert (engine["replicas"], store["replicas"]) == (3, 3)
    assert objects["PodDisruptionBudget", "team-a"]["spec"]["maxUnavailable"] == 1
    for part in (engine, store):
        pod = part["template"]["spec"]
        assert pod["nodeSelector"] == {"pool": "tenants"}
        assert pod["priorityClassName"] == "tenants"
        assert pod["tolerations"][1] == {"key": "gpu", "operator": "Exists"}
    container = engine["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"ephemeral-storage": "10Gi", "memory": "3Gi"}
    assert container["resources"]["requests"] == {"cpu": "300m", "ephemeral-storage": "1Gi", "memory": "256Mi"}
    service = objects["Service", "team-a"]
    assert service["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert service["metadata"]["annotations"]["metallb.io/address-pool"] == "tenants"


def test_an_ingress_keeps_the_charts_passthrough() -> None:
    ingress = render(INGRESS)["Ingress", "team-a"]
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/ssl-passthrough"] == "true"
    assert annotations["nginx.ingress.kubernetes.io/ssl-redirect"] == "false"
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["rules"][0]["host"] == "a.example.com"


def test_a_route_leads_one_name_of_a_gateway_to_the_api_server() -> None:
    found = render(ROUTE)
    assert ("Ingress", "team-a") not in found
    assert found["TLSRoute", "team-a"]["spec"] == {
        "parentRefs": [{"name": "edge", "namespace": "gateways", "sectionName": "tls"}],
        "hostnames": ["a.example.com"],
        "rules": [{"backendRefs": [{"name": "team-a", "port": 443}]}],
    }


def test_a_node_port() -> None:
    spec = render(NODE_PORT)["Service", "team-a"]["spec"]
    assert spec["type"] == "NodePort"
    assert {port["name"]: port.get("nodePort") for port in spec["ports"]} == {"https": 30443}
