"""What a chart makes up stays: `random: Freeze`, and `nidus rotate` (K8)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.__main__ import main
from reconciler.packs.freeze import Unlike, frozen_documents
from reconciler.plan import render_json, render_text
from reconciler.plan.lines import Style
from tests import repository
from tests.histories.failing import Killed, in_background
from tests.memory.failures import Call, Failure
from tests.memory.http import Front
from tests.passes import Fleet, cluster, profile

LAYER = "web/app"
STORED = "nidus-frozen-web.app"
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData:
  password: {{ randAlphaNum 24 | quote }}
  file: |
    level: {{ .Values.level }}
    password: {{ randAlphaNum 24 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app, annotations: {made: "{{ randAlphaNum 24 }}"}}
data: {level: "{{ .Values.level }}"}
"""


def files(text: str = SECRET, version: str = "1.0.0", level: str = "info", policy: str = "Delete") -> dict[str, str]:
    helm = {"chart": {"path": "chart"}, "random": "Freeze", "values": {"level": level}}
    return {
        "p.yaml": profile({"name": "app", "namespace": "web", "helm": helm}, version=version),
        "a.yaml": cluster("a", deletion={"policy": policy, "grace": "0s"}),
        "chart/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
        "chart/templates/all.yaml": text,
    }


def forget() -> None:
    """Another process has rendered nothing yet."""
    repository._rendered.clear()


def secret(fleet: Fleet) -> dict[str, str]:
    found = fleet.nested["a"].get("", "Secret", "web", "login")
    assert found is not None, fleet.layer("a", LAYER).message
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def ran(fleet: Fleet) -> Fleet:
    forget()
    fleet.queue.add("a")
    fleet.run()
    return fleet


@pytest.fixture
def fleet() -> Fleet:
    forget()
    fleet = Fleet()
    fleet.push(files())
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.layer("a", LAYER).message
    return fleet


def test_a_password_stays_over_renders_restarts_and_versions_of_the_profile(fleet: Fleet) -> None:
    first = secret(fleet)
    assert len(first["password"]) == 24
    for _ in range(5):
        assert secret(ran(fleet)) == first
    fleet.restart()
    assert secret(ran(fleet)) == first
    forget()
    fleet.push(files(version="1.1.0", level="debug"))
    fleet.run()
    now = secret(fleet)
    assert (now["password"], now["file"]) == (first["password"], first["file"].replace("info", "debug"))
    assert fleet.nested["a"].get("", "ConfigMap", "web", "app")["data"] == {"level": "debug"}
    assert fleet.word("a") == "Ready"


def test_a_look_that_finds_nothing_new_writes_nothing(fleet: Fleet) -> None:
    ran(fleet)
    before = fleet.nested["a"].core.storage.version
    stored = fleet.host.get("", "Secret", "vcluster-a", STORED)
    ran(fleet)
    assert (fleet.nested["a"].core.storage.version, fleet.host.get("", "Secret", "vcluster-a", STORED)) == (
        before,
        stored,
    )


def test_it_is_rotated_once_for_each_request(fleet: Fleet) -> None:
    first = secret(fleet)
    fleet.now += 5
    fleet.ask("rotate", "a", items=(LAYER,))
    second = secret(ran(fleet))
    assert second["password"] != first["password"]
    fleet.restart()
    assert secret(ran(fleet)) == second
    fleet.now += 5
    fleet.ask("rotate", "a", items=("web/another",))
    assert secret(ran(fleet)) == second


