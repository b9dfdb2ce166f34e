"""`nidus why` and `nidus wait` over what passes of the product wrote: crash loops, holds, dependencies, dead API servers."""

import argparse
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.__main__ import main
from reconciler.errors import ApiError
from reconciler.memory import SOON
from reconciler.report import bodies
from reconciler.report.view import SourceView
from reconciler.verbs import seen, sync, wait, why
from tests.answering import kubeconfig
from tests.documents import cluster, config_map, pack, profile
from tests.memory.failures import answer, on
from tests.memory.http import Front
from tests.memory.server import Server
from tests.passes import HOME, START, Fleet
from tests.shell import client

IMAGE = "ghcr.io/x/y:1"
LABELS = {"app": "shop"}
SHOP = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop"},
    "spec": {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "app", "image": IMAGE}]}},
    },
}
MORE = pack("more", config_map("after"), dependsOn=["base"])


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.close()


def pushed(fleet: Fleet, *packs: Mapping[str, Any], **spec: Any) -> None:
    fleet.push({"p.yaml": profile(*packs), "a.yaml": cluster("a", **spec)})
    fleet.run()


def told(fleet: Fleet, form: str = "tree") -> str:
    """What `nidus why a` prints; ages differ from run to run."""
    assert fleet.reporter.statuses.settle(60.0)
    text = why.text(client(fleet.host), HOME, "a", form)
    return re.sub(r"\b\d+[smhd]\b", "AGE", text)


