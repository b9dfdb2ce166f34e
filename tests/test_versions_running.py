"""Versions are compared with what runs: written, taken away, or left to the operator's list (api.md, field case 60)."""

from dataclasses import replace

import msgspec
import pytest

from reconciler.controller.board import Board, Slot
from reconciler.inventory.store import State
from reconciler.model import EngineChart, Policy, Record, Snapshot
from reconciler.spec import resolve
from tests.spec_cases import CLUSTER, FILES, POLICY, edited, snapshot

CLUSTER_FILE = "clusters/team-a.yaml"
LINE = "spec:\n  kubernetes: {version: %s}"
WIDE = replace(POLICY, kubernetes_versions=("v1.34.0", "v1.35.0", "v1.36.0"))


def written(version: str) -> dict[str, str]:
    return edited(CLUSTER_FILE, "spec:", LINE % version)


def read(files: dict[str, str], policy: Policy = WIDE) -> Snapshot:
    return snapshot(files, policy=policy)[0]


def stored(found: Snapshot, kubernetes: str, engine: str = "0.36.1") -> State:
    """The state of a cluster whose control plane was rolled out, as the store reads it."""
    digests = resolve.digests("team-a", found.content)
    record = Record("platform", "team-a", "local", CLUSTER_FILE, "main", "c", digests, "n", 1.0, applied="main@sha1:c")
    body = {**msgspec.to_builtins(record), "versions": {"engine": engine, "kubernetes": kubernetes}}
    return State(msgspec.convert(body, Record))


def accepted(before: Snapshot, kubernetes: str, policy: Policy = WIDE, engine: str = "0.36.1") -> Board:
    """A controller that starts: what it accepted, what runs, and what the operator offers now."""
    board = Board(policy, {"team-a": stored(before, kubernetes, engine)})
    board.remember({"team-a": before.content})
    return board


def slot(board: Board) -> Slot:
    found = board.slot("team-a")
    assert found is not None
    return found[0]


def enforced(board: Board) -> str:
    """The Kubernetes version that the bundle on the board asks the engine to run."""
    bundle = slot(board).bundle
    assert bundle is not None
    layer = next(one for one in bundle.layers if one.name == "engine")
    return str(layer.spec["values"]["controlPlane"]["distro"]["k8s"]["image"]["tag"])


def held(board: Board) -> tuple[str, str]:
    why = slot(board).held
    return (why.reason, why.message) if why else ("", "")


@pytest.mark.xfail(
    strict=True, reason="two files are compared: a written version may be older than the default that runs"
)
def test_a_cluster_on_the_default_is_not_downgraded_by_a_line() -> None:
    board = accepted(read(FILES), "v1.36.0")
    board.revise(read(written("v1.34.0")), 2.0)
    assert enforced(board) == "v1.36.0"
    assert held(board)[0] == "Downgrade"
    assert "v1.36.0" in held(board)[1]
    assert "v1.34.0" in held(board)[1]


@pytest.mark.xfail(strict=True, reason="a line that is taken away is not compared with anything")
def test_taking_the_line_away_skips_no_minor() -> None:
    board = accepted(read(written("v1.34.0")), "v1.34.0")
    board.revise(read(FILES), 2.0)
    assert enforced(board) == "v1.34.0"
    assert held(board)[0] == "MinorSkipped"
    assert "write spec.kubernetes.version: v1.35.0" in held(board)[1]


@pytest.mark.xfail(strict=True, reason="the default follows a shorter list of the operator downwards")
def test_a_shorter_list_of_the_operator_downgrades_nobody() -> None:
    board = accepted(read(FILES), "v1.36.0", replace(WIDE, kubernetes_versions=("v1.34.0", "v1.35.0")))
    board.revise(read(FILES, board.policy), 2.0)
    assert enforced(board) == "v1.36.0"
    assert held(board)[0] == "VersionWithdrawn"


@pytest.mark.xfail(strict=True, reason="an old record says nothing of versions, and nothing else is asked")
def test_of_an_old_record_what_it_accepted_counts() -> None:
    board = accepted(read(FILES), "")
    board.revise(read(written("v1.34.0")), 2.0)
    assert enforced(board) == "v1.36.0"


@pytest.mark.xfail(strict=True, reason="ValueError: the newest of no versions")
def test_an_operator_without_versions_of_kubernetes_changes_nothing() -> None:
    board = accepted(read(FILES), "v1.36.0", replace(WIDE, kubernetes_versions=()))
    board.revise(read(FILES, board.policy), 2.0)
    assert enforced(board) == "v1.36.0"
    assert held(board)[0] == "VersionWithdrawn"


@pytest.mark.xfail(strict=True, reason="ValueError ends the process: the engine version in use is offered no more")
@pytest.mark.parametrize("engines", [(), (EngineChart("0.37.0", "d", ()),)])
def test_a_withdrawn_engine_leaves_its_clusters_as_they_are(engines: tuple[EngineChart, ...]) -> None:
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.36.1}")
    board = accepted(read(files), "v1.36.0", replace(WIDE, engines=engines))
    board.revise(read(files, board.policy), 2.0)
    assert slot(board).bundle is None
    assert held(board)[0] == "VersionWithdrawn"
    assert board.versions("team-a") == {"versions": {"engine": "0.36.1", "kubernetes": "v1.36.0"}}


@pytest.mark.xfail(strict=True, reason="ValueError ends the process: one cluster's engine is withdrawn")
def test_a_withdrawn_engine_stops_no_other_cluster() -> None:
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.36.1}")
    second = {**files, "clusters/team-b.yaml": CLUSTER.replace("team-a", "team-b")}
    board = accepted(read(files), "v1.36.0", replace(WIDE, engines=(EngineChart("0.37.0", "d", ()),)))
    board.revise(read(second, board.policy), 2.0)
    found = board.slot("team-b")
    assert found is not None
    assert found[0].bundle is not None


@pytest.mark.xfail(strict=True, reason="ValueError ends the start without Git as well")
def test_without_git_a_withdrawn_engine_is_held_too() -> None:
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.36.1}")
    board = accepted(read(files), "v1.36.0", replace(WIDE, engines=()))
    board.stand("platform")
    assert held(board)[0] == "VersionWithdrawn"
