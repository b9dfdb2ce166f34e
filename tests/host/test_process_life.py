"""The life of the process: ends, successors, rivals, marks (H1, H2, W3)."""

import hashlib
import hmac
import http.client
import json
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from devhost import stage
from devhost.ports import free_port
from reconciler.model import replace
from tests.host.field import Field, config_map, namespace, nested_cluster, profile

pytestmark = pytest.mark.host

CREDENTIAL = "authentication.kubernetes.io/credential-id"


def one_cluster(field: Field, suffix: str = "a", text: str = "one") -> str:
    """A cluster with a ConfigMap inside; returns its name."""
    objects = [namespace(), config_map("greeting", text=text)]
    field.write("profiles/web.yaml", profile("web", "1.0.0", [{"name": "web", "manifests": {"objects": objects}}]))
    name = field.cluster(suffix)
    field.write(f"clusters/{suffix}.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.0.0"}]))
    return name


def greeting(field: Field, name: str) -> str:
    found = field.inside(name).get("v1", "ConfigMap", "greeting", f"{name}-web")
    return str(found["data"]["text"]) if found else ""


def test_sigterm_in_the_middle(shared_field: Field) -> None:
    """It leaves in time with code 0, gives the Lease back, and the next start ends where an undisturbed run ends (H2)."""
    field = shared_field
    names = [one_cluster(field, suffix) for suffix in "abcd"]
    field.push()
    controller = field.start()
    field.until("it has begun to write", lambda: len(field.writes()) > 12)
    assert controller.stop() == 0
    lease = field.admin.get("coordination.k8s.io/v1", "Lease", "nidus", field.account.namespace)
    assert lease and not lease["spec"].get("holderIdentity")
    assert controller.lines()[-1]["event"] == "Stopped"
    assert "Bug" not in {line["event"] for line in controller.lines()}
    field.start()
    for name in names:
        field.wait(name)
        assert {entry.state for entry in field.entries(name)} == {"owned"}


def rival(field: Field) -> stage.Controller:
    """A second controller of the same configuration, with its own ports, disk and token."""
    folder = field.stage.folder / "rival"
    folder.mkdir()
    webhook, internal = free_port(), free_port()
    config = yaml.safe_load(field.stage.config.read_text())
    config["spec"]["files"] = str(field.stage.folder)  # where the secret of the webhook lies
    config["spec"]["server"] = {"webhook": f"127.0.0.1:{webhook}", "internal": f"127.0.0.1:{internal}"}
    (folder / "nidus.yaml").write_text(yaml.safe_dump(config))
    other = replace(field.stage, folder=folder, config=folder / "nidus.yaml", webhook=webhook, internal=internal)
    kubeconfig = stage.sign_in(
        field.account.hosted.host, field.admin, folder / "kubeconfig", namespace=field.account.namespace
    )
    return stage.start(other, kubeconfig, namespace=field.account.namespace)


def writers(field: Field, since: Any) -> Counter[str]:
    """How often each token wrote, renewals of the Lease and events apart."""
    return Counter(event["user"]["extra"][CREDENTIAL][0] for event in field.writes(since))


@pytest.mark.long
def test_only_the_leader_writes_and_another_takes_over(shared_field: Field) -> None:
    """A standby writes nothing but marks; a leader stopped for longer than its Lease writes nothing more and ends (H1, F17)."""
    field = shared_field
    name = one_cluster(field)
    field.push()
    leader = field.start()
    standby = rival(field)
    try:
        field.wait(name)
        field.until("the standby waits", lambda: answers(standby, "/healthz") == (200, "ok"))
        field.until("the standby is as ready as the leader", lambda: answers(standby, "/readyz") == (200, "ok"))
        assert not standby.leads()
        assert len(writers(field, field.account.audit)) == 1
        field.until("the standby stores marks", lambda: deliver(field, standby.stage.webhook) == 202)
        leader.process.send_signal(signal.SIGSTOP)
        field.until("the standby leads", standby.leads)
        since = field.account.audit.now()
        leader.process.send_signal(signal.SIGCONT)
        assert leader.process.wait(60) == 70
        one_cluster(field, text="two")
        commit = field.push("after the change of hands")  # its hook finds nobody: the dead leader's webhook
        assert deliver(field, standby.stage.webhook) == 202
        field.wait_applied(name, commit)
        assert greeting(field, name) == "two"
        assert len(writers(field, since)) == 1
        assert [line["event"] for line in leader.lines()][-1] == "Exiting"
    finally:
        standby.kill()


