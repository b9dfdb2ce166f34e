"""Several minors are walked one by one (O11): a snapshot, a step, Ready, the next; and what stops a walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reconciler.engine import choose, versions
from reconciler.model import EngineChart, Rules, Versions, replace
from reconciler.plan import lines, render_json
from reconciler.plan.lines import Style
from reconciler.report.view import RunningView
from tests.backups import Scene
from tests.object_store import ObjectStore
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile

FIRST, SECOND, THIRD = "v1.34.0", "v1.35.0", "v1.36.0"
WIDE = replace(RULES, kubernetes_versions=(FIRST, SECOND, THIRD))
AUTO = {"steps": "Auto"}


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    made = ObjectStore("backups")
    yield made
    made.close()


def files(version: str, *, text: str = "one", **spec: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text=text)))
    return {"p.yaml": packs, "a.yaml": cluster("a", kubernetes={"version": version}, upgrade=AUTO, **spec)}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet(WIDE)
    made.push(files(FIRST))
    made.run()
    assert made.word("a") == "Ready"
    yield made
    made.close()


def runs(fleet: Fleet) -> Versions:
    state = fleet.state("a")
    assert state is not None
    return state.record.versions


def starts(fleet: Fleet) -> None:
    """What was stuck starts, and the cluster is looked at again."""
    fleet.stuck.clear()
    fleet.engines()
    fleet.queue.add("a")
    fleet.run()


def asked(fleet: Fleet) -> str:
    """The version of Kubernetes that the engine's StatefulSet is of."""
    said = str(fleet.host.get("apps", "StatefulSet", "vcluster-a", "a"))
    (found,) = [one for one in (FIRST, SECOND, THIRD) if one in said]
    return found


def rolled(fleet: Fleet) -> list[str]:
    """The versions that its API server was of, one after the other."""
    found = [fleet.nested["a"].version]
    for _ in range(12):
        fleet.run(passes=1)
        if found[-1] != fleet.nested["a"].version:
            found.append(fleet.nested["a"].version)
    return found


def test_two_minors_are_two_steps(fleet: Fleet) -> None:
    fleet.push(files(THIRD))
    assert rolled(fleet) == [FIRST, SECOND, THIRD]
    assert (fleet.word("a"), runs(fleet)) == ("Ready", Versions("0.36.1", THIRD))
    assert fleet.reporter.clusters["a"].versions == RunningView("0.36.1", THIRD)


def test_the_plan_shows_all_steps(fleet: Fleet) -> None:
    fleet.git.commit(files(THIRD))
    review = fleet.review()
    (one,) = review.clusters
    assert one.plan is not None and one.plan.steps == (FIRST, SECOND, THIRD)
    shown = [line.text.strip() for line in lines.lines(one, Style())]
    assert f"upgrade in 2 steps: {FIRST} -> {SECOND} -> {THIRD}" in shown[0]
    assert render_json.render(review)["clusters"][0]["steps"] == [FIRST, SECOND, THIRD]
    assert any(change.ref.kind == "StatefulSet" and SECOND in str(change.fields) for change in one.plan.changes)


def test_a_pod_that_never_starts_stops_the_walk_though_the_old_one_is_ready(fleet: Fleet) -> None:
    fleet.stuck.add("a")
    fleet.push(files(THIRD))
    for _ in range(4):
        fleet.run()
        fleet.now += 3600.0
        fleet.queue.add("a")
    assert (asked(fleet), runs(fleet)) == (SECOND, Versions("0.36.1", FIRST))
    told = fleet.layer("a", "engine").message
    assert f"step to engine 0.36.1, Kubernetes {SECOND}; engine 0.36.1, Kubernetes {FIRST} was Ready last" in told
    assert fleet.reporter.clusters["a"].versions == RunningView("0.36.1", FIRST, (FIRST, SECOND, THIRD))
    fleet.restart()
    fleet.run()
    assert asked(fleet) == SECOND
    starts(fleet)
    assert (asked(fleet), fleet.word("a"), runs(fleet).kubernetes) == (THIRD, "Ready", THIRD)


def test_an_api_server_of_the_old_version_stops_the_walk(fleet: Fleet) -> None:
    """Every pod is of the new revision, and the server inside says otherwise."""
    fleet.push(files(THIRD))
    fleet.stuck.add("a")
    fleet.run()
    engine = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert engine is not None
    done = {**engine["status"], "updatedReplicas": 1, "currentRevision": engine["status"]["updateRevision"]}
    fleet.engines = lambda: None  # type: ignore[method-assign]
    fleet.host.put({**engine, "status": done}, manager="kube-controller-manager", subresource="status")
    fleet.queue.add("a")
    fleet.run()
    assert (asked(fleet), runs(fleet).kubernetes) == (SECOND, FIRST)
    assert f"the nested API server says {FIRST}, and not {SECOND} yet" in fleet.layer("a", "engine").message


def test_a_layer_that_is_not_current_stops_the_walk_also_for_a_new_commit(fleet: Fleet) -> None:
    """The engine runs the step and something inside does not become Current: nothing lowers it, and the next step waits."""
    fleet.push(files(THIRD))
    broken = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "i"}]}}}}  # fmt: skip
    never = files(THIRD) | {"p.yaml": profile(pack("base", broken))}
    fleet.push(never)
    fleet.run()
    assert (asked(fleet), runs(fleet)) == (SECOND, Versions("0.36.1", SECOND, settled=False))
    fleet.restart()
    fleet.push({**never, "b.yaml": cluster("b", kubernetes={"version": THIRD})})
    fleet.run()
    assert asked(fleet) == SECOND
    fleet.push(files(FIRST))
    fleet.run()
    assert (asked(fleet), fleet.word("a")) == (SECOND, "Invalid")
    fleet.push(files(THIRD))
    fleet.run()
    assert (asked(fleet), fleet.word("a"), runs(fleet)) == (THIRD, "Ready", Versions("0.36.1", THIRD))


