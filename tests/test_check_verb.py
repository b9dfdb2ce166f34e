"""`nidus check`, `events` and `logs`: what each says of an installation, a broken one, and one that may hardly be seen."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.kube import podlog
from reconciler.model import Violation
from reconciler.report import bodies, log
from reconciler.report.events import Events
from reconciler.report.life import KubeconfigsView, Life, StorageView
from reconciler.report.transitions import Transition
from reconciler.report.view import ClusterView, ConditionView, RunningView, SourceView
from reconciler.verbs import check, events, logs
from schemas import crds
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.shell import client
from tests.test_status_verb import AT, NAMESPACE, NOW, lease
from tests.waiting import until

DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")
REVISION = "main@sha1:" + "a" * 40


@pytest.fixture
def server() -> Server:
    made = Server()
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for definition in crds.definitions().values():
        made.put(definition)
    lease(made, "nidus-0", 3.0)
    return made


def written(server: Server, kind: str, name: str, body: bodies.Body) -> None:
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}
    server.apply({**head, "spec": body[0]})
    server.apply({**head, "status": body[1]}, subresource="status")


def source(server: Server, **more: Any) -> None:
    one = SourceView("platform", revision=REVISION, accepted=1, confined="network namespace", **more)
    written(server, "Source", "platform", bodies.source(one))


def cluster(server: Server, word: str = "Ready") -> None:
    one = ClusterView("team-a", word, source="platform", versions=RunningView("0.36.1"), since=AT)
    written(server, "NestedCluster", "team-a", bodies.cluster(one))


def found(server: Server) -> dict[str, tuple[str, str]]:
    return {one.what: (one.state, one.text) for one in check.gathered(client(server), NAMESPACE, NOW)}


def test_all_is_in_order(server: Server) -> None:
    source(server)
    cluster(server)
    every = list(check.gathered(client(server), NAMESPACE, NOW))
    assert {one.state for one in every} == {"ok"}
    text = check.rendered(every).split("\n")
    assert text[1:4] == [f"ok     kind {kind}: served and current" for kind in ("Source", "NestedCluster", "Request")]
    assert text[4] == "ok     controller: nidus-0 leads since 2h"
    assert text[6:] == [
        "ok     source platform: main@sha1:aaaaaaa, 1 clusters",
        "ok     rendering: without network: network namespace",
        "ok     clusters: 1 Ready, engine 0.36.1",
    ]


def test_what_is_wrong_says_what_to_do(server: Server) -> None:
    server.delete("coordination.k8s.io", "Lease", NAMESPACE, "nidus")
    lease(server, "nidus-0", 600.0)
    source(server, error="Unavailable: no answer", fetched=NOW - 300)
    cluster(server, "Degraded")
    server.forbidden |= {("create", "requests"), ("patch", "sources")}
    every = {(one.what, one.state): one for one in check.gathered(client(server), NAMESPACE, NOW)}
    assert every["controller", "wrong"].advice.endswith("nidus logs")
    assert every["source platform", "wrong"].text == "Unavailable: no answer, last fetched 5m ago"
    assert every["clusters", "wrong"].advice == "nidus why team-a"
    assert every["rights", "note"].text == "this account may not approve, suspend, resume, sync"


def test_mistakes_in_a_repository_are_named(server: Server) -> None:
    source(server, violations=(Violation("a.yaml", 3, 4, "NID122", "unknown field qouta"),), violation_count=1)
    assert found(server)["source platform"] == ("wrong", "1 mistake; the first: a.yaml:3: unknown field qouta")


def test_kinds_that_are_not_there_or_of_another_version(server: Server) -> None:
    old: Any = json.loads(json.dumps(server.get(*DEFINITION, "", "nestedclusters.nidus.dev")))
    schema = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    del schema["layers"]["items"]["properties"]["causes"]
    server.put(old)
    assert found(server)["kind NestedCluster"] == ("wrong", "of another version: it lacks .status.layers.causes")
    bare = Server()
    assert [one.text for one in check.gathered(client(bare), NAMESPACE, NOW)][1:] == ["not installed"] * 3


def test_an_account_that_sees_little_is_told_what_it_cannot_see(server: Server) -> None:
    source(server)
    for kind in ("CustomResourceDefinition", "Lease"):
        server.fail(answer(403), on("get", kind=kind), times=None)
    told = found(server)
    assert told["kind Source"][0] == told["controller"][0] == "note"
    assert told["source platform"][0] == "ok"


# events


def test_each_cluster_that_nobody_outside_reaches_is_named(server: Server) -> None:
    source(server)
    for name, status, reason, message in (
        ("team-a", "True", "Exposed", "its API server answers at a.example.com:443"),
        ("team-b", "False", "ForeignCertificate", "the certificate is not its own; turn passthrough on"),
        ("team-c", "Unknown", "NotReached", "nothing is reached"),
        ("team-d", "Unknown", "Asleep", "asleep"),
    ):
        told = ConditionView("Exposed", status, reason, message, AT)
        one = ClusterView(name, "Ready", source="platform", since=AT, conditions=(told,))
        written(server, "NestedCluster", name, bodies.cluster(one))
    seen = {one.what: one for one in check.gathered(client(server), NAMESPACE, NOW) if one.what.startswith("exposure")}
    assert {what: one.state for what, one in seen.items()} == {
        "exposure of team-b": "wrong",
        "exposure of team-c": "note",
        "exposure": "ok",
    }
    assert seen["exposure of team-b"].text == "the certificate is not its own (ForeignCertificate)"
    assert seen["exposure of team-b"].advice == "turn passthrough on"
    assert seen["exposure"].text == "1 of 3 exposed clusters answer at their address"


def test_kubeconfigs_and_volumes_that_are_not_as_asked_for_are_named(server: Server) -> None:
    source(server)
    life = Life(
        kubeconfigs=KubeconfigsView(list=(), problem="ci: Secret exists"), storage=StorageView("8Gi", (), "it cannot")
    )
    one = ClusterView("team-a", "Ready", source="platform", since=AT, life=life)
    written(server, "NestedCluster", "team-a", bodies.cluster(one))
    told = found(server)
    assert told["kubeconfigs of team-a"] == ("wrong", "ci: Secret exists")
    assert told["volumes of team-a"] == ("wrong", "it cannot")


def test_events_are_about_the_object_itself_and_are_listed_newest_last(server: Server) -> None:
    cluster(server)
    live = server.get("nidus.dev", "NestedCluster", NAMESPACE, "team-a")
    assert live is not None
    sink = Events(client(server), NAMESPACE, "nidus-0", lambda name: live["metadata"]["uid"])
    for reason in ("Degraded", "Ready"):
        sink.transition(Transition("team-a", REVISION, reason, f"it is {reason}\x1b[2J", warning=reason == "Degraded"))
    sink.close()
    assert until(lambda: len(server.objects("events.k8s.io", "Event", NAMESPACE)) == 2)
    told = events.gathered(client(server), NAMESPACE, "")
    assert [(one.type, one.reason, one.about) for one in told] == [
        ("Warning", "Degraded", "team-a"),
        ("Normal", "Ready", "team-a"),
    ]
    (first, *_) = server.objects("events.k8s.io", "Event", NAMESPACE)
    assert first["regarding"]["uid"] == live["metadata"]["uid"]
    lines = events.rendered(told, NOW)
    assert lines[0].split() == ["AGE", "TYPE", "REASON", "ABOUT", "MESSAGE"] and lines[2].split()[1] == "Normal"
    assert "\x1b" not in "".join(lines)
    assert events.gathered(client(server), NAMESPACE, "team-b") == []


@pytest.mark.parametrize("bad", [None, 7, ["x"], {"a": 1}, "x\x1b" * 3000])
def test_a_hostile_event_is_one_bounded_line(bad: Any) -> None:
    item: Mapping[str, Any] = {
        "metadata": {},
        "regarding": bad,
        "note": bad,
        "series": bad,
        "reason": bad,
        "eventTime": bad,
    }
    one = events.event(item)
    assert len(str(one)) < 4000 and str(one).isprintable()


# logs


ENTRY = {
    "time": "2026-11-26T10:00:01.234Z", "event": "Configured", "cluster": "team-a", "layer": "web/base", "level": "warning",
    "object": "ConfigMap/web/x", "revision": REVISION, "message": "ConfigMap/web/x configured: data.text",
}  # fmt: skip


def test_an_entry_is_a_line_for_people() -> None:
    assert log.readable(ENTRY) == (
        "10:00:01.234 WARNING Configured team-a web/base: ConfigMap/web/x configured: data.text  (revision=main@aaaaaaa)"
    )
    assert log.readable({"event": "x\x1b", "n": 1}) == "- x\\u001b  (n=1)"
    assert log.readable({}) == "- -"


def test_lines_of_another_form_stay_and_clusters_are_chosen() -> None:
    found = [json.dumps(ENTRY), "plain\x1b[2J", "[1]", "", json.dumps({"event": "Bug", "subject": "team-b"})]
    assert list(logs.lines(found, "", "text")) == [
        log.readable(ENTRY),
        "plain\\u001b[2J",
        "[1]",
        "- Bug  (subject=team-b)",
    ]
    assert list(logs.lines(found, "team-b", "json")) == [found[-1]]


def test_the_log_of_a_pod_is_read_line_by_line(server: Server) -> None:
    spec = {"containers": [{"name": "nidus", "image": "x"}]}
    meta = {"name": "nidus-0", "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": "nidus"}}
    server.put({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    server.logs[NAMESPACE, "nidus-0"] = (json.dumps(ENTRY) + "\nplain\n").encode()
    found = podlog.read(client(server), NAMESPACE, "nidus-0", since=60.0, follow=False)
    assert list(logs.lines(found, "", "text")) == [log.readable(ENTRY), "plain"]


def test_a_file_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"
    file.write_text(json.dumps(ENTRY) + "\n")
    assert logs.run(argparse.Namespace(file=str(file), follow=False, cluster="", output="text")) == 0
    assert capsys.readouterr().out == log.readable(ENTRY) + "\n"
