"""Webhooks through a whole controller over a server in memory: which refs wake it, bursts, kills, and the log of deliveries."""

import http.client
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.controller import listeners
from reconciler.controller.service import Service
from reconciler.errors import UsageError
from reconciler.model import ForgeConfig, SourceConfig, WebhookConfig
from tests.memory.failures import LOST, REFUSED, Call, Failure
from tests.test_service import House, get, house, metric, server
from tests.waiting import eventually, until
from webhook.forges import FORGES, Delivery

__all__ = ["house", "server"]
SECRET = b"a secret of at least thirty-two bytes"
MAIN = Delivery("push", ("refs/heads/main",))


def configured(folder: Path, provider: str = "generic") -> WebhookConfig:
    file = folder / "secret"
    file.write_bytes(SECRET)
    return WebhookConfig(provider, (str(file),))


def deliver(port: int, told: Delivery = MAIN, provider: str = "generic", **headers: str) -> int:
    """The status code of the answer; 0 where none came."""
    head, body = FORGES[provider].compose(told)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/webhook/platform", body, head | FORGES[provider].sign(body, SECRET, 0.0) | headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def rested(service: Service) -> None:
    assert until(lambda: service.reporter.statuses.waiting() == 0)


def syncs(service: Service) -> float:
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in get(service, "/metrics")[1].splitlines()
        if line.startswith("nidus_source_syncs_total{") and 'trigger="webhook"' in line
    )


def log_of(service: Service) -> dict[str, Any]:
    return dict(json.loads(get(service, "/api/v1/webhooks")[1])["webhooks"][0])


def mark(house: House) -> str:
    found = house.server.get("nidus.dev", "Source", "nidus-system", "platform") or {"metadata": {}}
    return str((found["metadata"].get("annotations") or {}).get("nidus.dev/requested", ""))


# Which deliveries wake


@pytest.mark.parametrize("provider", ["github", "gitlab", "bitbucket-server", "azure-devops"])
def test_only_a_push_to_its_branch_wakes_a_source(house: House, tmp_path: Path, provider: str) -> None:
    """Of whatever else a forge sends, tags and branches of a similar name included, nothing is stored and nobody wakes."""
    service = house.leads(webhook=configured(tmp_path, provider))
    others = ("refs/heads/other", "refs/tags/main", "refs/heads/main2", "refs/heads/x/main", "refs/pull/1/head")
    for ref in others:
        if provider == "bitbucket-server" or not ref.startswith("refs/pull"):
            assert deliver(service.ports["webhook"], Delivery("push", (ref,)), provider) == 200
    for told in (Delivery("change", number=7), Delivery("comment", number=7)):
        assert deliver(service.ports["webhook"], told, provider) == 200  # no forge is configured to ask about them
    assert (mark(house), syncs(service)) == ("", 0)
    assert deliver(service.ports["webhook"], MAIN, provider) == 202
    assert until(lambda: syncs(service) == 1) and mark(house)


def test_a_branch_among_many_refs_wakes_its_source(house: House, tmp_path: Path) -> None:
    service = house.leads(webhook=configured(tmp_path))
    assert (
        deliver(service.ports["webhook"], Delivery("push", ("refs/tags/v1", "refs/heads/x", "refs/heads/main"))) == 202
    )
    assert until(lambda: syncs(service) == 1)


def test_the_log_says_what_became_of_each_delivery(house: House, tmp_path: Path) -> None:
    service = house.leads(webhook=configured(tmp_path))
    commit = house.work.commit({"README.md": "pushed\n"})
    assert deliver(service.ports["webhook"], Delivery("push", ("refs/heads/other",))) == 200
    assert deliver(service.ports["webhook"]) == 202
    assert deliver(service.ports["webhook"], X_Nidus_Signature="") == 202  # another field: no header has underscores
    assert deliver(service.ports["webhook"], **{"X-Nidus-Signature": "sha256=" + "0" * 64}) == 401
    eventually(lambda: all(one["revision"] for one in log_of(service)["deliveries"][1:]))
    found = log_of(service)
    assert [(one["kind"], one["refs"], one["verdict"]) for one in found["deliveries"]] == [
        ("push", ["refs/heads/other"], "nothing to do"),
        ("push", ["refs/heads/main"], "marked"),
        ("push", ["refs/heads/main"], "marked"),
    ]
    assert {one["revision"] for one in found["deliveries"][1:]} == {f"main@sha1:{commit}"}
    assert (found["path"], found["provider"], found["problem"]) == ("/webhook/platform", "generic", "")
    assert found["refused"]["count"] == 1


