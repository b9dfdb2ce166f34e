"""Versions are compared with what runs: written, taken away, or left to the operator's list (field case 60)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import conditions, fleet
from reconciler.assignment import Assignment, Outcome, Unresolved
from reconciler.controller import briefs
from reconciler.controller.registry import Registry
from reconciler.engine import asked, choose, pinned, versions
from reconciler.errors import Retry
from reconciler.inventory.store import State
from reconciler.model import (
    Bundle,
    ClusterSpec,
    EngineChart,
    EngineChoice,
    Held,
    KubernetesChoice,
    Metadata,
    NestedCluster,
    Record,
    Revision,
    Rules,
    Snapshot,
    Tombstone,
    Versions,
    replace,
)
from reconciler.spec import resolve
from reconciler.spec.codes import Code
from tests.spec_cases import CLUSTER, FACTS, FILES, RULES, edited, snapshot

CLUSTER_FILE = "clusters/team-a.yaml"
LINE = "spec:\n  kubernetes: {version: %s}"
WIDE = replace(RULES, kubernetes_versions=("v1.34.0", "v1.35.0", "v1.36.0"))


def written(version: str) -> dict[str, str]:
    return edited(CLUSTER_FILE, "spec:", LINE % version)


def read(files: dict[str, str], rules: Rules = WIDE) -> Snapshot:
    return snapshot(files, rules=rules)[0]


def stored(found: Snapshot, kubernetes: str, engine: str = "0.36.1") -> State:
    """The state of a cluster whose control plane was rolled out, as the store reads it."""
    digests = resolve.digests("team-a", found.content)
    record = Record("platform", "team-a", "local", CLUSTER_FILE, "main", "c", digests, "n", 1.0, applied="main@sha1:c")
    body = {**msgspec.to_builtins(record), "versions": {"engine": engine, "kubernetes": kubernetes}}
    return State(msgspec.convert(body, Record))


def accepted(before: Snapshot, kubernetes: str, rules: Rules = WIDE, engine: str = "0.36.1") -> Registry:
    """A controller that starts: what it accepted, what runs, and what the operator offers now."""
    registry = Registry(rules, FACTS, {"team-a": stored(before, kubernetes, engine)})
    registry.remember({"team-a": before.content})
    return registry


def taken(registry: Registry, name: str = "team-a") -> Assignment | Unresolved:
    found = registry.take(name, 1.0, "nonce")
    assert found is not None
    return found


def bundle_of(registry: Registry) -> Bundle:
    found = taken(registry)
    assert isinstance(found, Assignment)
    return found.bundle


def enforced(registry: Registry) -> str:
    """The Kubernetes version that the bundle asks the engine to run."""
    bundle = bundle_of(registry)
    layer = next(one for one in bundle.layers if one.name == "engine")
    return str(layer.spec["values"]["controlPlane"]["distro"]["k8s"]["image"]["tag"])


def held(registry: Registry) -> tuple[str, str]:
    why = taken(registry).held
    return (why.reason, why.message) if why else ("", "")


def test_a_cluster_on_the_default_is_not_downgraded_by_a_line() -> None:
    registry = accepted(read(FILES), "v1.36.0")
    registry.revise(read(written("v1.34.0")), 2.0)
    assert enforced(registry) == "v1.36.0"
    assert held(registry)[0] == "Downgrade"
    assert "v1.36.0" in held(registry)[1]
    assert "v1.34.0" in held(registry)[1]


def test_taking_the_line_away_skips_no_minor() -> None:
    registry = accepted(read(written("v1.34.0")), "v1.34.0")
    registry.revise(read(FILES), 2.0)
    assert enforced(registry) == "v1.34.0"
    assert held(registry)[0] == "MinorSkipped"
    assert "write spec.kubernetes.version: v1.35.0" in held(registry)[1]


def test_a_shorter_list_of_the_operator_downgrades_nobody() -> None:
    registry = accepted(read(FILES), "v1.36.0", replace(WIDE, kubernetes_versions=("v1.34.0", "v1.35.0")))
    registry.revise(read(FILES, registry.rules), 2.0)
    assert enforced(registry) == "v1.36.0"
    assert held(registry)[0] == "VersionWithdrawn"


def test_of_an_old_record_what_it_accepted_counts() -> None:
    registry = accepted(read(FILES), "")
    registry.revise(read(written("v1.34.0")), 2.0)
    assert enforced(registry) == "v1.36.0"


def test_an_operator_without_versions_of_kubernetes_changes_nothing() -> None:
    registry = accepted(read(FILES), "v1.36.0", replace(WIDE, kubernetes_versions=()))
    registry.revise(read(FILES, registry.rules), 2.0)
    assert enforced(registry) == "v1.36.0"
    assert held(registry)[0] == "VersionWithdrawn"


@pytest.mark.parametrize("engines", [(), (EngineChart("0.37.0", "d", ()),)])
def test_a_withdrawn_engine_leaves_its_clusters_as_they_are(engines: tuple[EngineChart, ...]) -> None:
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.36.1}")
    registry = accepted(read(files), "v1.36.0", replace(WIDE, engines=engines))
    registry.revise(read(files, registry.rules), 2.0)
    assert isinstance(taken(registry), Unresolved)
    assert held(registry)[0] == "VersionWithdrawn"
    assert registry.records()["team-a"].versions == Versions("0.36.1", "v1.36.0")


def test_a_withdrawn_engine_stops_no_other_cluster() -> None:
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.36.1}")
    second = {**files, "clusters/team-b.yaml": CLUSTER.replace("team-a", "team-b")}
    registry = accepted(read(files), "v1.36.0", replace(WIDE, engines=(EngineChart("0.37.0", "d", ()),)))
    registry.revise(read(second, registry.rules), 2.0)
    assert isinstance(taken(registry, "team-b"), Assignment)


def test_without_git_a_withdrawn_engine_is_held_too() -> None:
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.36.1}")
    registry = accepted(read(files), "v1.36.0", replace(WIDE, engines=()))
    registry.stand("platform")
    assert held(registry)[0] == "VersionWithdrawn"


# The rules of a file, with what runs


def running(kubernetes: str = "v1.36.0", engine: str = "0.36.1") -> dict[str, Versions]:
    return {"team-a": Versions(engine, kubernetes)}


@pytest.mark.parametrize("before", [FILES, edited(CLUSTER_FILE, "spec:", LINE % "v1.35.0")])
def test_a_written_downgrade_is_a_mistake_whatever_was_written_before(before: dict[str, str]) -> None:
    accepted_ = read(before).specs.clusters
    found, _ = snapshot(written("v1.34.0"), rules=WIDE, accepted=accepted_, running=running())
    assert [(one.code, one.pointer, one.line, one.hint) for one in found.violations] == [
        (Code.IMMUTABLE, "/spec/kubernetes/version", 5, "possible: v1.36.0")
    ]


def test_what_runs_may_be_written_though_a_newer_commit_never_got_there() -> None:
    accepted_ = read(written("v1.36.0")).specs.clusters
    found, _ = snapshot(written("v1.35.0"), rules=WIDE, accepted=accepted_, running=running("v1.35.0"))
    assert found.violations == ()


def test_what_runs_is_not_this_files_mistake_when_the_operator_takes_it_away() -> None:
    rules = replace(WIDE, kubernetes_versions=("v1.35.0",))
    assert snapshot(written("v1.36.0"), rules=rules, running=running())[0].violations == ()
    assert [one.code for one in snapshot(written("v1.36.0"), rules=rules)[0].violations] == [Code.ENGINE]


def test_a_verdict_is_not_remembered_when_what_runs_moved() -> None:
    first, known = snapshot(written("v1.36.0"), rules=WIDE, running=running("v1.34.0"))
    assert [one.code for one in first.violations] == [Code.IMMUTABLE]
    assert snapshot(written("v1.36.0"), known, rules=WIDE, running=running("v1.35.0"))[0].violations == ()


def test_the_next_commit_goes_by_what_the_registry_says_runs() -> None:
    registry = accepted(read(written("v1.34.0")), "v1.35.0")
    assert registry.running("platform") == running("v1.35.0")
    assert registry.running("other") == {}


def admits(registry: Registry) -> str:
    """The source that the end of a pass over the cluster lets admit its tree once more."""
    report = briefs.failed("team-a", Revision("main", "c"), Retry("x"))
    return registry.finish(taken(registry), Outcome(report, None)).admit


def test_a_held_cluster_is_judged_again_when_another_version_runs() -> None:
    registry = accepted(read(written("v1.34.0")), "v1.34.0")
    registry.revise(read(FILES), 2.0)
    assert held(registry)[0] == "MinorSkipped"
    assert admits(registry) == ""
    registry.keep(stored(read(FILES), "v1.35.0"))
    assert admits(registry) == "platform"
    registry.revise(read(FILES), 3.0)
    assert (held(registry), enforced(registry)) == (("", ""), "v1.36.0")
    assert admits(registry) == ""


# What a status and a plan say


def test_a_withdrawn_version_is_a_stall_and_an_ordinary_hold_is_none() -> None:
    withdrawn = Held("VersionWithdrawn", "gone", stalls=True)
    for why, stalled in ((withdrawn, ("True", "VersionWithdrawn")), (Held("Downgrade", "no"), ("False", "NotStalled"))):
        report = briefs.held("team-a", Revision("main", "c"), why)
        condition = next(one for one in report.conditions if one.type == "Stalled")
        assert (condition.status, condition.reason) == stalled
        ready, _ = conditions.compute((), (), held=None, suspended="", tombstone=None, invalid="", never_applied=False)
        told = next(one for one in conditions.with_held(ready, why) if one.type == "Stalled")
        assert (told.status, told.reason) == stalled


def test_a_tombstone_is_carried_out_whatever_its_engine_was() -> None:
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.36.1}")
    other = {**FILES, "clusters/team-b.yaml": CLUSTER.replace("team-a", "team-b")}
    registry = accepted(read(files), "v1.36.0", replace(WIDE, engines=(EngineChart("0.37.0", "d", ()),)))
    del other[CLUSTER_FILE]
    registry.revise(read(other, registry.rules), 2.0)
    bundle = bundle_of(registry)
    assert bundle.tombstone is not None
    assert bundle.versions == Versions()


def test_what_was_retained_is_compared_when_its_cluster_comes_back() -> None:
    state = stored(read(FILES), "v1.36.0")
    buried = replace(state.record, tombstone=Tombstone(1.0, 1.0, "Retain", protect=False, done=True))
    registry = Registry(WIDE, FACTS, {"team-a": replace(state, record=buried)})
    registry.revise(read(written("v1.34.0")), 2.0)
    assert enforced(registry) == "v1.36.0"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"versions": {"engine": "0.36.1", "kubernetes": "v1.36.0"}, "revision": {"applied": "x"}}, "v1.36.0"),
        ({"versions": {"engine": "0.36.1", "kubernetes": "v1.36.0"}}, ""),
        ({"versions": "rubbish", "revision": {"applied": "x"}}, ""),
        ({"versions": {}, "revision": {"applied": "x"}}, ""),
        ({}, ""),
    ],
)
def test_old_records_are_told_by_their_status_object(status: dict[str, Any], expected: str) -> None:
    record = replace(stored(read(FILES), "").record, applied="", versions=Versions(), inputs="")
    assert fleet.recalled(record, status).versions.kubernetes == expected
    younger = replace(record, inputs="d")
    assert fleet.unversioned(record) and not fleet.unversioned(younger) and fleet.recalled(younger, status) == younger
    known = replace(record, versions=Versions("0.36.0", "v1.30.0"))
    assert fleet.recalled(known, status) == known


# Choices

VERSIONS = st.sampled_from(["", "v1.33.0", "v1.34.0", "v1.35.0", "v1.35.7", "v1.36.0", "v1.99.0", "latest", "1.2"])
ENGINES = st.sampled_from(["", "0.35.0", "0.36.0", "0.36.1", "0.37.0", "rubbish"])


@given(
    ENGINES,
    VERSIONS,
    st.lists(ENGINES.filter(bool), unique=True),
    st.lists(VERSIONS.filter(bool), unique=True),
    ENGINES,
    VERSIONS,
)
def test_a_choice_never_lowers_and_never_skips(
    engine: str, kubernetes: str, engines: list[str], offered: list[str], runs_engine: str, runs_kubernetes: str
) -> None:
    spec = ClusterSpec(engine=EngineChoice(version=engine), kubernetes=KubernetesChoice(version=kubernetes))
    cluster = NestedCluster(api_version="x", kind="y", metadata=Metadata(name="a"), spec=spec)
    charts = tuple(EngineChart(one, "d", ()) for one in engines)
    rules = replace(RULES, engines=charts, kubernetes_versions=tuple(offered))
    runs = Versions(runs_engine, runs_kubernetes)
    found = choose(cluster, rules, runs)
    for before, now in ((runs.engine, found.versions.engine), (runs.kubernetes, found.versions.kubernetes)):
        assert not before or versions.step(before, now) == ""
    wanted = asked(cluster, rules)
    assert found.held is not None or found.versions == wanted
    assert found.held is None or found.held.stalls == (found.held.reason == "VersionWithdrawn")
    assert choose(pinned(cluster, found.versions), rules, runs).versions == found.versions
