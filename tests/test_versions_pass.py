"""Whole passes over versions: what runs is recorded, and no commit and no list of the operator's lowers it."""

import msgspec
import pytest

from reconciler.model import EngineChart, Rules, Versions, replace
from reconciler.report.view import RunningView
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile

RUNS = Versions("0.36.1", "v1.36.0")
NEXT = (*RULES.engines, EngineChart("0.37.0", "e", RULES.engines[0].files))
OFFERED = ("v1.34.0", "v1.35.0", "v1.36.0")
DELETED = {"policy": "Delete", "grace": "0s"}


def files(*, names: str = "a", text: str = "one", **spec: object) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text=text)))
    return {"p.yaml": packs, **{f"{name}.yaml": cluster(name, **spec) for name in names}}


def standing(rules: Rules = RULES, **spec: object) -> Fleet:
    fleet = Fleet(rules)
    fleet.push(files(**spec))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.condition("a")
    return fleet


def running(fleet: Fleet, name: str = "a") -> Versions:
    state = fleet.state(name)
    assert state is not None
    return state.record.versions


def asked_of_the_engine(fleet: Fleet, name: str = "a") -> set[str]:
    """The versions of Kubernetes in what stands on the host."""
    said = msgspec.json.encode(fleet.host.get("apps", "StatefulSet", f"vcluster-{name}", name)).decode()
    return {version for version in OFFERED if version in said}


def stalled(fleet: Fleet, name: str = "a") -> tuple[str, str]:
    found = fleet.condition(name, "Stalled")
    return found.status, found.reason


def moved(fleet: Fleet, rules: Rules) -> None:
    """The controller starts again with another configuration."""
    fleet.rules = rules
    fleet.restart()
    fleet.run()


def test_what_is_rolled_out_is_recorded_and_shown() -> None:
    fleet = standing()
    assert running(fleet) == RUNS
    assert fleet.registry.records()["a"].versions == Versions("0.36.1", "v1.36.0")
    assert fleet.reporter.clusters["a"].versions == RunningView("0.36.1", "v1.36.0")


def test_what_was_never_rolled_out_does_not_bind() -> None:
    """A version of which no pod ever became Ready may be taken back."""
    fleet = Fleet()
    fleet.stuck.add("a")
    fleet.push(files(kubernetes={"version": "v1.36.0"}))
    fleet.run()
    assert running(fleet) == Versions()
    fleet.push(files(kubernetes={"version": "v1.35.0"}))
    fleet.run()
    fleet.stuck.clear()
    fleet.engines()
    fleet.queue.add("a")
    fleet.run()
    assert (fleet.word("a"), running(fleet).kubernetes) == ("Ready", "v1.35.0")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_line_that_lowers_is_a_mistake_of_its_file(restarted: bool) -> None:
    fleet = standing()
    fleet.push(files(kubernetes={"version": "v1.35.0"}))
    if restarted:
        fleet.restart()
    fleet.run()
    assert (fleet.word("a"), stalled(fleet)) == ("Invalid", ("True", "Invalid"))
    assert "v1.35.0 is older than v1.36.0" in fleet.condition("a", "Stalled").message
    assert (asked_of_the_engine(fleet), running(fleet)) == ({"v1.36.0"}, RUNS)


@pytest.mark.parametrize("restarted", [False, True])
def test_without_its_line_a_cluster_skips_nothing_and_the_rest_of_the_commit_is_applied(restarted: bool) -> None:
    fleet = standing(replace(RULES, kubernetes_versions=OFFERED), kubernetes={"version": "v1.34.0"})
    fleet.push(files(text="two"))
    if restarted:
        fleet.restart()
    fleet.run()
    held = fleet.reporter.clusters["a"].held
    assert held is not None
    assert (fleet.word("a"), held.reason) == ("Held", "MinorSkipped")
    assert "write spec.kubernetes.version: v1.35.0" in held.message
    assert (asked_of_the_engine(fleet), running(fleet).kubernetes) == ({"v1.34.0"}, "v1.34.0")
    said = fleet.nested["a"].get("", "ConfigMap", "web", "greeting")
    assert said is not None
    assert said["data"] == {"text": "two"}
    fleet.push(files(text="two", kubernetes={"version": "v1.35.0"}))
    fleet.run()
    assert (fleet.word("a"), running(fleet).kubernetes) == ("Ready", "v1.35.0")
    fleet.push(files(text="two"))
    fleet.run()
    assert (fleet.word("a"), running(fleet).kubernetes) == ("Ready", "v1.36.0")


def test_a_withdrawn_kubernetes_stays_and_stalls() -> None:
    fleet = standing()
    moved(fleet, replace(RULES, kubernetes_versions=("v1.35.0",)))
    assert stalled(fleet) == ("True", "VersionWithdrawn")
    assert asked_of_the_engine(fleet) == {"v1.36.0"}
    moved(fleet, RULES)
    assert (fleet.word("a"), stalled(fleet)) == ("Ready", ("False", "NotStalled"))


@pytest.mark.parametrize("engines", [(), NEXT[1:]], ids=["none", "another"])
def test_a_withdrawn_engine_leaves_its_cluster_as_it_is_and_others_go_on(engines: tuple[EngineChart, ...]) -> None:
    fleet = standing(replace(RULES, engines=NEXT), engine={"version": "0.36.1"})
    fleet.push({**files(engine={"version": "0.36.1"}), "b.yaml": cluster("b", engine={"version": "0.37.0"})})
    fleet.run()
    before = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    fleet.host.log.clear()
    moved(fleet, replace(RULES, engines=engines))
    assert stalled(fleet) == ("True", "VersionWithdrawn")
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") == before
    assert not [call for call in fleet.host.log if call.writes and "vcluster-a" in call.ref]
    assert fleet.word("b") == ("Ready" if engines else "Held")
    moved(fleet, replace(RULES, engines=NEXT))
    assert (fleet.word("a"), stalled(fleet)) == ("Ready", ("False", "NotStalled"))


def test_a_cluster_whose_engine_was_withdrawn_can_be_removed() -> None:
    fleet = standing(engine={"version": "0.36.1"}, deletion=DELETED)
    fleet.push({**files(engine={"version": "0.36.1"}, deletion=DELETED), "b.yaml": cluster("b")})
    fleet.run()
    fleet.rules = replace(RULES, engines=NEXT[1:])
    fleet.restart()
    fleet.push({"p.yaml": files()["p.yaml"], "b.yaml": cluster("b")})
    fleet.run(passes=200, seconds=300.0)
    assert fleet.state("a") is None
    assert fleet.host.get("", "Namespace", "", "vcluster-a") is None


def test_an_upgrade_by_one_minor_goes_through_and_is_the_next_base() -> None:
    fleet = standing(kubernetes={"version": "v1.35.0"})
    assert running(fleet).kubernetes == "v1.35.0"
    fleet.push(files(kubernetes={"version": "v1.36.0"}))
    fleet.run()
    assert (fleet.word("a"), running(fleet).kubernetes) == ("Ready", "v1.36.0")
    fleet.push(files(kubernetes={"version": "v1.35.0"}))
    fleet.run()
    assert (fleet.word("a"), asked_of_the_engine(fleet)) == ("Invalid", {"v1.36.0"})
