"""One object that is named twice: by two layers, or by one layer under two namespaces that its kind does not have."""

from typing import Any

import pytest
import yaml

from reconciler.errors import Stalled
from reconciler.packs.objects import collect
from reconciler.spec.codes import Code
from tests.documents import crd
from tests.passes import Fleet, cluster, pack, profile
from tests.spec_cases import snapshot

ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reloader, namespace: %s}
rules: [{apiGroups: [""], resources: [%s], verbs: [get]}]
"""
CHART = "apiVersion: v2\nname: app\nversion: 1.0.0\n"
MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}, data: {from: %s}}\n"
ZONE = "{apiVersion: zones.example/v1, kind: Zone, metadata: {name: north, namespace: %s}, spec: {of: %s}}\n"


def chart(name: str, text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A pack of a chart with one template, and the chart's files."""
    helm = {"chart": {"path": name}}
    return {"name": name, "namespace": "web", "helm": helm}, {
        f"{name}/Chart.yaml": CHART,
        f"{name}/templates/a.yaml": text,
    }


def stood(fleet: Fleet, *charts: tuple[dict[str, Any], dict[str, str]], first: tuple[dict[str, Any], ...] = ()) -> None:
    files = {path: text for _, each in charts for path, text in each.items()}
    packs = [*first, *(one for one, _ in charts)]
    fleet.push({**files, "p.yaml": profile(*packs), "a.yaml": cluster("a", namespaces=[{"name": "web"}])})
    fleet.run()


def written(fleet: Fleet) -> list[tuple[str, str, bool]]:
    """What a second look sends into the cluster."""
    inside = fleet.nested["a"]
    inside.log.clear()
    fleet._ask_anew()
    fleet.queue.add("a")
    fleet.run()
    return [(one.verb, one.name, one.dry_run) for one in inside.log if one.verb in ("apply", "patch", "delete")]


def test_the_first_of_two_layers_has_the_object_and_the_second_look_writes_nothing() -> None:
    fleet = Fleet()
    stood(fleet, chart("one", MAP % "one"), chart("two", MAP % "two"))
    assert fleet.word("a") == "Held"
    assert [(one.layer, one.reason) for one in fleet.plans()["a"].changes if one.action != "unchanged"] == [
        ("web/two", "ClaimedTwice")
    ]
    assert written(fleet) == []
    (found,) = [one for one in fleet.nested["a"].objects("", "ConfigMap") if one["metadata"]["name"] == "shared"]
    assert found["data"] == {"from": "one"}


@pytest.mark.parametrize("second", ["reloader", "other"])
def test_a_namespace_does_not_set_two_objects_of_a_kind_without_namespaces_apart(second: str) -> None:
    documents = [("r.yaml", yaml.safe_load(ROLE % one)) for one in (("reloader", "configmaps"), (second, "secrets"))]
    with pytest.raises(
        Stalled, match=r"ClusterRole\.rbac\.authorization\.k8s\.io reloader is twice in r\.yaml"
    ) as refused:
        collect(documents, "web")
    assert refused.value.reason == "ObjectClaimedTwice"
    assert refused.value.hint == "ClusterRole has no namespaces: metadata.namespace does not set two objects apart"


def test_two_packs_with_one_object_of_a_kind_without_namespaces_are_found_before_the_push() -> None:
    packs = [{**pack(name), "namespace": name, "manifests": {"files": [f"{name}.yaml"]}} for name in ("one", "two")]
    files = {f"{name}.yaml": ROLE % (name, "secrets") for name in ("one", "two")}
    found, _ = snapshot({**files, "p.yaml": profile(*packs)})
    assert [one.code for one in found.violations] == [Code.CLAIMED_TWICE]
    assert "(pack one)" in found.violations[0].message and "(pack two)" in found.violations[0].message


def test_a_kind_whose_scope_a_definition_says_is_refused_where_it_is_known() -> None:
    fleet = Fleet()
    kinds = pack("kinds", crd())
    stood(fleet, chart("one", ZONE % ("a", "x") + "---\n" + ZONE % ("b", "y")), first=(kinds,))
    assert "ObjectClaimedTwice: Zone.zones.example/north is named twice" in fleet.condition("a").message
    assert written(fleet) == []
