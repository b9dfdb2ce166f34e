"""Status objects of clusters and sources: retried until written, compared with the server, and no more kept than is
shown."""

import gc
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.model import (
    Archive,
    Backups,
    Change,
    Condition,
    Ending,
    Held,
    LayerStatus,
    Location,
    ObjectRef,
    Plan,
    Report,
    Restored,
    Restores,
    Result,
    Revision,
    Sleeping,
    SourceReport,
    Target,
    replace,
)
from reconciler.report import Reporter, bodies, view
from reconciler.report.life import NOTHING
from reconciler.report.view import Place, RunningView
from tests.memory.failures import LOST, REFUSED, answer, on
from tests.memory.server import Server
from tests.shell import client, installed
from tests.waiting import until

NAMESPACE = "nidus-system"
SOON = 0.05  # seconds until a status that could not be written is tried again
REVISION = Revision("main", "c" * 40)
READY = (Condition("Ready", "True", "Ready", "1 layers are Current"), Condition("Stalled", "False", "NotStalled", ""))
URL = {"url": "https://git.example.com/a", "branch": "main", "path": "."}


@pytest.fixture
def server() -> Server:
    return installed(NAMESPACE)


@pytest.fixture
def reporter(server: Server) -> Iterator[Reporter]:
    made = Reporter(client(server), NAMESPACE, "test", SOON)
    yield made
    made.close()


def report(name: str = "a", word: str = "Ready", **more: Any) -> Report:
    plan = Plan(name, REVISION, ())
    layers = (LayerStatus("web", f"local/{name}", "Current", "", 1),)
    return replace(Report(name, REVISION, plan, (), layers, READY, word), **more)


def tell(reporter: Reporter, one: Report, path: str = "clusters/a.yaml", source: str = "platform") -> None:
    reporter.cluster(one, Place(source, path, versions=RunningView("0.36.1")), 0.1)


def shown(server: Server, name: str = "a", kind: str = "NestedCluster") -> dict[str, Any]:
    return dict(server.get("nidus.dev", kind, NAMESPACE, name) or {})


def word(server: Server, name: str = "a") -> str:
    return str((shown(server, name).get("status") or {}).get("status", ""))


def test_what_is_told_stands_there(server: Server, reporter: Reporter) -> None:
    tell(reporter, report(endpoint="https://a.example.com"))
    assert until(lambda: word(server) == "Ready")
    found = shown(server)
    assert found["spec"] == {"source": "platform", "file": "clusters/a.yaml"}
    assert found["status"]["revision"] == {"attempted": str(REVISION), "applied": str(REVISION)}
    (layer,) = found["status"]["layers"]
    assert layer == {"name": "web", "target": "local/a", "health": "Current", "objects": 1, "since": layer["since"]}
    assert found["status"]["versions"] == {"engine": "0.36.1"}
    assert found["status"]["endpoint"] == "https://a.example.com"
    assert [one["type"] for one in found["status"]["conditions"]] == ["Ready", "Stalled"]


def test_a_status_is_read_back_as_it_was_written() -> None:
    """What is written is compared with what the server has: lists are lists, and nothing is lost on the way."""
    archives = (
        Archive("s1", "k", Location("s3", "b", ""), 1.0, True, keys=3),
        Archive("s2", "k", Location("s3", "b", ""), 2.0, False),
    )
    ended = Restored("r", "s1", 3.0, True, keys=3)
    sleep = Sleeping(True, "schedule", "at night", until=9.0)
    lives = {
        "backups": Backups(archives=archives),
        "restores": Restores(last=ended),
        "sleep": sleep,
        "ending": Ending(5.0, 6.0, "day"),
    }
    place = Place(
        "platform",
        "a.yaml",
        "local",
        {"team": "x"},
        RunningView("0.36.1", "v1.36.0", ("v1.36.0", "v1.37.0")),
        ("web@1.0.0",),
    )
    made = view.cluster(report(**lives), None, place, 1.0)
    spec, status = bodies.cluster(made)
    kept = json.loads(json.dumps({"metadata": {"name": "a"}, "spec": spec, "status": status}))
    assert (kept["spec"], kept["status"]) == (spec, status) == bodies.cluster(bodies.read_cluster(kept))
    read = bodies.read_cluster(kept)
    assert (read.life, read.versions, read.profiles, read.labels, read.host) == (
        made.life, made.versions, made.profiles, made.labels, made.host
    )  # fmt: skip
    kept["status"] |= {
        "sleep": "x",
        "backups": {"list": 3},
        "restore": {"last": []},
        "expiresAt": 1,
        "labels": [],
        "versions": [],
    }
    assert bodies.read_cluster(kept).life == replace(NOTHING, expiry_warning="day")


