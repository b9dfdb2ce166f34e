"""The chart and install.yaml: made from one source, rendered by our own product, closed against misspelt values."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart, HelmError

import reconciler
from reconciler.inventory import history, packing, requests, reviews, salt, usage
from reconciler.model import Layer, Target
from reconciler.spec import config
from schemas import install
from tests import installed
from tests.house.documents import ROOT
from tests.repository import render

Objects = dict[tuple[str, str, str], dict[str, Any]]
HOSTS = sorted((install.DEPLOY / "hosts").glob("*.yaml"))
KEPT = ("Namespace", "CustomResourceDefinition")
POLICIES = "ValidatingAdmissionPolicy"


def objects(text: str) -> Objects:
    return by_name(installed.read(text))


def by_name(found: Iterable[Any]) -> Objects:
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in found}


def rendered(values: dict[str, Any], namespace: str = install.NAMESPACE) -> Objects:
    with Chart.load(install.CHART) as chart:
        printed = chart.render(values, name="any", namespace=namespace)
    return objects("\n---\n".join(text for name, text in printed.items() if name.endswith(".yaml")))


def pod(found: Objects) -> dict[str, Any]:
    (deployment,) = (one for (kind, _, _), one in found.items() if kind == "Deployment")
    return dict(deployment["spec"]["template"]["spec"])


def variables(found: Objects, policy: str) -> dict[str, str]:
    spec = found[POLICIES, "", policy]["spec"]
    return {one["name"]: one["expression"] for one in spec["variables"]}


def test_what_is_made_is_current() -> None:
    for file, text in install.chart().items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: python -m schemas.install"
    assert (install.DEPLOY / "install.yaml").read_text(encoding="utf-8") == install.installed(), (
        "python -m schemas.install"
    )


def test_our_own_product_renders_the_chart() -> None:
    """The chart as a pack of a profile, in the render worker's own code: the objects of install.yaml, one for one."""
    files = {file.relative_to(install.DEPLOY).as_posix(): file for file in install.CHART.rglob("*") if file.is_file()}
    spec = {"chart": "chart", "release": install.RELEASE, "values": install.INSTALL, "hooks": "Refuse"}
    pairs = tuple((name, name) for name in files)
    layer = Layer("nidus/chart", Target("local"), "helm", spec, "chart", pairs, namespace=install.NAMESPACE)
    found = render(layer, {name: file.read_bytes() for name, file in files.items()})
    assert by_name(found) == objects((install.DEPLOY / "install.yaml").read_text())


