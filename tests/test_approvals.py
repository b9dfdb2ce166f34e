"""`nidus approvals`, which lists and withdraws, and `nidus wait --revision`: against a server in memory on a real socket."""

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.__main__ import main
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.test_operation_verbs import stands
from tests.test_source_mirror import Work
from tests.test_wrong_targets import NAMESPACE, installed, reached, server

__all__ = ["installed", "reached", "server"]
Caught = pytest.CaptureFixture[str]
DIGEST = "d" * 64
PLAN = {"held": ["Pod/web/a: deletes data"], "digest": DIGEST, "items": ["delete Pod/web/a"]}


def rows(reached: list[str], capsys: Caught) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["approvals", "-o", "json", *reached]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["approvals"]
    return found


def test_what_waits_is_listed_then_approved_then_withdrawn(
    installed: Server, reached: list[str], capsys: Caught
) -> None:
    assert main(["approvals", *reached]) == 0
    assert capsys.readouterr().out == "nothing waits for an approval, and none stands\n"
    stands(installed, {"status": "Held", "plan": PLAN})
    (waits,) = rows(reached, capsys)
    assert (waits["state"], waits["digest"], waits["cluster"], waits["by"]) == ("pending", DIGEST, "team-b", "")
    assert main(["approve", DIGEST, *reached]) == 0
    (given,) = rows(reached, capsys)
    assert (given["state"], given["message"]) == ("approved", PLAN["held"][0]) and given["by"] and given["expires"]
    stands(installed, {"status": "Ready", "plan": {"held": []}})
    assert rows(reached, capsys)[0]["state"] == "stands"
    assert main(["approvals", *reached]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["STATE", "CLUSTER", "DIGEST", "BY", "LEFT", "MESSAGE"]
    assert line.split()[:3] == ["stands", "team-b", DIGEST[:32]] and line.endswith("nothing that is held needs it")
    assert main(["approvals", "--withdraw", DIGEST[:32], *reached]) == 0
    assert installed.objects("nidus.dev", "Request", NAMESPACE) == []
    assert rows(reached, capsys) == []


def test_who_may_not_withdraw_is_told_what_ends_it(installed: Server, reached: list[str], capsys: Caught) -> None:
    stands(installed, {"status": "Held", "plan": PLAN})
    assert main(["approvals", "--withdraw", DIGEST, *reached]) == 1
    assert f"no approval stands of {DIGEST}" in capsys.readouterr().err
    assert main(["approve", DIGEST, *reached]) == 0
    installed.fail(answer(403), on("delete", kind="Request"))
    assert main(["approvals", "--withdraw", DIGEST, *reached]) == 1
    assert "error: you may not delete request approve-" in capsys.readouterr().err
    assert [one["state"] for one in rows(reached, capsys)] == ["approved"]


# nidus wait --revision


def read(server: Server, commit: str, changing: tuple[str, ...] = ()) -> None:
    live = server.get("nidus.dev", "Source", NAMESPACE, "platform")
    assert live is not None
    status = {"revision": f"main@sha1:{commit}", "changing": list(changing)}
    server.put({**live, "status": status}, subresource="status")


def ready(server: Server, commit: str) -> None:
    revision = {"attempted": f"main@sha1:{commit}", "applied": f"main@sha1:{commit}"}
    conditions = [{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": ""}]
    stands(server, {"status": "Ready", "revision": revision, "conditions": conditions})


def test_a_revision_is_waited_for(
    installed: Server, reached: list[str], capsys: Caught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path / "work")
    first, second, third = (work.commit({"a.yaml": f"a: {number}\n"}) for number in range(3))
    work.git("checkout", "-q", "--orphan", "other")
    other = work.commit({"a.yaml": "b: 1\n"})
    monkeypatch.chdir(work.folder)
    ready(installed, first)
    read(installed, second)
    assert main(["wait", "--revision", second, *reached]) == 0
    assert "team-b Ready at main@sha1:" in capsys.readouterr().out
    assert main(["wait", "team-b", "--revision", first, *reached]) == 0  # it came before
    for name, here in ((third, True), (other, True), ("abcdef0", False)):
        assert main(["wait", "--revision", name, "--timeout", "100ms", *reached]) == 1
        told = capsys.readouterr().err
        assert f"error: {name[:12]} was not read within 0s: platform is at main@sha1:{second[:7]}" in told, here
    assert main(["wait", "--revision", "no-such-branch", *reached]) == 64


def test_a_cluster_that_the_revision_changes_is_waited_for_until_it_was_tried(
    installed: Server, reached: list[str], capsys: Caught
) -> None:
    ready(installed, "a" * 40)  # by the commit before
    read(installed, "b" * 40, ("team-b",))
    assert main(["wait", "--revision", "b" * 12, "--timeout", "100ms", *reached]) == 1
    assert "not Ready within" in capsys.readouterr().out
    ready(installed, "b" * 40)
    assert main(["wait", "--revision", "b" * 12, "--timeout", "1m", *reached]) == 0


def test_a_cluster_that_the_revision_removes_ends_the_wait_well(
    installed: Server, reached: list[str], capsys: Caught
) -> None:
    """Its grace period takes a day."""
    ready(installed, "a" * 40)
    stands(installed, {"status": "Deleting"})
    read(installed, "b" * 40, ("team-b",))
    assert main(["wait", "--revision", "b" * 12, "--timeout", "1m", "-o", "json", *reached]) == 0
    (one,) = json.loads(capsys.readouterr().out)["clusters"]
    assert (one["name"], one["status"], one["ok"], one["over"]) == ("team-b", "Deleting", True, True)
    assert main(["wait", "team-b", "--revision", "b" * 12, "--timeout", "100ms", *reached]) == 1