@pytest.mark.parametrize("failure", [answer(500), answer(429), REFUSED, LOST], ids=lambda one: f"{one.form}{one.code}")
@pytest.mark.parametrize("subresource", ["", "status"])
def test_a_failed_write_is_tried_until_it_worked(
    server: Server, reporter: Reporter, failure: Any, subresource: str
) -> None:
    rule = server.fail(failure, lambda call: call.verb == "apply" and call.subresource == subresource)
    tell(reporter, report(word="Degraded"))
    assert until(lambda: word(server) == "Degraded")
    assert rule.done == 1
    assert until(lambda: reporter.statuses.waiting() == 0)


def test_the_newest_is_what_is_written_after_a_failure(server: Server, reporter: Reporter) -> None:
    rule = server.fail(answer(500), on("apply", kind="NestedCluster"), times=None)
    for name in ("Provisioning", "Degraded", "Ready"):
        tell(reporter, report(word=name))
    assert until(lambda: rule.done > 0)
    server.heal()
    assert until(lambda: word(server) == "Ready")
    assert until(lambda: reporter.statuses.waiting() == 0)
    assert len([one for one in server.log if one.subresource == "status" and one.status == 200]) == 1


def meanwhile(server: Server, acts: list[Callable[[], None]]) -> Reporter:
    """A reporter; the next of `acts` happens during its next write of a status object."""

    def fence() -> None:
        if acts and threading.current_thread().name.startswith("status"):
            acts.pop()()

    return Reporter(client(server, fence), NAMESPACE, "test", SOON)


def test_what_turns_back_during_a_write_is_written_too(server: Server) -> None:
    acts: list[Callable[[], None]] = []
    made = meanwhile(server, acts)
    tell(made, report())
    assert made.statuses.settle(60)
    acts.append(lambda: tell(made, report()))
    tell(made, report(word="Degraded"))
    assert made.statuses.settle(60)
    made.close()
    assert (word(server), acts) == ("Ready", [])


def test_nothing_is_lost_when_the_process_stops_at_once(server: Server) -> None:
    made = Reporter(client(server), NAMESPACE, "test", SOON)
    server.fail(answer(500), on("apply", kind="NestedCluster"))
    tell(made, report())
    made.close()
    assert word(server) == "Ready"


@pytest.mark.parametrize("verb", ["get", "delete"])
def test_a_failed_removal_is_tried_until_it_worked(server: Server, reporter: Reporter, verb: str) -> None:
    tell(reporter, report())
    assert until(lambda: word(server) == "Ready")
    server.fail(answer(500), on(verb, kind="NestedCluster"))
    reporter.gone("a")
    assert until(lambda: not shown(server))


@pytest.mark.parametrize("failure", [LOST, answer(409)], ids=["its answer is lost", "it raced"])
@pytest.mark.parametrize("stands", [False, True], ids=["it makes the object", "it changes the object"])
def test_a_cluster_that_goes_while_its_write_fails_leaves_no_status(server: Server, stands: bool, failure: Any) -> None:
    """What a failed write left is not known, so what is wanted next is written whatever was known before."""
    acts: list[Callable[[], None]] = []
    made = meanwhile(server, acts)
    if stands:
        tell(made, report())
        assert made.statuses.settle(60)
    acts.append(lambda: made.gone("a"))
    rule = server.fail(failure, on("apply", kind="NestedCluster"))
    tell(made, report(word="Degraded"), path="clusters/moved.yaml")
    assert made.statuses.settle(60)
    made.close()
    assert (rule.done, acts, shown(server)) == (1, [], {})


def test_what_turns_back_while_its_write_fails_is_written_too(server: Server) -> None:
    acts: list[Callable[[], None]] = []
    made = meanwhile(server, acts)
    tell(made, report())
    assert made.statuses.settle(60)
    before = made.clusters["a"]
    acts.append(lambda: made.statuses.cluster(before))
    rule = server.fail(LOST, on("apply", kind="NestedCluster"))
    tell(made, report(word="Degraded"))
    assert made.statuses.settle(60)
    made.close()
    assert (rule.done, acts, word(server)) == (1, [], "Ready")