def test_rotate_knows_the_layers_of_a_cluster(fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.close()  # every status is written
    with Front(fleet.host) as front:
        named = {"name": "m", "cluster": {"server": front.url}}
        context = {"name": "m", "context": {"cluster": "m", "user": "m"}}
        config = {
            "clusters": [named],
            "contexts": [context],
            "users": [{"name": "m", "user": {}}],
            "current-context": "m",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
        assert main(["rotate", "a", "web/ap", "--kubeconfig", str(tmp_path / "kubeconfig")]) == 1
    told = capsys.readouterr().err
    assert "error: a has no pack web/ap" in told
    assert LAYER in told.partition("hint: ")[2]


def test_a_rotation_is_of_the_cluster_that_was_named(fleet: Fleet) -> None:
    fleet.push(files() | {"b.yaml": cluster("b")})
    first = secret(ran(fleet))
    fleet.now += 5
    fleet.ask("rotate", "b", items=(LAYER,))
    fleet.queue.add("a")
    assert secret(ran(fleet)) == first


@pytest.mark.parametrize("forged", ["nan", "inf", "-inf", "99999999999"])
def test_a_time_that_cannot_be_does_not_keep_a_rotation_away(fleet: Fleet, forged: str) -> None:
    first, stored = secret(fleet), fleet.host.get("", "Secret", "vcluster-a", STORED)
    assert stored
    notes = {"nidus.dev/rotated": forged}
    fleet.host.put({**stored, "metadata": {**stored["metadata"], "annotations": notes}}, manager="somebody")
    fleet.now += 5
    fleet.ask("rotate", "a", items=(LAYER,))
    assert secret(ran(fleet))["password"] != first["password"]


def test_nothing_made_up_is_in_a_plan_a_log_a_status_or_a_record(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.now += 5
    fleet.ask("rotate", "a", items=(LAYER,))
    before = secret(fleet)["password"]
    review = fleet.review()
    told = render_text.render(review, Style(detail=True, creates=True)) + str(render_json.render(review))
    ran(fleet)
    said = capsys.readouterr()
    told += said.out + said.err + str(fleet.reporter.clusters) + str(fleet.host.objects("", "ConfigMap"))
    told += str(fleet.host.objects("nidus.dev", "NestedCluster")) + str(fleet.host.objects("events.k8s.io", "Event"))
    for word in (before, secret(fleet)["password"]):
        assert word not in told
        assert base64.b64encode(word.encode()).decode() not in told


def test_what_cannot_be_read_is_not_made_up_anew(fleet: Fleet) -> None:
    first = secret(fleet)
    stored = fleet.host.get("", "Secret", "vcluster-a", STORED)
    fleet.host.put({**stored, "data": {"values": "AAAA"}}, manager="somebody")
    assert secret(ran(fleet)) == first
    assert fleet.layer("a", LAYER).state == "Failed"
    assert "cannot be read" in fleet.layer("a", LAYER).message
    fleet.host.delete("", "Secret", "vcluster-a", STORED)
    assert secret(ran(fleet)) != first
    assert fleet.word("a") == "Ready"


CHOSEN = {
    "ConfigMap /app/metadata/annotations/made": ["chosen"],
    "Secret /login/stringData/file": ["chosen"],
    "Secret /login/stringData/password": ["chosen"],
}


def forged(**metadata: Any) -> dict[str, Any]:
    """A Secret with what somebody else would like a chart to have made up."""
    values = base64.b64encode(json.dumps(CHOSEN).encode()).decode()
    where = {"name": STORED, "namespace": "vcluster-a"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {**where, **metadata}, "data": {"values": values}}


MARKS = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "a", "nidus.dev/layer": "web.app"}
OURS = {"labels": MARKS, "annotations": {"nidus.dev/nonce": "0000000000000001"}}


@pytest.mark.parametrize("metadata", [{}, OURS], ids=["plain", "with our marks"])
def test_nobody_chooses_a_password_by_a_secret_made_before_ours(metadata: dict[str, Any]) -> None:
    forget()
    fleet = Fleet()
    nothing = profile({"name": "none", "namespace": "web", "manifests": {"objects": []}})
    fleet.push({"a.yaml": cluster("a"), "p.yaml": nothing})
    fleet.run()
    fleet.host.put(forged(**metadata), manager="nidus")
    fleet.push(files())
    fleet.run()
    assert fleet.layer("a", LAYER).state == "Held"
    assert fleet.nested["a"].get("", "Secret", "web", "login") is None
    fleet.host.delete("", "Secret", "vcluster-a", STORED)
    assert "chosen" not in secret(ran(fleet)).values()
    assert fleet.word("a") == "Ready"


@pytest.mark.parametrize("metadata", [{}, OURS], ids=["plain", "with our marks"])
def test_nobody_chooses_a_password_while_ours_cannot_be_made(metadata: dict[str, Any]) -> None:
    forget()
    fleet = Fleet()
    fleet.host.choosers.append(
        lambda call: Failure("answer", 403, "Forbidden") if call.name == STORED and call.writes else None
    )
    fleet.push(files())
    fleet.run()
    fleet.host.heal()
    fleet.host.put(forged(**metadata), manager="nidus")
    ran(fleet)
    made = fleet.nested["a"].get("", "Secret", "web", "login")
    assert "chosen" not in (secret(fleet).values() if made else ())
    assert bool(made) == bool(metadata)  # one with our marks is taken as ours of a pass that was cut, and written anew


def test_nobody_chooses_a_password_by_a_secret_in_the_place_of_ours(fleet: Fleet) -> None:
    first, stored = secret(fleet), fleet.host.get("", "Secret", "vcluster-a", STORED)
    assert stored
    kept = {key: stored["metadata"][key] for key in ("labels", "annotations")}
    fleet.host.delete("", "Secret", "vcluster-a", STORED)
    fleet.host.put(forged(**kept), manager="nidus")
    assert secret(ran(fleet)) == first
    assert fleet.layer("a", LAYER).state == "Held"


def test_nothing_is_applied_before_it_is_stored() -> None:
    def refused(call: Call) -> Failure | None:
        return Failure("answer", 403, "Forbidden") if call.name == STORED and call.writes else None

    forget()
    fleet = Fleet()
    fleet.host.choosers.append(refused)
    fleet.push(files())
    fleet.run()
    assert fleet.layer("a", LAYER).state == "Failed"
    assert fleet.nested["a"].get("", "ConfigMap", "web", "app") is None
    fleet.host.heal()
    assert ran(fleet).word("a") == "Ready"


def test_a_process_killed_at_any_write_keeps_what_it_applied() -> None:
    for deadly in range(1, 12):
        forget()
        fleet, left, seen = Fleet(), [deadly], set[str]()

        def kill(call: Call, fleet: Fleet = fleet, left: list[int] = left) -> Failure | None:
            if call.writes and not in_background(call) and "a" in fleet.nested:
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
            return None

        fleet.host.choosers.append(kill)
        fleet.push(files())
        for _ in range(20):
            try:
                fleet.run(passes=1)
            except Killed:
                forget()
                fleet.restart()
            if "a" in fleet.nested:
                if kill not in fleet.nested["a"].choosers:
                    fleet.nested["a"].choosers.append(kill)
                seen |= {str(one["data"]) for one in fleet.nested["a"].objects("", "Secret")}
        assert (fleet.word("a"), len(seen)) == ("Ready", 1), deadly


def test_it_leaves_with_the_pack(fleet: Fleet) -> None:
    found = files()
    fleet.push({**found, "p.yaml": profile({"name": "rest", "namespace": "web", "manifests": {"objects": []}})})
    fleet.run()
    assert fleet.host.get("", "Secret", "vcluster-a", STORED) is None


def test_it_stays_where_the_cluster_is_retained_and_is_used_again(fleet: Fleet) -> None:
    fleet.push(files(policy="Retain"))
    fleet.run()
    first = secret(fleet)
    fleet.push({**files(policy="Retain"), "a.yaml": ""})
    (held,) = fleet.held.values()  # the last cluster of a source waits for an approval
    fleet.ask("approve", "", held.consent, held.items)
    fleet.run()
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is None
    forget()
    fleet.push(files(policy="Retain"))
    fleet.run()
    assert secret(fleet) == first


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a": [1, 2]}, {"a": [1]}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": 1}}, {"a": "b"}),
        ({"metadata": {"name": "x"}}, {"metadata": {"name": "y"}}),
    ],
)
def test_more_than_scalars_is_refused(one: dict[str, Any], two: dict[str, Any]) -> None:
    named = {"kind": "ConfigMap", "metadata": {"name": "a"}}
    with pytest.raises(Unlike):
        frozen_documents([("a", {**named, **one})], [("a", {**named, **two})], {})


def test_what_is_stored_replaces_only_what_differs_and_fits() -> None:
    def doc(**data: Any) -> list[tuple[str, Any]]:
        return [("a", {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})]

    stored = {
        "ConfigMap /a/data/same": ["evil"],
        "ConfigMap /a/data/pass": ["old"],
        "ConfigMap /a/data/more": ["x", "y"],
    }
    made, kept = frozen_documents(
        doc(same="s", **{"pass": "p: new"}, more="m1"), doc(same="s", **{"pass": "p: other"}, more="m2"), stored
    )
    assert made[0][1]["data"] == {"same": "s", "pass": "p: old", "more": "m1"}
    assert kept == {"ConfigMap /a/data/pass": ["old"], "ConfigMap /a/data/more": ["m1"]}
