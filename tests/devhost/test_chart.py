"""The stand-in chart: names, kinds and labels of the official chart's interface (section 1.1 of the engine's facts)."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart
from helm_python.errors import HelmRenderError, HelmValuesError

from devhost.nested import CHART

NAME, NAMESPACE = "team-a", "vcluster-team-a"
DEFAULT = {
    ("StatefulSet", "team-a"),
    ("Service", "team-a"),
    ("Service", "team-a-headless"),
    ("ServiceAccount", "vc-team-a"),
    ("ServiceAccount", "vc-workload-team-a"),
    ("Role", "vc-team-a"),
    ("RoleBinding", "vc-team-a"),
    ("Secret", "vc-config-team-a"),
}
DEPLOYED_ETCD: dict[str, Any] = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}


def render(values: dict[str, Any] | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    with Chart.load(CHART) as chart:
        files = chart.render(values or {}, name=NAME, namespace=NAMESPACE)
    objects = [o for text in files.values() for o in yaml.safe_load_all(text) if o]
    return {(o["kind"], o["metadata"]["name"]): o for o in objects}


def test_defaults_render_the_eight_objects() -> None:
    objects = render()
    assert set(objects) == DEFAULT
    for found in objects.values():
        labels = found["metadata"]["labels"]
        assert (labels["app"], labels["release"], labels["heritage"]) == ("vcluster", NAME, "Helm")
        assert labels["chart"] == "vcluster-0.36.1"
        assert found["metadata"]["namespace"] == NAMESPACE


def test_engine_pod_and_service_meet_on_8443() -> None:
    objects = render()
    service = objects["Service", NAME]["spec"]
    assert [(p["name"], p["port"], p["targetPort"]) for p in service["ports"]] == [
        ("https", 443, 8443),
        ("kubelet", 10250, 8443),
    ]
    template = objects["StatefulSet", NAME]["spec"]["template"]
    assert template["metadata"]["labels"] == service["selector"] == {"app": "vcluster", "release": NAME}
    assert objects["StatefulSet", NAME]["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"


def test_any_value_restarts_the_engine() -> None:
    def hash_of(values: dict[str, Any]) -> str:
        template = render(values)["StatefulSet", NAME]["spec"]["template"]
        return str(template["metadata"]["annotations"]["vClusterConfigHash"])

    assert hash_of({}) == hash_of({})
    assert hash_of({}) != hash_of({"telemetry": {"enabled": False}})


def test_config_secret_holds_the_merged_values() -> None:
    secret = render({"telemetry": {"enabled": False}})["Secret", "vc-config-team-a"]
    config = yaml.safe_load(base64.b64decode(secret["data"]["config.yaml"]))
    assert config["telemetry"] == {"enabled": False}
    assert config["controlPlane"]["distro"]["k8s"]["image"]["tag"] == "v1.36.0"


def test_roles_only_when_enabled() -> None:
    objects = render({"rbac": {"role": {"enabled": False}, "clusterRole": {"enabled": False}}})
    assert set(objects) == DEFAULT - {("Role", "vc-team-a"), ("RoleBinding", "vc-team-a")}


def test_deployed_etcd_makes_the_engine_a_deployment() -> None:
    objects = render(DEPLOYED_ETCD)
    assert {("Deployment", NAME), ("StatefulSet", "team-a-etcd")} < set(objects)
    assert {("Service", "team-a-etcd"), ("Service", "team-a-etcd-headless")} < set(objects)
    assert ("StatefulSet", NAME) not in objects and ("Service", "team-a-headless") not in objects
    etcd = objects["StatefulSet", "team-a-etcd"]
    assert etcd["metadata"]["labels"]["app"] == "vcluster-etcd"
    assert etcd["spec"]["selector"]["matchLabels"] == {"app": "vcluster-etcd", "release": NAME}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"ingress": {"enabled": True, "host": "a.example.com"}}, "Ingress"),
        ({"tlsRoute": {"enabled": True, "host": "a.example.com"}}, "TLSRoute"),
        ({"advanced": {"podDisruptionBudget": {"enabled": True, "maxUnavailable": 1}}}, "PodDisruptionBudget"),
    ],
)
def test_switched_on_objects(values: dict[str, Any], kind: str) -> None:
    assert set(render({"controlPlane": values})) - DEFAULT == {(kind, NAME)}


def test_load_balancer_has_no_kubelet_port() -> None:
    spec = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]}
    service = render({"controlPlane": {"service": {"spec": spec}}})["Service", NAME]["spec"]
    assert service["type"] == "LoadBalancer" and service["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert [p["name"] for p in service["ports"]] == ["https"]


def test_no_kubelet_port_while_kubelets_are_not_proxied_by_name() -> None:
    service = render({"networking": {"advanced": {"proxyKubelets": {"byHostname": False}}}})["Service", NAME]["spec"]
    assert [p["name"] for p in service["ports"]] == ["https"]


def test_etcd_takes_limits_and_keeps_its_account() -> None:
    resources = {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}
    store = {"etcd": {"deploy": {"enabled": True, "statefulSet": {"resources": resources}}}}
    pod = render({"controlPlane": {"backingStore": store}})["StatefulSet", "team-a-etcd"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    assert pod["serviceAccountName"] == "vc-team-a" and pod["automountServiceAccountToken"] is False


def test_the_budget_names_no_namespace_as_in_the_official_chart() -> None:
    budget = render({"controlPlane": {"advanced": {"podDisruptionBudget": {"enabled": True, "maxUnavailable": 1}}}})
    assert set(budget["PodDisruptionBudget", NAME]["metadata"]) == {"name"}


def test_unknown_values_are_refused() -> None:
    with pytest.raises(HelmValuesError, match="nosuch"):
        render({"controlPlane": {"nosuch": 1}})


def test_two_stores_are_refused() -> None:
    store = {"database": {"embedded": {"enabled": True}}, "etcd": {"deploy": {"enabled": True}}}
    with pytest.raises(HelmRenderError, match="at most one"):
        render({"controlPlane": {"backingStore": store}})


def test_every_value_is_one_of_the_official_chart() -> None:
    data = Path(os.environ.get("NIDUS_SHARED_DATA", "../shared/data")) / "vcluster-0.36.1" / "values.schema.json"
    if not data.exists():
        pytest.skip("the official chart's schema is not here (shared data)")
    official, own = json.loads(data.read_text()), json.loads((CHART / "values.schema.json").read_text())
    unknown = list(_unknown(own, official, official["$defs"], ""))
    assert unknown == []


def _unknown(own: Any, official: Any, defs: dict[str, Any], path: str) -> Any:
    while "$ref" in official:
        official = defs[official["$ref"].removeprefix("#/$defs/")]
    for key, child in own.get("properties", {}).items():
        if key == "global":
            continue
        if "properties" in official and key not in official["properties"]:
            yield f"{path}.{key}"
        elif "properties" in official:
            yield from _unknown(child, official["properties"][key], defs, f"{path}.{key}")