def test_what_a_killed_process_left_is_removed(server: Server) -> None:
    """The record goes first, the status object after it: kill -9 in between."""
    for name in ("gone", "recorded", "unread"):
        made = Reporter(client(server), NAMESPACE, "test", SOON)
        tell(made, report(name), source="other" if name == "unread" else "platform")
        made.close()
    server.put(
        {
            "apiVersion": "nidus.dev/v1alpha1",
            "kind": "NestedCluster",
            "metadata": {"name": "by-hand", "namespace": NAMESPACE},
            "spec": {"source": "platform", "file": "x"},
        }
    )
    later = Reporter(client(server), NAMESPACE, "test", SOON)
    later.load()
    later.keep({"recorded"}, {"platform", "other"}, {"platform"})
    later.close()
    left = {str(one["metadata"]["name"]) for one in server.objects("nidus.dev", "NestedCluster", NAMESPACE)}
    assert left == {"recorded", "unread", "by-hand"}


def test_what_was_deleted_by_hand_comes_back(server: Server, reporter: Reporter) -> None:
    tell(reporter, report())
    reporter.source(SourceReport("platform", REVISION, trigger="poll"), URL)
    assert until(lambda: word(server) == "Ready" and bool(shown(server, "platform", "Source").get("status")))
    assert until(lambda: reporter.statuses.waiting() == 0)
    server.delete("nidus.dev", "NestedCluster", NAMESPACE, "a")
    server.delete("nidus.dev", "Source", NAMESPACE, "platform")
    reporter.statuses.compare()
    assert until(lambda: word(server) == "Ready" and bool(shown(server, "platform", "Source").get("status")))


def test_what_was_changed_by_hand_is_put_back(server: Server, reporter: Reporter) -> None:
    tell(reporter, report())
    assert until(lambda: word(server) == "Ready" and reporter.statuses.waiting() == 0)
    found = shown(server)
    server.put({**found, "status": {**found["status"], "status": "Pending"}}, subresource="status")
    reporter.statuses.compare()
    assert until(lambda: word(server) == "Ready")


def test_a_comparison_of_what_is_right_writes_nothing(server: Server, reporter: Reporter) -> None:
    tell(reporter, report())
    reporter.source(SourceReport("platform", REVISION, trigger="poll"), URL)
    assert until(lambda: word(server) == "Ready" and reporter.statuses.waiting() == 0)
    server.log.clear()
    reporter.statuses.compare()
    tell(reporter, report())
    assert until(lambda: reporter.statuses.waiting() == 0)
    kinds = ("NestedCluster", "Source")  # Events of the first report may still be on their way
    assert [call.verb for call in server.log if call.writes and call.kind in kinds] == []