def rolled_out_unrecorded(fleet: Fleet, version: str = SECOND) -> None:
    """The pods of a step are Ready, and no pass has seen them yet."""
    fleet.push(files(version))
    fleet.run(passes=1)
    fleet.engines()
    assert (fleet.nested["a"].version, runs(fleet).kubernetes) == (SECOND, FIRST)


@pytest.mark.parametrize("version", [SECOND, THIRD])
def test_a_commit_between_a_rollout_and_its_record_lowers_nothing(fleet: Fleet, version: str) -> None:
    rolled_out_unrecorded(fleet, version)
    fleet.restart()
    fleet.push(files(FIRST))
    assert rolled(fleet) == [SECOND]
    assert (fleet.word("a"), asked(fleet), runs(fleet).kubernetes) == ("Invalid", SECOND, SECOND)
    fleet.push(files(THIRD))
    fleet.run()
    assert (fleet.word("a"), asked(fleet), runs(fleet)) == ("Ready", THIRD, Versions("0.36.1", THIRD))


def test_nor_while_it_sleeps(fleet: Fleet) -> None:
    """It fell asleep before a pass could record the step: its data is of the newer version all the same."""
    rolled_out_unrecorded(fleet)
    fleet.ask("sleep", "a")
    fleet.run()
    fleet.push(files(FIRST))
    fleet.run()
    assert (asked(fleet), runs(fleet).kubernetes) == (SECOND, SECOND)
    fleet.ask("wake", "a")
    assert rolled(fleet) == [SECOND]
    assert asked(fleet) == SECOND


def test_nor_before_the_first_record_of_all() -> None:
    fleet = Fleet(WIDE)
    fleet.push(files(SECOND))
    while "a" not in fleet.nested:
        fleet.run(passes=1)
    assert runs(fleet) == Versions()
    fleet.push(files(FIRST))
    assert rolled(fleet) == [SECOND]
    assert (fleet.word("a"), runs(fleet).kubernetes) == ("Invalid", SECOND)
    fleet.close()


def test_a_step_whose_pod_never_became_ready_may_be_taken_back(fleet: Fleet) -> None:
    fleet.stuck.add("a")
    fleet.push(files(SECOND))
    fleet.run()
    assert asked(fleet) == SECOND
    fleet.push(files(FIRST))
    fleet.run()
    assert asked(fleet) == FIRST
    starts(fleet)
    assert (fleet.word("a"), runs(fleet).kubernetes) == ("Ready", FIRST)


def test_each_step_has_its_snapshot(store: ObjectStore) -> None:
    scene = Scene(store, {"kubernetes": {"version": FIRST}, "upgrade": AUTO}, rules=WIDE)
    scene.push(kubernetes={"version": THIRD}, upgrade=AUTO)
    for version in (FIRST, SECOND):
        scene.look(10.0)
        assert scene.fleet.nested["a"].version == version
        scene.engine.completes()
        scene.look(10.0)
        scene.settle()
        scene.look(30.0)
    assert [one.kubernetes for one in scene.known.archives] == [FIRST, SECOND]
    assert (scene.fleet.nested["a"].version, scene.fleet.word("a")) == (THIRD, "Ready")
    scene.fleet.close()


def test_without_it_a_jump_is_a_mistake_that_names_it() -> None:
    fleet = Fleet(WIDE)
    plain = {**files(FIRST), "a.yaml": cluster("a", kubernetes={"version": FIRST})}
    fleet.push(plain)
    fleet.run()
    fleet.push({**plain, "a.yaml": cluster("a", kubernetes={"version": THIRD})})
    fleet.run()
    assert (fleet.word("a"), asked(fleet)) == ("Invalid", FIRST)
    told = next(
        one for one in fleet.git.read(fleet.git.newest, WIDE, running=fleet.registry.running("platform")).violations
    )
    assert told.hint == f"possible: {SECOND}, or spec.upgrade.steps: Auto, which goes one minor after the other"
    fleet.close()


def test_where_a_minor_between_is_not_offered_there_is_no_way() -> None:
    assert versions.path(FIRST, THIRD, (FIRST, THIRD)) == ()
    assert versions.path(FIRST, THIRD, WIDE.kubernetes_versions) == (SECOND, THIRD)
    assert versions.path(THIRD, FIRST, WIDE.kubernetes_versions) == versions.path(FIRST, FIRST, ()) == ()


ENGINES = (*RULES.engines, EngineChart("0.37.0", "e", RULES.engines[0].files))


@pytest.mark.parametrize(
    ("spec", "way"),
    [
        ({"engine": {"version": "0.37.0"}, "kubernetes": {"version": SECOND}}, [("0.37.0", SECOND)]),
        ({"engine": {"version": "0.37.0"}, "kubernetes": {"version": THIRD}}, [("0.37.0", SECOND), ("0.37.0", THIRD)]),
        ({}, [("0.37.0", SECOND), ("0.37.0", THIRD)]),
    ],
)
def test_the_engine_goes_along(spec: Mapping[str, Any], way: list[tuple[str, str]]) -> None:
    rules: Rules = replace(WIDE, engines=ENGINES)
    fleet = Fleet(rules)
    fleet.git.commit(
        {"p.yaml": profile(pack("base", config_map("x", a="b"))), "a.yaml": cluster("a", upgrade=AUTO, **spec)}
    )
    document = fleet.git.read(fleet.git.newest, rules).specs.clusters["a"].cluster
    found = choose(document, rules, Versions("0.36.1", FIRST))
    assert [(one.engine, one.kubernetes) for one in (found.versions, *found.ahead)] == way
    fleet.close()