def test_change_requests_are_marked_where_a_forge_can_be_asked(house: House, tmp_path: Path) -> None:
    """By a mark of their own, which begins no sync. The forge that does not answer holds up no delivery."""
    token = tmp_path / "token"
    token.write_text("t")
    forge = ForgeConfig("github", "http://127.0.0.1:9", "acme/platform", str(token))
    service = house.leads(webhook=configured(tmp_path, "github"), forge=forge)
    marks = []
    for told in (Delivery("change", number=7), Delivery("comment", number=7)):
        assert deliver(service.ports["webhook"], told, "github") == 202
        found = house.server.get("nidus.dev", "Source", "nidus-system", "platform") or {}
        marks.append(int(found["metadata"]["annotations"]["nidus.dev/changes"]))
    assert 0 < marks[0] < marks[1]
    assert (mark(house), syncs(service)) == ("", 0)
    entries = log_of(service)["deliveries"]
    assert [(one["kind"], one["number"], one["verdict"], one["revision"]) for one in entries] == [
        ("change", 7, "marked", ""),
        ("comment", 7, "marked", ""),
    ]


def test_two_deliveries_that_differ_in_what_is_ignored_do_the_same(house: House, tmp_path: Path) -> None:
    """Also where one names other commits, addresses and paths (W2)."""
    service = house.leads(webhook=configured(tmp_path, "github"))
    cases = json.loads((Path(__file__).parent / "webhook/payloads/github.json").read_text())
    push = next(case["body"] for case in cases if case["name"] == "a push to a branch")
    told = []
    for body in (
        push,
        {**push, "after": "f" * 40, "repository": {"clone_url": "ext::sh -c x"}, "commits": [{"added": ["/etc/x"]}]},
    ):
        data = json.dumps(body).encode()
        head = {
            "X-GitHub-Event": "push",
            "Content-Type": "application/json",
            **FORGES["github"].sign(data, SECRET, 0.0),
        }
        before, known = syncs(service), service.reporter.generation("platform")
        connection = http.client.HTTPConnection("127.0.0.1", service.ports["webhook"], timeout=60)
        connection.request("POST", "/webhook/platform", data, head)
        answer = connection.getresponse()
        text = answer.read()
        assert until(lambda known=known: service.reporter.generation("platform") > known)  # type: ignore[misc]
        rested(service)
        entry = log_of(service)["deliveries"][-1]
        told.append((answer.status, text, syncs(service) - before, entry["refs"], entry["verdict"], entry["revision"]))
    assert told[0] == told[1] and told[0][0] == 202


def test_two_sources_may_not_have_one_route() -> None:
    webhook = WebhookConfig("generic", ("/nowhere/secret",), suffix="b")
    sources = [
        SourceConfig("a", "x", webhook=webhook),
        SourceConfig("ab", "y", webhook=WebhookConfig("generic", ("/nowhere/s",))),
    ]
    with pytest.raises(UsageError, match="a and ab"):
        listeners.webhooks(sources)


def test_a_route_without_a_good_secret_says_so(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "short"
    file.write_text("short")
    service = house.leads(webhook=WebhookConfig("generic", (str(file),)))
    assert deliver(service.ports["webhook"]) == 404
    problem = (
        f"no good secret: {file} has 5 bytes, at least 32 are needed; the route is closed, deliveries are answered 404"
    )
    assert log_of(service)["problem"] == problem
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "WebhookSecret" in line]
    assert [(one["source"], one["message"], one["level"]) for one in lines] == [("platform", problem, "warning")]


