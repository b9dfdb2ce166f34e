"""Verbs of the second day (`nidus sleep`, `backup` ...): what they ask for, and what they say where it would have no effect."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.__main__ import main
from tests.memory.server import Server
from tests.test_wrong_targets import NAMESPACE, installed, reached, server

__all__ = ["installed", "reached", "server"]
LATER = "2036-12-01T07:00:00Z"
Caught = pytest.CaptureFixture[str]


def stands(server: Server, status: Mapping[str, Any]) -> None:
    live = server.get("nidus.dev", "NestedCluster", NAMESPACE, "team-b")
    assert live is not None
    server.put({**live, "status": dict(status)}, subresource="status")


def asked(server: Server) -> dict[str, Any]:
    (one,) = server.objects("nidus.dev", "Request", NAMESPACE)
    return dict(one["spec"])


def in_seconds(spec: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(spec["expires"]).timestamp() - time.time()


@pytest.mark.parametrize("kind", ["sleep", "wake"])
def test_a_request_with_its_end(installed: Server, reached: list[str], kind: str) -> None:
    assert main([kind, "team-b", "--for", "2h", "--reason", "release", *reached]) == 0
    spec = asked(installed)
    assert (spec["kind"], spec["cluster"], spec["reason"]) == (kind, "team-b", "release")
    assert in_seconds(spec) == pytest.approx(7200, abs=60)


def test_without_an_end_it_stands(installed: Server, reached: list[str], capsys: Caught) -> None:
    assert main(["sleep", "team-b", *reached]) == 0
    assert "expires" not in asked(installed)
    assert capsys.readouterr().out == "nested cluster team-b goes to sleep; nidus wake team-b ends that\n"


def test_what_git_decides_is_said(installed: Server, reached: list[str], capsys: Caught) -> None:
    sleep = {"asleep": False, "by": "git", "why": "by its file (spec.sleep.state: Awake)"}
    stands(installed, {"status": "Ready", "sleep": sleep})
    assert main(["sleep", "team-b", *reached]) == 0
    assert "but its file decides: it is awake by its file" in capsys.readouterr().out
    assert main(["wake", "team-b", *reached]) == 0
    assert "but its file" not in capsys.readouterr().out


def test_a_suspended_cluster_is_said_to_stay_as_it_is(installed: Server, reached: list[str], capsys: Caught) -> None:
    stands(installed, {"status": "Suspended"})
    assert main(["sleep", "team-b", *reached]) == 0
    assert "but it is suspended, and nothing of it is changed until nidus resume team-b" in capsys.readouterr().out


def test_an_end_that_is_past_is_refused(installed: Server, reached: list[str], capsys: Caught) -> None:
    assert main(["wake", "team-b", "--until", "2020-01-01T00:00:00Z", *reached]) != 0
    assert "--until is past" in capsys.readouterr().err
    assert installed.objects("nidus.dev", "Request", NAMESPACE) == []


def test_the_end_is_moved_from_where_it_is(installed: Server, reached: list[str]) -> None:
    end = datetime.fromtimestamp(time.time() + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    stands(installed, {"status": "Ready", "expiresAt": end})
    assert main(["extend", "team-b", "--for", "24h", *reached]) == 0
    assert in_seconds(asked(installed)) == pytest.approx(25 * 3600, abs=60)


def test_what_has_no_end_is_not_extended(installed: Server, reached: list[str], capsys: Caught) -> None:
    assert main(["extend", "team-b", "--for", "24h", *reached]) == 1
    assert "team-b does not expire" in capsys.readouterr().err


def test_a_snapshot_needs_a_place(installed: Server, reached: list[str], capsys: Caught) -> None:
    assert main(["backup", "team-b", *reached]) == 1
    assert "spec.backup in its file says where they go" in capsys.readouterr().err
    stands(installed, {"status": "Asleep", "backups": {"list": []}})
    assert main(["backup", "team-b", *reached]) == 0
    assert "is made, once it wakes;" in capsys.readouterr().out
    assert (asked(installed)["kind"], in_seconds(asked(installed)) > 3600) == ("backup", True)


def test_snapshots_are_listed_with_what_is_wrong(installed: Server, reached: list[str], capsys: Caught) -> None:
    assert main(["backups", "team-b", *reached]) == 0
    assert capsys.readouterr().out == "nested cluster team-b has no snapshot\n"
    one = {"id": "20261127T020000-abc", "state": "Failed", "why": "cut \x1b short"}
    stands(installed, {"status": "Ready", "backups": {"list": [one], "running": "x, sent", "problem": "no Secret"}})
    assert main(["backups", "team-b", *reached]) == 0
    shown = capsys.readouterr().out
    assert "20261127T020000-abc" in shown and "\x1b" not in shown
    assert "running: x, sent\nproblem: no Secret\n" in shown
    assert main(["backups", "team-b", "-o", "json", *reached]) == 0
    assert '"problem": "no Secret"' in capsys.readouterr().out


def test_a_whole_snapshot_is_asked_for(installed: Server, reached: list[str], capsys: Caught) -> None:
    told = [
        {"id": "20261126T020000-1a2b3c4", "state": "Completed"},
        {"id": "20261127T020000-1a2b3c4", "state": "Failed"},
    ]
    stands(installed, {"status": "Ready", "backups": {"list": told}})
    assert main(["restore", "team-b", "20261127T020000-1a2b3c4", *reached]) == 1
    assert "whole ones: 20261126T020000-1a2b3c4" in capsys.readouterr().err
    assert main(["restore", "team-b", "20261126T020000-1a2b3c4", *reached]) == 0
    spec = asked(installed)
    assert (spec["kind"], spec["items"], in_seconds(spec) > 3600) == ("restore", ["20261126T020000-1a2b3c4"], True)
    assert "nidus status team-b shows the digest to approve" in capsys.readouterr().out


@pytest.mark.parametrize("about", [[], ["team-b"], ["team-a", "team-b"]])
def test_an_approval_names_the_cluster_where_it_is_the_only_one(
    installed: Server, reached: list[str], about: list[str]
) -> None:
    """Also where the other clusters show another reason, so that no second status has the digest."""
    plan = {"held": ["removes clusters"], "reason": "RemovalBudget", "digest": "d" * 64, "items": ["remove team-b"]}
    stands(installed, {"status": "Held", "plan": {**plan, "clusters": about}})
    assert main(["approve", "d" * 64, *reached]) == 0
    assert asked(installed).get("cluster", "") == ("" if len(about) > 1 else "team-b")


RUNS = {"engine": "0.36.1", "kubernetes": "v1.34.2"}


def test_what_an_upgrade_needs(installed: Server, reached: list[str], capsys: Caught) -> None:
    stands(installed, {"status": "Ready", "versions": RUNS, "backups": {"list": []}})
    assert main(["upgrade", "team-b", *reached]) == 0
    shown = capsys.readouterr().out
    assert "to v1.36.0: 2 steps: v1.34.2 -> v1.35.x -> v1.36.0\n" in shown
    assert "spec.kubernetes.version: v1.36.0 and spec.upgrade.steps: Auto" in shown
    assert "a whole snapshot before each step" in shown
    stands(installed, {"status": "Held", "versions": RUNS})
    assert main(["upgrade", "team-b", "--to", "v1.35.0", *reached]) == 0
    shown = capsys.readouterr().out
    assert "1 step: v1.34.2 -> v1.35.0\n" in shown and "Auto" not in shown
    assert "no snapshot: its file has no spec.backup" in shown and "it is Held now" in shown


@pytest.mark.parametrize(
    ("versions", "to", "why"),
    [
        (RUNS, "v1.33.0", "v1.33.0 is no later version"),
        (RUNS, "v1.40.0", "engine 0.36.1 does not run Kubernetes v1.40.0"),
        (RUNS, "newest", "engine 0.36.1 does not run Kubernetes newest"),
        ({}, "", "team-b runs no version yet"),
    ],
)
def test_a_version_that_it_cannot_reach(
    installed: Server, reached: list[str], capsys: Caught, versions: Mapping[str, str], to: str, why: str
) -> None:
    stands(installed, {"status": "Ready", "versions": versions})
    assert main(["upgrade", "team-b", *(["--to", to] if to else []), *reached]) == 1
    assert why in capsys.readouterr().err
