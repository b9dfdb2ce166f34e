"""Which revisions came to a cluster: noted once each, complete whatever fails, and shown newest first."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.inventory import history
from reconciler.inventory.history import KEPT, Passage
from reconciler.model import Authored, LayerStatus, Plan, Report, Revision, SourceReport, Tombstone
from reconciler.report import Reporter, histories, life
from reconciler.report.view import Place
from reconciler.verbs import connection, status
from reconciler.verbs import history as verb
from tests.memory.failures import LOST, answer, on
from tests.memory.server import Server
from tests.shell import client, installed
from tests.waiting import eventually

NAMESPACE = "nidus-system"
NOTED = on("apply", kind="ConfigMap")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "PAUSE", 0.0)


@pytest.fixture
def server() -> Server:
    return installed(NAMESPACE)


@pytest.fixture
def reporter(server: Server) -> Iterator[Reporter]:
    made = Reporter(client(server), NAMESPACE, "test")
    yield made
    made.close()


def revision(number: int) -> Revision:
    return Revision("main", f"{number:040x}")


def told(reporter: Reporter, number: int, word: str = "Ready", state: str = "Current", review: int = 0) -> None:
    found = revision(number)
    layers = (LayerStatus("web", "local/a", state, "", 1),)
    report = Report("a", found, Plan("a", found, ()), (), layers, (), word)
    reporter.cluster(report, Place("platform", "clusters/a.yaml"), 0.1, review)


def synced(reporter: Reporter, number: int) -> None:
    by = Authored("Ada <ada@example.com>", f"change {number}", 1.0)
    stages = (("seen", 100.0), ("admitted", 101.0))
    reporter.source(
        SourceReport("platform", revision(number), stages=stages, trigger="webhook", authored=by), {"url": "u"}
    )


def kept(server: Server) -> list[Passage]:
    return list(history.read(client(server), NAMESPACE).get("a", ()))


def test_a_removal_says_by_which_commit_and_by_whom(reporter: Reporter) -> None:
    told(reporter, 1)
    gone = life.removal(Tombstone(5.0, 65.0, "Delete", False, commit=str(revision(2))))
    found = Report("a", revision(1), Plan("a", revision(1), ()), (), (), (), "Deleting")
    place = Place("platform", "clusters/a.yaml", removal=gone)
    reporter.cluster(found, place)  # quicker than the report of its source
    synced(reporter, 2)
    synced(reporter, 3)  # of another commit: who wrote that removed nothing
    reporter.cluster(found, place)
    removal = reporter.clusters["a"].life.removal
    assert removal == life.RemovalView(
        str(revision(2)), life.stamp(5.0), life.stamp(65.0), "Ada <ada@example.com>", "change 2"
    )
    told(reporter, 4)  # the file came back
    assert reporter.clusters["a"].life.removal is None


def test_a_revision_is_noted_once_it_is_ready(server: Server, reporter: Reporter) -> None:
    synced(reporter, 1)
    told(reporter, 1, "Progressing", "Waiting", review=7)
    told(reporter, 1, "Progressing", "InProgress")
    assert kept(server) == []  # on its way: it costs no write
    told(reporter, 1)
    eventually(lambda: len(kept(server)) == 1)
    (one,) = kept(server)
    assert (one.revision, one.subject, one.number, one.admitted) == (str(revision(1)), "change 1", 7, 101.0)
    assert one.admitted < one.applied <= one.ready
    writes = len([call for call in server.log if NOTED(call)])
    for _ in range(3):
        told(reporter, 1)
    told(reporter, 2, "Held", "Held")
    eventually(lambda: len(kept(server)) == 2)
    assert len([call for call in server.log if NOTED(call)]) == writes + 1
    assert kept(server)[1].ready == kept(server)[1].applied == 0


@pytest.mark.parametrize("failure", [LOST, answer(409), answer(500)])
def test_a_write_that_fails_notes_it_once(server: Server, reporter: Reporter, failure: Any) -> None:
    told(reporter, 1)
    eventually(lambda: len(kept(server)) == 1)
    server.fail(failure, on("apply", kind="ConfigMap"))
    told(reporter, 2)
    told(reporter, 3, "Degraded")
    eventually(lambda: len(kept(server)) == 3)
    assert [one.revision for one in kept(server)] == [str(revision(number)) for number in (1, 2, 3)]


def test_a_restart_completes_what_was_on_its_way(server: Server) -> None:
    first = Reporter(client(server), NAMESPACE, "one")
    told(first, 1, "Progressing", "InProgress")
    first.close()
    (begun,) = kept(server)
    assert begun.admitted and begun.applied and not begun.ready
    second = Reporter(client(server), NAMESPACE, "two")
    second.load()
    told(second, 1, "Progressing", "InProgress")
    told(second, 1)
    second.close()
    (one,) = kept(server)
    assert (one.admitted, one.applied) == (begun.admitted, begun.applied) and one.ready


def test_the_last_fifty_stay_and_what_cannot_be_read_begins_anew(server: Server) -> None:
    for number in range(KEPT + 5):
        history.add(client(server), NAMESPACE, "a", [Passage(str(revision(number)), 1.0)])
    assert [one.revision for one in kept(server)] == [str(revision(number)) for number in range(5, KEPT + 5)]
    item = dict(server.get("", "ConfigMap", NAMESPACE, "nidus-history-a") or {})
    server.put({**item, "data": {"format": "1", "revisions": "AAAA"}})
    history.add(client(server), NAMESPACE, "a", [Passage("x")])
    assert [one.revision for one in kept(server)] == ["x"]


def test_the_history_of_a_cluster_that_is_gone_goes(server: Server, reporter: Reporter) -> None:
    told(reporter, 1)
    eventually(lambda: len(kept(server)) == 1)
    reporter.gone("a")
    eventually(lambda: history.read(client(server), NAMESPACE) == {})


def test_it_is_shown_newest_first(
    server: Server, reporter: Reporter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "connect", lambda args: client(server))
    synced(reporter, 1)
    told(reporter, 1, review=7)
    told(reporter, 2)
    eventually(lambda: len(kept(server)) == 2)
    reporter.statuses._outbox.settle(60)
    args = argparse.Namespace(name="a", output="table", namespace=NAMESPACE, watch=False)
    assert verb.run(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [*verb.HEAD] and lines[1].startswith("main@sha1:0000000") and "#7" in lines[2]
    args.output = "json"
    assert status.run(args) == 0
    found = json.loads(capsys.readouterr().out)["clusters"][0]["history"]
    assert [one["revision"] for one in found] == [str(revision(2)), str(revision(1))]
    assert found[1]["reviewed"] == 7 and found[1]["author"].startswith("Ada")
    server.fail(answer(403), on("list", kind="ConfigMap"), times=None)
    assert status.run(args) == 0  # whoever may not read it sees the rest
