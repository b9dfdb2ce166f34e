"""Field cases of charts: what a chart asks of its target, in passes on servers in memory (13-charts/cap, 66)."""

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.packs import apis
from tests.documents import crd
from tests.memory.failures import answer, on
from tests.passes import Fleet, cluster, config_map, pack, profile

FACTS = Path(__file__).parent / "memory" / "facts.json"
APP: dict[str, Any] = {"name": "app", "namespace": "web", "helm": {"chart": {"path": "chart"}}}
ASKS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: asked}
data:
  pdb: {{ .Capabilities.APIVersions.Has "policy/v1/PodDisruptionBudget" | quote }}
  policy: {{ .Capabilities.APIVersions.Has "policy/v1" | quote }}
  zones: {{ .Capabilities.APIVersions.Has "zones.example/v1" | quote }}
{{- if .Capabilities.APIVersions.Has "zones.example/v1/Zone" }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: zones}
{{- end }}
"""


def files(*kinds: dict[str, Any]) -> dict[str, str]:
    packs = [pack("kinds", *kinds), APP] if kinds else [APP]
    chart = {"chart/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n", "chart/templates/a.yaml": ASKS}
    return {"p.yaml": profile(*packs), "a.yaml": cluster("a"), **chart}


def asked(fleet: Fleet) -> dict[str, str]:
    (found,) = [one for one in fleet.nested["a"].objects("", "ConfigMap") if one["metadata"]["name"] == "asked"]
    return dict(found["data"])


def looked(fleet: Fleet) -> None:
    fleet._ask_anew()
    fleet.queue.add("a")
    fleet.run()


def test_66_a_chart_sees_the_api_versions_of_its_target() -> None:
    fleet = Fleet()
    fleet.push(files())
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a").message
    assert asked(fleet) == {"pdb": "true", "policy": "true", "zones": "false"}
    assert fleet.names("a") == ["asked"]


def test_a_namespace_that_nobody_makes_is_told_with_the_ways_to_make_it() -> None:
    """`helm install --create-namespace` makes it; a pack's `namespace` does not."""
    fleet = Fleet()
    fleet.push({**files(), "p.yaml": profile({**APP, "namespace": "nowhere"})})
    fleet.run()
    assert (
        "there is no namespace nowhere: make it in an earlier pack, or list it in spec.namespaces"
        in fleet.condition("a").message
    )
    fleet.push(
        {
            **files(),
            "p.yaml": profile({**APP, "namespace": "nowhere"}),
            "a.yaml": cluster("a", namespaces=[{"name": "web"}, {"name": "nowhere"}]),
        }
    )
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a").message


def test_a_kind_that_comes_is_seen_at_the_next_look() -> None:
    fleet = Fleet()
    fleet.push(files(crd()))
    fleet.run()
    looked(fleet)
    assert asked(fleet)["zones"] == "true"
    assert fleet.names("a") == ["asked", "zones"]


@pytest.mark.parametrize("code", [500, 503])
def test_a_target_that_cannot_be_asked_loses_nothing(code: int) -> None:
    """Its charts are rendered for its Kubernetes version, which lacks kinds that it has: nothing of that is carried out."""
    fleet = Fleet()
    fleet.push(files(crd()))
    fleet.run()
    looked(fleet)
    assert fleet.names("a") == ["asked", "zones"]
    fleet.clients.clear()
    inside = fleet.nested["a"]
    inside.fail(answer(code), on("discover"))
    inside.log.clear()
    fleet.queue.add("a")
    fleet.run(passes=1)
    assert fleet.condition("a").status == "Unknown"
    assert not [call for call in inside.log if call.writes]
    looked(fleet)
    assert (fleet.names("a"), fleet.word("a")) == (["asked", "zones"], "Ready")


@pytest.mark.parametrize("group", ["zones.example", "other.example"])
def test_a_group_that_does_not_answer_a_new_client_takes_nothing_away(group: str) -> None:
    """A client is made anew after a failed request and at a start, and remembers nothing. Before: its charts made less, and the rest was
    deleted. A group that no chart asks about stops nobody."""
    fleet = Fleet()
    fleet.push(files(crd()))
    fleet.run()
    inside = fleet.nested["a"]
    inside.put(crd("Namespaced", group="other.example", kind="Other"))
    looked(fleet)
    assert fleet.names("a") == ["asked", "zones"]
    for _ in range(2):
        inside.stale.add(group)
        fleet.clients.clear()
        inside.log.clear()
        fleet.queue.add("a")
        fleet.run(passes=1)
        known = fleet.condition("a").status == "True"
        assert (known, fleet.names("a")) == (group == "other.example", ["asked", "zones"])
        assert not [call for call in inside.log if call.writes]
        assert known or "the kinds of zones.example/v1 cannot be read now" in fleet.condition("a").message
    fleet.push(files(crd(), config_map("mended")))  # what mends the group may be in another pack
    fleet.run(passes=2)
    assert fleet.names("a") == ["asked", "mended", "zones"]
    inside.stale.clear()
    fleet.clients.clear()
    looked(fleet)
    assert (fleet.names("a"), fleet.word("a")) == (["asked", "mended", "zones"], "Ready")


def test_what_a_version_serves_is_what_a_real_server_of_it_serves() -> None:
    kinds = json.loads(FACTS.read_text())["kinds"]
    real = {"/".join(filter(None, (one["group"], one["version"], one["kind"]))) for one in kinds}
    ours = {one for one in apis.known("v1.36.0") if one[one.rfind("/") + 1 :][:1].isupper()}
    assert ours == real - {"v1/ComponentStatus"}  # deprecated and empty; no chart asks for it


def test_versions_that_came_and_went() -> None:
    assert "networking.k8s.io/v1/ServiceCIDR" in apis.known("v1.33.2")
    assert "networking.k8s.io/v1/ServiceCIDR" not in apis.known("v1.32.9")
    assert "flowcontrol.apiserver.k8s.io/v1beta3" in apis.known("v1.31.0")
    assert "flowcontrol.apiserver.k8s.io/v1beta3" not in apis.known("v1.32.0")
    assert {"v1", "v1/ConfigMap", "apps/v1"} <= set(apis.known("v1.30.0"))


def test_a_chart_that_does_not_ask_costs_no_question() -> None:
    assert not apis.asked({"Chart.yaml": b"name: a", "templates/a.yaml": b"{{ .Capabilities.KubeVersion.Minor }}"})
    assert apis.asked({"charts/sub.tgz": b""}) == apis.ANYTHING


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{{ .Capabilities.APIVersions.Has "policy/v1" }}', {"policy/v1"}),
        (
            '{{ $c.APIVersions.Has   "v1/Pod" }}{{ .Capabilities.APIVersions.Has "b.io/v1" | not }}',
            {"v1/Pod", "b.io/v1"},
        ),
        ('{{ .Capabilities.APIVersions.Has (printf "%s/v1" .Values.group) }}', {""}),
        (
            '{{ .Capabilities.APIVersions.Has "b.io/v1" }}{{ range .Capabilities.APIVersions }}{{ end }}',
            {"", "b.io/v1"},
        ),
    ],
)
def test_what_a_chart_asks_about(text: str, names: set[str]) -> None:
    assert apis.asked({"templates/a.yaml": text.encode()}) == names