def answers(controller: stage.Controller, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", controller.stage.internal, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def deliver(field: Field, port: int, ref: str = "refs/heads/main") -> int:
    """One signed delivery, as GitHub sends it; the status code, 0 where nobody answers."""
    body = json.dumps({"ref": ref}).encode()
    key = (field.stage.folder / "webhook-secret").read_bytes().strip()
    signature = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/webhook/platform", body, headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def syncs(controller: stage.Controller) -> float:
    lines = str(controller.get("/metrics")).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("nidus_source_syncs_total{"))


@pytest.mark.long
def test_a_burst_of_deliveries_is_two_syncs(shared_field: Field) -> None:
    """All are accepted, none is refused for its rate, and each sync answers marks of its own (W3, G8).

    How many marks a machine stores apart from each other is its own affair; tests/test_wake.py holds what comes of a burst.
    """
    field = shared_field
    controller = field.start()
    field.quiet()
    before, audit = syncs(controller), field.account.audit.now()
    with ThreadPoolExecutor(16) as pool:
        codes = Counter(pool.map(lambda _: deliver(field, field.stage.webhook), range(1000)))
    assert codes == {202: 1000}
    marks = field.admin.get("nidus.dev/v1alpha1", "Source", "platform", field.account.namespace)
    assert marks
    wanted = int(marks["metadata"]["annotations"]["nidus.dev/requested"])
    field.until("the last mark is answered", lambda: field.source().get("generation", 0) >= wanted)
    stored = [event for event in field.writes(audit) if event["objectRef"]["resource"] == "sources"]
    marks_stored = [event for event in stored if not event["objectRef"].get("subresource")]
    assert 1 <= syncs(controller) - before <= 1 + len(marks_stored)


@pytest.mark.long
def test_a_mark_outlives_the_process(shared_field: Field) -> None:
    """kill -9 after the 202, before the fetch: the next start answers the mark (W3)."""
    field = shared_field
    controller = field.start()
    field.quiet()
    mark = threading.Thread(target=lambda: codes.append(deliver(field, field.stage.webhook)))
    codes: list[int] = []
    (field.stage.repository.bare / "hooks" / "post-receive").unlink()
    mark.start()
    mark.join()
    controller.kill()
    assert codes == [202]
    commit = field.push("while nobody listened")
    source = field.admin.get("nidus.dev/v1alpha1", "Source", "platform", field.account.namespace)
    assert source
    wanted = int(source["metadata"]["annotations"]["nidus.dev/requested"])
    field.start()
    field.wait_read(commit)
    field.until("the mark is answered", lambda: field.source()["generation"] >= wanted)


@pytest.mark.long
def test_a_resync_asked_for_is_done_once(shared_field: Field) -> None:
    """The mark of `nidus sync` is answered once, not again at every start."""
    field = shared_field
    controller = field.start()
    field.quiet()
    metadata = {
        "name": "platform",
        "namespace": field.account.namespace,
        "annotations": {"nidus.dev/resync": str(time.time_ns())},
    }
    field.admin.apply({"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": metadata}, manager="a-human")
    field.until("it is answered", lambda: field.source().get("trigger") == "sync")
    controller.stop()
    controller = field.start()
    field.push("one more commit, so that the status moves")
    field.until("the push was read", lambda: field.source().get("trigger") == "webhook")
    field.quiet()
    assert [line["trigger"] for line in controller.lines() if line["event"] == "SourceRead"].count("sync") == 0