def crash(nested: Server) -> None:
    """What a cluster does of a Deployment whose container ends at once."""
    (made,) = nested.objects("apps", "Deployment", "web")
    uid, stamp = made["metadata"]["uid"], made["metadata"]["creationTimestamp"]
    nested.put({**made, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}}, subresource="status")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": uid, "controller": True}
    meta = {"name": "shop-6f9", "namespace": "web", "labels": LABELS, "ownerReferences": [owner]}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": made["spec"]}
    body["spec"] = {key: body["spec"][key] for key in ("selector", "template")} | {"replicas": 1}
    replicas = nested.put(body)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-6f9", "uid": replicas["metadata"]["uid"]}
    meta = {"name": "shop-6f9-x", "namespace": "web", "labels": LABELS, "ownerReferences": [owner]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": SHOP["spec"]["template"]["spec"]}  # type: ignore[index]
    nested.put(pod)
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": stamp, "startedAt": stamp}}
    container = {"name": "app", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 5}
    status = {"phase": "Running", "containerStatuses": [{**container, "state": state, "lastState": last}]}
    nested.put({**pod, "status": status}, subresource="status")


def test_a_crash_loop_is_told_down_to_the_pod(fleet: Fleet) -> None:
    pushed(fleet, pack("base", SHOP), MORE)
    crash(fleet.nested["a"])
    fleet.queue.add("a")
    fleet.run(seconds=1.0)
    message = (
        f"Deployment web/shop 0/1: pod shop-6f9-x CrashLoopBackOff (5 restarts), image {IMAGE}: ended with exit code 1"
    )
    assert fleet.layer("a", "web/base").message == message
    assert told(fleet).split("\n") == [
        "a  Provisioning for AGE",
        "  controller  none holds the Lease: nothing is reconciled until one runs",
        "  commit      main@sha1:0000000",
        "  commit      none is wholly applied yet",
        "  blocked     layer web/base on local/a InProgress for AGE",
        "    Deployment web/shop 0/1 for AGE",
        "      ReplicaSet web/shop-6f9 0/1 for AGE",
        f"        Pod web/shop-6f9-x CrashLoopBackOff for AGE (5 restarts), image {IMAGE}: ended with exit code 1",
        "  waits       layer web/more: waits for web/base",
        "  unknown     who wrote the commit: the source was not read at it since the controller started",
        "  unknown     the state of source platform: there is no such Source",
    ]
    assert '"restarts": 5' in told(fleet, "json") and "restarts: 5" in told(fleet, "yaml")


def test_what_the_server_refused_is_the_reason_and_not_what_runs_since_before(fleet: Fleet) -> None:
    pushed(fleet, pack("base", SHOP))
    crash(fleet.nested["a"])
    fleet.nested["a"].fail(
        answer(422, message=".imgae: field not declared in schema"), on("apply", kind="Deployment"), times=100
    )
    changed = {**SHOP, "spec": {**SHOP["spec"], "replicas": 2}}  # type: ignore[dict-item]
    pushed(fleet, pack("base", changed), profiles=[{"name": "web", "version": "1.x"}])
    assert ".imgae: field not declared in schema" in fleet.layer("a", "web/base").message
    assert ".imgae: field not declared in schema" in told(fleet) and "CrashLoopBackOff" not in told(fleet)


def test_what_happens_below_an_object_is_seen_although_nothing_tells_of_it(fleet: Fleet) -> None:
    """A container that ends at once: its Deployment says the same before and after."""
    pushed(fleet, pack("base", SHOP))
    crash(fleet.nested["a"])
    fleet.run(seconds=SOON)
    assert "CrashLoopBackOff" in told(fleet)


def test_a_container_that_was_ready_for_a_moment_is_looked_at_again(fleet: Fleet) -> None:
    """Nothing tells of what happens inside once a layer is Current."""
    pushed(fleet, pack("base", SHOP))
    nested = fleet.nested["a"]
    (live,) = nested.objects("apps", "Deployment", "web")
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    nested.put({**live, "status": {"observedGeneration": 1, **counts}}, subresource="status")
    fleet.queue.add("a")
    fleet.run(seconds=1.0)
    assert fleet.word("a") == "Ready"
    crash(nested)
    fleet.run(seconds=SOON)
    assert fleet.word("a") != "Ready" and "CrashLoopBackOff" in told(fleet)


def test_what_stays_as_it_is_is_read_ever_more_seldom(fleet: Fleet) -> None:
    pushed(fleet, pack("base", SHOP))
    crash(fleet.nested["a"])
    fleet.nested["a"].log.clear()
    fleet.run(passes=200, seconds=1200.0)
    reads = [call for call in fleet.nested["a"].log if call.verb == "list" and call.kind == "ReplicaSet"]
    assert 5 < len(reads) <= 20


def test_nothing_is_read_below_what_is_current(fleet: Fleet) -> None:
    pushed(fleet, pack("base", config_map("one")))
    assert fleet.word("a") == "Ready"
    fleet.nested["a"].log.clear()
    fleet.queue.add("a")
    fleet.run(seconds=1.0)
    assert fleet.nested["a"].log and not [call for call in fleet.nested["a"].log if call.verb == "list"]


def test_what_is_held_is_told_with_how_to_approve(fleet: Fleet) -> None:
    pushed(fleet, pack("base", config_map("one")))
    fleet.nested["a"].put({**config_map("two", mine="yes"), "metadata": {"name": "two", "namespace": "web"}})
    pushed(fleet, pack("base", config_map("one"), config_map("two")))
    text = told(fleet)
    assert "a  Held for AGE" in text
    assert "  held        ConfigMap/web/two: NotOwner" in text


def test_a_dead_api_server_is_told_with_what_was_known(fleet: Fleet) -> None:
    pushed(fleet, pack("base", config_map("one")))
    fleet.down.add("a")
    fleet.queue.add("a")
    fleet.run(seconds=1.0)
    text = told(fleet)
    assert "a refused the connection" in text
    assert "  unknown     the state inside: its API server does not answer" in text


def test_layers_are_shown_while_suspended_as_they_were(fleet: Fleet) -> None:
    pushed(fleet, pack("base", config_map("one")))
    before = fleet.reporter.clusters["a"].layers
    fleet.ask("suspend", "a")
    fleet.run()
    after = fleet.reporter.clusters["a"]
    assert after.word == "Suspended" and after.layers == before and after.seen
    assert "  next        to go on: nidus resume a, or a commit where its file says suspend" in told(fleet)


# wait


def ended(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], word: str = "Ready", timeout: float = 1.0
) -> tuple[int, str]:
    assert fleet.reporter.statuses.settle(60.0)
    code = wait.follow(client(fleet.host), HOME, ["a"], timeout, word)
    return code, re.sub(r"\b\d+[smhd]\b", "AGE", capsys.readouterr().out).splitlines()[-1]