def test_nothing_of_a_stranger_is_in_the_log_of_the_process(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    service = house.leads(webhook=configured(tmp_path))
    capsys.readouterr()
    for number in range(30):
        connection = http.client.HTTPConnection("127.0.0.1", service.ports["webhook"], timeout=60)
        head = {"X-Nidus-Signature": f"STRANGER-{number}", "User-Agent": "STRANGER", "X-Forwarded-For": "STRANGER"}
        connection.request("POST", f"/webhook/{'platform' if number % 2 else 'STRANGER'}?STRANGER", b"STRANGER", head)
        assert connection.getresponse().status in (401, 404, 429)
        connection.close()
    for garbage in (b"STRANGER\r\n\r\n", b"POST /STRANGER HTTP/1.1\r\nContent-Length: STRANGER\r\n\r\n"):
        with contextmanager(_connected)(service.ports["webhook"]) as sock:
            sock.sendall(garbage)
            sock.recv(4096)
    out, err = capsys.readouterr()
    assert "STRANGER" not in out + err + caplog.text + json.dumps(log_of(service))


def _connected(port: int) -> Iterator[Any]:
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        yield sock


# Bursts


MARKS = 6
"""Deliveries that wait for one write share the next, and while a mark waits for its sync nothing is written: three for a sync at most, the
second and third for deliveries that asked just before the one before it was stored."""


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_a_burst_of_deliveries_is_at_most_two_syncs(house: House, tmp_path: Path, count: int) -> None:
    service = house.leads(webhook=configured(tmp_path))
    assert service.sources is not None
    house.server.log.clear()
    with service.sources.following[
        "platform"
    ].mirror._lock:  # a fetch that lasts: how fast this machine is makes no difference
        with ThreadPoolExecutor(16) as senders:
            answers = list(senders.map(lambda _: deliver(service.ports["webhook"]), range(count)))
        assert until(lambda: syncs(service) == 1)
    assert answers == [202] * count
    assert until(lambda: service.reporter.generation("platform") >= int(mark(house)))
    rested(service)
    assert 1 <= syncs(service) <= 2
    marks = [
        call for call in house.server.log if call.verb == "apply" and call.kind == "Source" and not call.subresource
    ]
    assert 1 <= len(marks) <= MARKS


# Kills


@dataclass(slots=True)
class Replica:
    """A controller in a process of its own, which waits for the Lease."""

    process: Any
    port: int


def _replica(kubeconfig: str, folder: str, url: str, found: Any) -> None:
    """The process: a standby, which stores the sync requests of its webhook."""
    from reconciler.model import ControllerSpec, EngineConfig, HostConfig, LeaseConfig, ServerConfig
    from reconciler.settings import Settings
    from tests.spec_cases import RULES

    spec = ControllerSpec(
        sources=(SourceConfig("platform", url, interval="1h", webhook=configured(Path(folder))),),
        engine=EngineConfig(versions=()),
        host=HostConfig(kubeconfig=kubeconfig),
        server=ServerConfig(internal="127.0.0.1:0", webhook="127.0.0.1:0"),
        lease=LeaseConfig(duration="10s"),
    )
    service = Service(Settings(spec, RULES.engines, {}, Path(folder) / "data", "replica", False, "nidus-system:nidus"))
    threading.Thread(target=service.start, daemon=True).start()
    assert until(lambda: hasattr(service, "internal_port"), 60)
    found.send(service.ports["webhook"])
    signal.pause()


@contextmanager
def replica(house: House, folder: Path) -> Iterator[Replica]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    folder.mkdir()
    process = context.Process(
        target=_replica, args=(str(house.kubeconfig), str(folder), str(house.work.folder), theirs), daemon=True
    )
    process.start()
    try:
        assert ours.poll(60)
        yield Replica(process, ours.recv())
    finally:
        process.kill()
        process.join(60)


@pytest.mark.parametrize(
    ("failure", "answered", "stored"),
    [(REFUSED, 0, False), (LOST, 0, True), (None, 202, True)],
    ids=["before the mark", "after the mark", "after the answer"],
)
def test_a_kill_anywhere_loses_no_accepted_delivery(
    house: House, tmp_path: Path, failure: Failure | None, answered: int, stored: bool
) -> None:
    """A standby takes the delivery and is killed (SIGKILL); whatever it answered 202 to, the leader does. What it did not store it did
    not accept either: the forge sees a failed delivery."""
    leader = house.leads(webhook=configured(tmp_path))
    with replica(house, tmp_path / "replica") as other:
        rested(leader)
        commit = house.work.commit({"README.md": "pushed\n"})

        def kill(call: Call) -> Failure | None:
            if failure is None or call.verb != "apply" or call.kind != "Source" or call.subresource:
                return None
            os.kill(other.process.pid, signal.SIGKILL)
            other.process.join(60)
            return failure

        house.server.choosers.append(kill)
        assert deliver(other.port) == answered
        other.process.kill()
        house.server.heal()
        assert bool(mark(house)) is stored
        if stored:
            assert until(lambda: commit in leader.reporter.sources["platform"].revision)
            assert leader.reporter.sources["platform"].trigger == "webhook"
        assert metric(leader, "nidus_leader") == 1.0