class Between:
    """A guard of the client that does something once, before the request of a number."""

    def __init__(self) -> None:
        self.count, self.at = 0, -1
        self.then: Callable[[], None] = lambda: None

    def before(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.then()

    def after(self, failure: str) -> None:
        pass


def test_what_is_written_during_a_list_is_believed_more_than_the_list(server: Server) -> None:
    between = Between()
    made = Reporter(client(server, guard=between), NAMESPACE, "test", SOON)
    tell(made, report())
    assert made.statuses.settle(60)

    def written() -> None:
        tell(made, report(word="Degraded"))
        assert made.statuses.settle(60)

    between.then, between.at = written, between.count + 2  # the clusters are listed, the sources not yet
    made.statuses.compare(wholly=True)
    assert made.statuses.settle(60)
    writes = [call for call in server.log if call.writes and call.subresource == "status"]
    made.close()
    assert (word(server), len(writes)) == ("Degraded", 2)


def test_a_comparison_with_nothing_trusted_reads_whole_lists(server: Server, reporter: Reporter) -> None:
    for number in range(60):
        tell(reporter, report(f"a{number}"))
    assert until(lambda: reporter.statuses.waiting() == 0)
    server.log.clear()
    reporter.statuses.compare(wholly=True)
    assert [call.verb for call in server.log if call.kind in ("NestedCluster", "Source")] == ["list", "list"]


def test_many_status_objects_that_moved_are_listed(server: Server, reporter: Reporter) -> None:
    for number in range(60):
        tell(reporter, report(f"a{number}"))
    assert until(lambda: reporter.statuses.waiting() == 0)
    for number in range(60):
        found = shown(server, f"a{number}")
        server.put({**found, "status": {**found["status"], "status": "Pending"}}, subresource="status")
    server.log.clear()
    reporter.statuses.compare()
    assert until(lambda: reporter.statuses.waiting() == 0)
    assert {word(server, f"a{number}") for number in range(60)} == {"Ready"}
    assert "get" not in {call.verb for call in server.log if call.kind == "NestedCluster"}


def test_the_status_object_follows_a_moved_file_and_another_url(server: Server, reporter: Reporter) -> None:
    tell(reporter, report())
    reporter.source(SourceReport("platform", REVISION, trigger="poll"), URL)
    assert until(lambda: word(server) == "Ready" and bool(shown(server, "platform", "Source").get("status")))
    tell(reporter, report(), path="teams/a.yaml")
    reporter.source(SourceReport("platform", REVISION, trigger="poll"), {**URL, "url": "https://git.example.com/b"})
    assert until(lambda: shown(server)["spec"]["file"] == "teams/a.yaml")
    assert until(lambda: shown(server, "platform", "Source")["spec"]["url"] == "https://git.example.com/b")
    assert word(server) == "Ready"


def test_a_condition_that_did_not_turn_keeps_its_time_over_a_restart(server: Server) -> None:
    first = Reporter(client(server), NAMESPACE, "test", SOON)
    tell(first, report())
    assert until(lambda: word(server) == "Ready")
    first.close()
    before = shown(server)["status"]
    server.log.clear()
    second = Reporter(client(server), NAMESPACE, "test", SOON)
    _load(second)
    turned = (Condition("Ready", "True", "Ready", "2 layers are Current"), replace(READY[1], status="True"))
    tell(second, report(conditions=turned))
    assert until(lambda: "2 layers" in shown(server)["status"]["conditions"][0]["message"])
    second.close()
    after = shown(server)["status"]
    assert after["conditions"][0]["lastTransitionTime"] == before["conditions"][0]["lastTransitionTime"]
    assert after["conditions"][1]["lastTransitionTime"] > before["conditions"][1]["lastTransitionTime"]
    assert "Event" not in {call.kind for call in server.log}  # nothing is told twice


def test_a_stage_keeps_its_first_time_over_a_restart(server: Server) -> None:
    """The commit was Ready before the restart: a start writes nothing, and the stages are in order."""
    stages = (("seen", 100.0), ("fetched", 101.0), ("validated", 102.0), ("admitted", 103.0))
    first = Reporter(client(server), NAMESPACE, "test", SOON)
    first.source(SourceReport("platform", REVISION, trigger="webhook", stages=stages), URL)
    first.stage("platform", "ready", 104.0)
    first.close()
    before = shown(server, "platform", "Source")["status"]
    server.log.clear()
    second = Reporter(client(server), NAMESPACE, "test", SOON)
    second.load()
    second.source(SourceReport("platform", REVISION, trigger="start", stages=(("seen", 200.0),)), URL)
    second.stage("platform", "ready", 201.0)
    second.close()
    assert shown(server, "platform", "Source")["status"] == before
    assert second.sources["platform"].stages == (*stages, ("ready", 104.0))
    assert {call.verb for call in server.log if call.kind == "Source"} == {"list"}


def test_a_delivery_heard_of_after_a_start_read_its_commit_is_when_it_was_seen(server: Server) -> None:
    reporter = Reporter(client(server), NAMESPACE, "test", SOON)
    read = (("seen", 200.0), ("fetched", 201.0), ("validated", 202.0), ("admitted", 203.0))
    reporter.source(SourceReport("platform", REVISION, trigger="start", stages=read), URL)
    heard = (("seen", 100.0), ("fetched", 204.0))
    reporter.source(SourceReport("platform", REVISION, trigger="webhook", stages=heard), URL)
    assert reporter.sources["platform"].stages == (("seen", 100.0), *read[1:])
    again = (("seen", 300.0), ("fetched", 301.0), ("validated", 302.0), ("admitted", 303.0))
    reporter.source(SourceReport("platform", REVISION, trigger="sync", stages=again), URL)
    assert reporter.sources["platform"].stages == again
    reporter.close()


def _load(reporter: Any) -> None:
    (reporter.load if hasattr(reporter, "load") else reporter.statuses.load)()


def test_a_status_of_another_form_is_no_obstacle(server: Server) -> None:
    """Whoever may write status objects cannot stop the controller with one."""
    for name, kind in (("a", "NestedCluster"), ("platform", "Source")):
        head = {"apiVersion": "nidus.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}
        server.put({**head, "spec": {}})
        server.apply({**head, "status": {"generation": -1, "stages": {"fetched": "noon"}}}, subresource="status")
    made = Reporter(client(server), NAMESPACE, "test", SOON)
    _load(made)
    tell(made, report())
    made.source(SourceReport("platform", REVISION, trigger="start"), URL)
    assert until(lambda: word(server) == "Ready" and shown(server, "platform", "Source")["status"].get("error") == "")
    made.close()


class Live(dict[str, Any]):
    """A live object that can be watched for being kept."""


def test_no_object_is_kept_of_a_report(reporter: Reporter) -> None:
    gc.freeze()  # what tests before left is not looked through
    live, desired = Live(metadata={"name": "x"}), Live(metadata={"name": "x"})
    kept = [weakref.ref(live), weakref.ref(desired)]
    change = Change("configure", Target("local", "a"), ObjectRef("", "ConfigMap", "web", "x"), "web", desired=desired)
    done = report(
        plan=Plan("a", REVISION, (change,)),
        results=(Result(change, "configured", uid="u", live=live), Result(change, "failed", error="no", live=live)),
    )
    tell(reporter, done)
    del live, desired, change, done
    gc.collect()
    assert [one() for one in kept] == [None, None]


def test_nothing_is_measured_of_a_cluster_that_is_gone(reporter: Reporter) -> None:
    for name in ("a", "b"):
        tell(reporter, report(name))
        tell(reporter, report(name, word="Degraded"))
    reporter.gone("a")
    text = reporter.metrics.text().decode()
    assert 'cluster="a"' not in text
    assert 'cluster="b"' in text


def test_one_write_that_hangs_holds_no_other() -> None:
    from reconciler.report.outbox import Outbox

    free, written = threading.Event(), threading.Event()

    def write(key: str) -> None:
        if key == "slow":
            assert free.wait(60)
        else:
            written.set()

    outbox: Outbox[str] = Outbox("test", write, threads=2)
    outbox.put("slow")
    outbox.put("fast")
    assert written.wait(60)
    assert outbox.waiting() == 1
    free.set()
    assert outbox.settle(60)
    outbox.close(1)


def test_a_bug_of_one_write_ends_no_thread(capsys: pytest.CaptureFixture[str]) -> None:
    from reconciler.report.outbox import Outbox

    tries: list[str] = []

    def write(key: str) -> None:
        tries.append(key)
        if len(tries) < 3:
            raise TypeError("nobody expected this")

    outbox: Outbox[str] = Outbox("status", write, threads=1, first=0.01)
    outbox.put("a")
    assert outbox.settle(60)
    outbox.close(1)
    assert tries == ["a"] * 3
    assert capsys.readouterr().err.count('"event": "Bug"') == 2


def test_a_hold_is_shown_with_what_approves_it(server: Server, reporter: Reporter) -> None:
    change = Change("hold", Target("local", "a"), ObjectRef("", "ConfigMap", "web", "x"), "web", reason="Budget")
    held = Held("Budget", "1 object would go", "d" * 64, ("line",), about=("a", "b"))
    tell(reporter, report(word="Held", held=held, plan=Plan("a", REVISION, (change,))))
    assert until(lambda: word(server) == "Held")
    plan = shown(server)["status"]["plan"]
    assert plan == {"held": ["ConfigMap/web/x: Budget"], "digest": "d" * 64, "items": ["line"], "clusters": ["a", "b"]}
    read = bodies.read_cluster(shown(server)).held
    assert read is not None and (read.consent, read.items, read.about) == (held.consent, held.items, held.about)


def test_a_source_that_cannot_be_fetched_says_since_when(server: Server, reporter: Reporter) -> None:
    reporter.source(SourceReport("platform", REVISION, trigger="poll", fetched=1000.0), URL)
    assert until(lambda: bool(shown(server, "platform", "Source").get("status")))
    assert "fetched" not in shown(server, "platform", "Source")["status"]
    reporter.source(SourceReport("platform", REVISION, trigger="poll", fetched=1000.0, error="Unreachable: no"), URL)
    assert until(lambda: shown(server, "platform", "Source")["status"].get("error"))
    assert shown(server, "platform", "Source")["status"]["fetched"] == "1970-01-01T00:16:40.000Z"


def test_a_source_says_what_keeps_the_render_workers_from_the_network(server: Server) -> None:
    first = Reporter(client(server), NAMESPACE, "test", SOON)
    first.source(SourceReport("platform", REVISION, trigger="start"), URL)
    assert until(lambda: bool(shown(server, "platform", "Source").get("status")))
    first.confined(("system-call filter",))
    assert until(lambda: shown(server, "platform", "Source")["status"].get("renderWorkers") == "system-call filter")
    assert b'nidus_render_workers_confined{by="network namespace"} 0.0' in first.metrics.text()
    assert b'nidus_render_workers_confined{by="system-call filter"} 1.0' in first.metrics.text()
    first.close()
    server.log.clear()
    second = Reporter(client(server), NAMESPACE, "test", SOON)
    second.load()
    second.source(SourceReport("platform", REVISION, trigger="start"), URL)  # before it is known again
    second.confined(("system-call filter",))
    second.close()
    assert {call.verb for call in server.log if call.kind == "Source"} == {"list"}
    second.confined(())
    assert second.sources["platform"].confined == "none"