def test_a_wait_ends_at_ready(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    pushed(fleet, pack("base", config_map("one")))
    assert ended(fleet, capsys) == (0, "a Ready at main@sha1:0000000 (after AGE)")
    assert ended(fleet, capsys, "Gone", 0.0) == (1, "not Gone within AGE: a Ready")


def test_a_wait_ends_at_what_does_not_pass_by_itself(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    pushed(fleet, pack("base", config_map("one")))
    fleet.ask("suspend", "a")
    fleet.run()
    code, text = ended(fleet, capsys, timeout=600.0)
    assert code == 1 and text.startswith("a Suspended: ") and "nidus resume a" in text


def test_a_wait_ends_with_what_it_last_saw(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    pushed(fleet, pack("base", SHOP))
    code, text = ended(fleet, capsys, timeout=0.0)
    assert code == 1 and text.startswith("not Ready within AGE: a Provisioning: web/base: Deployment.apps/web/shop: ")


def test_a_wait_outlives_a_server_that_does_not_answer(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "PAUSE", 0.0)
    pushed(fleet, pack("base", config_map("one")))
    assert fleet.reporter.statuses.settle(60.0)
    fleet.host.fail(answer(503), on("list", kind="NestedCluster"))
    assert wait.follow(client(fleet.host), HOME, ["a"], 600.0) == 0
    out, err = capsys.readouterr()
    assert out.startswith("a Ready at ") and err.endswith("; trying again\n")
    fleet.host.fail(answer(403), on("list", kind="NestedCluster"))
    with pytest.raises(ApiError, match="chosen by the test"):
        wait.follow(client(fleet.host), HOME, ["a"], 600.0)


def test_a_cluster_that_is_gone(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ended(fleet, capsys, "Gone")
    assert (code, text) == (0, "a is gone (after AGE)")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_wait_tells_programs_in_one_document(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
) -> None:
    pushed(fleet, pack("base", config_map("one")))
    assert fleet.reporter.statuses.settle(60.0)
    with Front(fleet.host) as front:
        where = ["-o", form, "--kubeconfig", str(kubeconfig(tmp_path, front.url)), "-n", HOME]
        assert main(["wait", "a", *where]) == 0
        good = yaml.safe_load(capsys.readouterr().out)
        assert main(["wait", "a", "--for", "Held", "--timeout", "1s", *where]) == 1
        bad = yaml.safe_load(capsys.readouterr().out)
    assert (good["for"], good["ok"], good["clusters"][0]["status"]) == ("Ready", True, "Ready")
    assert good["clusters"][0]["message"].startswith("a Ready at ")
    assert (bad["ok"], bad["clusters"]) == (
        False,
        [{"name": "a", "status": "Ready", "ok": False, "over": False, "message": "a Ready"}],
    )


def test_a_wait_begins_before_the_controller_has_told_anything(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`nidus run` in one terminal, `nidus wait` at once in the other."""
    with Front(fleet.host) as front:
        where = ["a", "--kubeconfig", str(kubeconfig(tmp_path, front.url)), "-n", HOME]
        codes: list[int] = []
        waiting = threading.Thread(target=lambda: codes.append(main(["wait", *where])))
        waiting.start()
        source(fleet.host, 1, "main@sha1:" + "f" * 40, "a")
        pushed(fleet, pack("base", config_map("one")))
        waiting.join(60.0)
        assert codes == [0]
        assert main(["wait", *where[1:], "other"]) == 1
    assert "no nested cluster other" in capsys.readouterr().err


def test_ages_of_a_hostile_status_say_nothing() -> None:
    assert seen.ago("tomorrow", START) == seen.ago("", START) == ""


# sync --wait


def source(host: Server, generation: int, revision: str, *changing: str, error: str = "") -> None:
    """What the controller tells of a source."""
    told = SourceView("platform", revision=revision, generation=generation, changing=changing, error=error)
    spec, status = bodies.source(told)
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": {"name": "platform", "namespace": HOME}}
    host.apply({**head, "spec": spec})
    host.apply({**head, "status": status}, subresource="status")


def synced(fleet: Fleet, capsys: pytest.CaptureFixture[str], timeout: float = 0.2) -> tuple[int, str]:
    """What `nidus sync --wait` says once it asked for generation 7."""
    assert fleet.reporter.statuses.settle(60.0)
    args = argparse.Namespace(namespace=HOME, name="", timeout=timeout)
    code = sync._followed(client(fleet.host), args, {"platform": 7})
    return code, re.sub(r"\b\d+[smhd]\b", "AGE", capsys.readouterr().out).strip()


def test_a_sync_waits_for_what_its_commit_changes(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    pushed(fleet, pack("base", config_map("one")))
    now = fleet.reporter.clusters["a"].attempted
    source(fleet.host, 6, now)
    assert synced(fleet, capsys) == (1, "not synced within AGE; nidus status tells more")
    source(fleet.host, 7, "main@sha1:" + "f" * 40, "a")  # a is Ready, but as the commit before had it
    assert synced(fleet, capsys) == (1, "not Ready within AGE: a Ready at main@sha1:0000000")
    source(fleet.host, 7, now, "a")
    assert synced(fleet, capsys) == (0, "a Ready at main@sha1:0000000 (after AGE)")
    source(fleet.host, 7, now, error="Unavailable: no answer")
    code, text = synced(fleet, capsys)
    assert code == 1 and text.startswith("source platform: Unavailable: no answer\n")


def test_the_registry_says_what_a_commit_changes_until_it_is_ready(fleet: Fleet) -> None:
    fleet.push({"p.yaml": profile(pack("base", config_map("one"))), "a.yaml": cluster("a"), "b.yaml": cluster("b")})
    assert fleet.registry.changing("platform") == ("a", "b")
    fleet.run()
    assert fleet.registry.changing("platform") == ()