def test_versions_are_the_products() -> None:
    chart = yaml.safe_load((install.CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (reconciler.__version__, reconciler.__version__)


def test_every_value_is_in_the_schema_and_stated() -> None:
    """What a default leaves out nobody finds: values.yaml is the reference."""
    schema, values = install.values_schema(), yaml.safe_load((install.CHART / "values.yaml").read_text())
    assert values.keys() == schema["properties"].keys() - {"global"}
    for name, part in schema["properties"].items():
        if part.get("properties") and name not in ("config", "resources", "global"):
            assert part["properties"].keys() == values[name].keys(), name


def wrong() -> list[dict[str, Any]]:
    return [
        {"replica": 2},
        {"image": {"name": "x"}},
        {"config": {"source": []}},
        {"config": {"sources": [{"name": "a", "url": "https://git.example.com/a.git", "brunch": "main"}]}},
        {"config": {"namespace": "elsewhere"}},
        {"config": {"ceilings": {"quota": {"maximum": {"cpus": "1"}}}}},
        {"files": {"config": {"secret": "x"}}},
        {"files": {"git": {"secret": "x", "configMap": "y"}}},
        {"files": {"../etc": {"secret": "x"}}},
        {"podSecurityContext": {"runAsUser": 0}},
        {"webhook": {"service": {"type": "ExternalName"}}},
        {"policies": {"domain": '" || true'}},
        {"image": {"digest": "sha256:1"}},
        {"replicas": 0},
        {"people": {"operators": [{"kind": "Group", "name": "system:authenticated"}]}},
        {"people": {"reviewers": [{"kind": "User", "name": "system:anonymous"}]}},
        {"podLabels": {"app.kubernetes.io/name": "another"}},
        {"webhook": {"ingress": {"enabled": True, "host": "{a: b}"}}},
        {"webhook": {"ingress": {"enabled": True, "host": "a.example.com", "tlsSecret": "a, b: c"}}},
    ]


@pytest.mark.parametrize("values", wrong(), ids=lambda one: json.dumps(one)[:50])
def test_a_value_that_is_none_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError, match="don't meet the specifications"):
        rendered(values)


@pytest.mark.parametrize("file", HOSTS, ids=lambda file: file.stem)
def test_the_values_of_each_host(file: Path) -> None:
    found = rendered(yaml.safe_load(file.read_text()))
    (configured,) = (one["data"]["nidus.yaml"] for (kind, _, _), one in found.items() if kind == "ConfigMap")
    read, violations = config.read(configured.encode(), "nidus.yaml")
    assert read and violations == ()
    assert pod(found)["securityContext"]["runAsNonRoot"] is True
    users = {"runAsUser", "runAsGroup", "fsGroup"} & pod(found)["securityContext"].keys()
    assert users == (set() if file.stem == "openshift" else {"runAsUser", "runAsGroup", "fsGroup"})
    assert (ROOT / "docs" / "hosts" / f"{file.stem}.md").is_file()


def test_a_name_that_yaml_reads_as_something_else_is_a_name() -> None:
    found = rendered(
        {
            "files": {"git": {"secret": "123"}, "ca": {"configMap": "1e3"}},
            "env": {"NO": "x"},
            "priorityClassName": "true",
            "webhook": {"ingress": {"enabled": True, "host": "*.example.com", "className": "yes", "tlsSecret": "0.1"}},
        }
    )
    spec, ingress = pod(found), found["Ingress", "nidus-system", "nidus-webhook"]["spec"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    assert volumes["files-git"]["secret"]["secretName"] == "123" and volumes["files-ca"]["configMap"]["name"] == "1e3"
    assert spec["priorityClassName"] == "true" and "NO" in [one["name"] for one in spec["containers"][0]["env"]]
    assert (ingress["ingressClassName"], ingress["rules"][0]["host"]) == ("yes", "*.example.com")
    assert ingress["tls"] == [{"hosts": ["*.example.com"], "secretName": "0.1"}]


def test_another_namespace_is_everywhere() -> None:
    found = rendered({}, namespace="platform")
    assert install.NAMESPACE not in json.dumps(list(found.values())).replace(f"{install.NAMESPACE}-", "")
    assert {where for _, where, _ in found} == {"", "platform", "nidus-shared"}
    assert ("Namespace", "", "platform") not in found


def test_the_domain_of_the_policy_is_that_of_the_configuration_unless_it_is_said() -> None:
    policy = {"policy": {"dnsPattern": "*.c.example.org"}}
    for values, domain in (
        ({"config": policy}, ".c.example.org"),
        ({"config": {"policy": {"dnsPattern": ""}}}, ""),
        ({"config": policy, "policies": {"domain": ".example.org"}}, ".example.org"),
        ({"config": policy, "policies": {"domain": ""}}, ""),
    ):
        assert json.loads(variables(rendered(values), "nidus-objects")["domain"]) == domain


def test_what_the_controller_writes_in_its_own_namespace_is_what_the_policy_lets_it() -> None:
    (allowed,) = (
        one["expression"]
        for one in rendered({})[POLICIES, "", "nidus-writes"]["spec"]["validations"]
        if "its salt" in one["message"]
    )
    kept = {packing.RECORD, reviews.PREFIX, usage.PREFIX, history.PREFIX, requests.PREFIX, "nidus-inventory-"}
    assert set(re.findall(r'"(nidus-[a-z]+-?)"', allowed)) == {*kept, salt.NAME, install.NAMESPACE}
    assert packing.shard_name("a", 1).startswith("nidus-inventory-")


def test_annotations_that_the_operator_lets_pass() -> None:
    found = rendered({"policies": {"passed": {"services": ['a"b'], "ingresses": ["c/d"]}}})
    assert json.loads(variables(found, "nidus-engine-services")["passed"]) == ['a"b']
    assert json.loads(variables(found, "nidus-engine-ingresses")["passed"]) == ["c/d"]


def test_files_are_mounted_and_null_takes_one_away() -> None:
    found = pod(rendered({"files": {"webhook": None, "ca": {"configMap": "corporate-ca"}}}))
    mounts = {one["mountPath"]: one["name"] for one in found["containers"][0]["volumeMounts"]}
    volumes = {one.pop("name"): one for one in found["volumes"]}
    assert volumes[mounts["/etc/nidus/ca"]] == {"configMap": {"name": "corporate-ca", "optional": True}}
    assert volumes[mounts["/etc/nidus/git"]]["secret"]["secretName"] == "nidus-git"
    assert "/etc/nidus/webhook" not in mounts


def test_one_replica_has_no_budget_that_nobody_could_drain() -> None:
    assert ("PodDisruptionBudget", install.NAMESPACE, "nidus") not in rendered({"replicas": 1})


def test_what_an_uninstall_keeps_says_so_to_helm_and_stands_first_in_the_file() -> None:
    found = objects((install.DEPLOY / "install.yaml").read_text())
    kinds = [kind for kind, _, _ in found]
    first = [key for key in found if key[0] in KEPT]
    assert list(found)[: len(first)] == first and len(first) == 5
    assert kinds[-1] == "Deployment"
    for key in first:
        assert found[key]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert found[key]["metadata"]["labels"]["nidus.dev/kept"] == "true"
    assert (POLICIES, "", "nidus-kept") in found


def test_prometheus_finds_the_listener() -> None:
    found = rendered({"monitors": {"enabled": True, "labels": {"release": "prometheus"}}})
    (monitor,) = (one for (kind, _, _), one in found.items() if kind == "ServiceMonitor")
    (service,) = (one for (_, _, name), one in found.items() if name == "nidus-internal")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_the_quota_is_that_of_the_file() -> None:
    quota = ("ResourceQuota", install.NAMESPACE, "nidus-requests")
    assert quota not in rendered({})
    assert rendered({"requests": {"quota": 2000}})[quota] == yaml.safe_load((install.DEPLOY / "quota.yaml").read_text())


def test_the_dashboard_has_a_service_where_it_is_configured() -> None:
    def ways(values: dict[str, Any]) -> tuple[set[str], int]:
        found = rendered(values)
        services = {name for kind, _, name in found if kind == "Service"}
        (policy,) = (one for (kind, _, _), one in found.items() if kind == "NetworkPolicy")
        return services, len(policy["spec"]["ingress"])

    closed = ways({})
    wanted = {"address": "0.0.0.0:9294", "auth": "kubernetes", "url": "https://nidus.example.com"}
    server = {"webhook": "0.0.0.0:9292", "internal": "0.0.0.0:9293", "dashboard": wanted}
    opened = ways({"config": {"server": server}})
    assert opened == (closed[0] | {"nidus-dashboard"}, closed[1] + 1)
