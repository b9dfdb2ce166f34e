"""The whole process over a server in memory: standbys, stops, requests, and what is remembered of the home cluster."""

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.controller import sync_requests, watches
from reconciler.controller.service import Service
from reconciler.errors import NidusError
from reconciler.inventory.store import Store
from reconciler.model import (
    ControllerSpec,
    DashboardConfig,
    EngineConfig,
    HostConfig,
    LeaseConfig,
    Outward,
    Prices,
    ServerConfig,
    SourceConfig,
    replace,
)
from reconciler.settings import Settings
from tests import installed
from tests.gateways import definitions
from tests.memory.failures import REFUSED, Call, answer, on
from tests.memory.http import Front
from tests.memory.server import Server
from tests.spec_cases import RULES
from tests.test_source_mirror import Work
from tests.waiting import until

NAMESPACE = "nidus-system"
PLAIN = {"README.md": "nothing of ours yet\n"}
RECORD = (
    '{"source":"platform","cluster":"NAME","host":"local","path":"clusters/NAME.yaml","branch":"main","commit":"",'
    '"digests":{},"nonce":"n1","born":1.0}'
)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(clock=time.time)
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for one in installed.kinds():
        made.put(one)
    yield made


@pytest.fixture
def house(server: Server, tmp_path: Path) -> Iterator["House"]:
    with Front(server) as front:
        made = House(server, front.url, tmp_path)
        yield made
        made.end()


class House:
    """Controllers of one configuration, with a repository `work` that says nothing yet."""

    def __init__(self, server: Server, url: str, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.work = Work(folder / "work")
        self.work.commit(PLAIN)
        self.kubeconfig = folder / "kubeconfig"
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        clusters = [{"name": "c", "cluster": {"server": url}}]
        body = {
            "clusters": clusters,
            "users": [{"name": "u", "user": {}}],
            "contexts": [context],
            "current-context": "c",
        }
        self.kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **body}))
        self.services: list[Service] = []
        self.threads: list[threading.Thread] = []
        self.errors: list[NidusError] = []

    def service(
        self,
        name: str = "one",
        *,
        first: tuple[SourceConfig, ...] = (),
        prices: Prices | None = None,
        server: ServerConfig | None = None,
        outward: Outward = Outward(),  # noqa: B008 (it is frozen)
        **source: Any,
    ) -> Service:
        """`first` are sources before the one of `work`."""
        spec = ControllerSpec(
            sources=(
                *first,
                SourceConfig(name="platform", url=str(self.work.folder), interval="1h", **source),
            ),
            engine=EngineConfig(versions=()),
            host=HostConfig(kubeconfig=str(self.kubeconfig)),
            server=server or ServerConfig(internal="127.0.0.1:0", webhook="127.0.0.1:0"),
            lease=LeaseConfig(duration="20s"),
            workers=2,
            prices=prices,
            notify=outward.notify,
            traces=outward.traces,
        )
        data = self.folder / name
        account = f"{NAMESPACE}:nidus"
        made = Service(Settings(spec, RULES.engines, {}, data, name, False, account))
        self.services.append(made)
        return made

    def start(self, service: Service) -> threading.Thread:
        """Start it without waiting for the Lease."""
        thread = threading.Thread(target=self._begin, args=(service,), daemon=True)
        self.threads.append(thread)
        thread.start()
        assert until(lambda: hasattr(service, "internal_port"))
        return thread

    def _begin(self, service: Service) -> None:
        try:
            service.start()
        except NidusError as error:
            self.errors.append(error)  # as `nidus run` would end with it

    def leads(self, name: str = "one", **source: Any) -> Service:
        """A controller that leads and has read its source."""
        made = self.service(name, **source)
        self.start(made).join(60)
        assert self.errors == []
        assert until(lambda: made.sources is not None and not made.sources.unread())
        return made

    def end(self) -> None:
        self.server.heal()
        for service in self.services:
            service.interrupt()
        for thread in self.threads:  # as in `nidus run`, nothing is stopped while it starts
            thread.join(60)
        for service in self.services:
            service.stop()

    def holder(self) -> str:
        lease = self.server.get("coordination.k8s.io", "Lease", NAMESPACE, "nidus") or {}
        return str((lease.get("spec") or {}).get("holderIdentity") or "")


def get(service: Service, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.internal_port}{path}", timeout=60) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metric(service: Service, name: str) -> float:
    lines = get(service, "/metrics")[1].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def record(server: Server, name: str, data: dict[str, str] | None = None) -> None:
    body = data or {"format": "1", "record": RECORD.replace("NAME", name), "shards": "1", "entries": "eJyLjgUAARUAuQ=="}
    labels = {"nidus.dev/state": "record", "nidus.dev/record-of": name}
    metadata = {"name": f"nidus-record-{name}", "namespace": NAMESPACE, "labels": labels}
    server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": body})


def request(server: Server, number: int, kind: str = "approve", **more: Any) -> None:
    """A request of a day, or what `more` says."""
    expires = datetime.now(UTC) + timedelta(days=1)
    spec = {"kind": kind, "who": "me", "consent": "d" * 64, "expires": expires.isoformat(), **more}
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Request"}
    server.put({**head, "metadata": {"name": f"r-{number}", "namespace": NAMESPACE}, "spec": spec})


# Standbys


def test_a_standby_is_ready_and_says_who_leads(house: House) -> None:
    first = house.leads("one")
    second = house.service("two")
    house.start(second)
    assert until(lambda: get(first, "/readyz") == (200, "ok"))
    assert until(lambda: get(second, "/readyz") == (200, "ok"))
    assert json.loads(get(second, "/api/v1/process")[1]) == {
        "identity": "two", "leader": False, "holder": "one", "waits": "the Lease", "confined": "not known yet",
    }  # fmt: skip
    assert (metric(first, "nidus_leader"), metric(second, "nidus_leader")) == (1.0, 0.0)
    first.stop()
    assert until(lambda: metric(second, "nidus_leader") == 1.0)
    assert until(lambda: json.loads(get(second, "/api/v1/process")[1])["waits"] == "")


def test_a_process_that_starts_or_stands_by_is_watched_too(house: House) -> None:
    """By the thread that ends a process whose loops do not move (H3)."""
    before = heartbeats()
    house.server.fail(REFUSED, times=None)
    house.start(house.service("one"))
    assert until(lambda: len(heartbeats() - before) == 1)
    house.server.heal()
    house.start(house.service("two"))  # one of them leads now, and the other stands by
    assert until(lambda: len(heartbeats() - before) == 2)


def heartbeats() -> set[threading.Thread]:
    """Those of other tests, which may be about to end, are told apart by what was there before."""
    return {one for one in threading.enumerate() if one.name == "heartbeat"}


def test_nobody_is_ready_before_the_host_answered(house: House) -> None:
    house.server.fail(REFUSED, times=None)
    one = house.service()
    house.start(one)
    assert get(one, "/readyz")[0] == 503
    assert get(one, "/healthz") == (200, "ok")
    house.server.heal()
    assert until(lambda: get(one, "/readyz") == (200, "ok"))


def test_a_right_that_its_roles_lack_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version comes before its roles on a host that serves a kind which the version before did not watch."""
    monkeypatch.setattr(watches, "SYNC_SECONDS", 3.0)
    for one in definitions():
        house.server.put(one)
    said = 'tlsroutes.gateway.networking.k8s.io is forbidden: User "nidus" cannot list resource "tlsroutes"'
    house.server.fail(answer(403, message=said), on("list", kind="TLSRoute"), times=None)
    house.start(house.service()).join(60)
    assert said in house.errors[0].message and "deploy/rbac.yaml" in house.errors[0].hint


# Stops


def test_a_stop_during_a_sync_ends_git_and_gives_the_lease_back(house: House) -> None:
    others = set(threading.enumerate())
    service = house.leads()
    assert service.sources is not None
    source = service.sources.following["platform"]
    (house.work.folder / ".git" / "packed-refs").unlink(missing_ok=True)
    os.mkfifo(house.work.folder / ".git" / "packed-refs")  # git waits for somebody to write it
    source.wake.up("poll")
    assert until(lambda: source.silent() > 0 and bool(gits(house.folder)))
    stopping = threading.Thread(target=service.stop)
    stopping.start()
    stopping.join(60)
    left, holder = gits(house.folder), house.holder()
    for git in left:
        os.kill(git, 9)  # else this test would wait for it at its end
    stopping.join(30)
    assert (left, holder) == ([], "")
    assert not [one.name for one in set(threading.enumerate()) - others if one.name == "source-platform"]


def test_a_source_whose_fetch_hangs_keeps_no_other_from_reading(house: House) -> None:
    """Before: whatever a pass read, it asked the sources in their order, and waited for the lock of one that fetched."""
    bad = Work(house.folder / "bad")
    bad.commit(PLAIN)
    service = house.leads(first=(SourceConfig(name="bad", url=str(bad.folder), interval="1h"),))
    assert service.sources is not None
    oid = house.work.git("rev-parse", "HEAD:README.md").strip()
    (bad.folder / ".git" / "packed-refs").unlink(missing_ok=True)
    os.mkfifo(bad.folder / ".git" / "packed-refs")  # its git waits for somebody to write it
    source = service.sources.following["bad"]
    source.wake.up("poll")
    assert until(lambda: source.silent() > 0 and bool(gits(house.folder)))
    found: list[dict[str, bytes]] = []
    reading = threading.Thread(target=lambda: found.append(service.sources.read("platform", [oid])), daemon=True)
    reading.start()
    reading.join(60)
    assert source.silent() > 0
    assert found == [{oid: PLAIN["README.md"].encode()}]


def gits(folder: Path) -> list[int]:
    """The gits that work below a folder: (as the mirror's owner, or serving it)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                place = str((entry / "cwd").readlink())
            except OSError:
                continue
            if words.startswith("git") and str(folder) in words + place and "cat-file" not in words:
                found.append(int(entry.name))
    return found


# Requests


def test_many_requests_are_few_lists_and_syncs(house: House) -> None:
    service = house.leads()
    assert until(lambda: metric(service, "nidus_source_syncs_total") == 1)
    before = set(threading.enumerate())
    house.server.log.clear()
    with house.server.core.lock:  # at once
        for number in range(400):
            request(house.server, number, who=f"person {number % 20}")
    assert until(lambda: len(service.registry.requests()) == 400)
    assert len(set(threading.enumerate()) - before) <= 2
    lists = [call for call in house.server.log if (call.verb, call.kind) == ("list", "Request")]
    assert len(lists) <= 2
    assert until(lambda: metric(service, "nidus_source_syncs_total") >= 2)
    assert metric(service, "nidus_source_syncs_total") <= 1 + 2


def test_old_approvals_make_no_sync_at_a_start(house: House) -> None:
    for number in range(400):
        request(house.server, number, who=f"person {number % 20}")
    service = house.leads()
    assert len(service.registry.requests()) == 400
    request(house.server, 400, kind="suspend", cluster="nobody")
    assert until(lambda: len(service.registry.requests()) == 401)  # everything before it was heard
    assert metric(service, "nidus_source_syncs_total") == 1


def test_requests_that_could_not_be_listed_are_listed_again(house: House) -> None:
    service = house.leads()
    house.server.fail(answer(500), on("list", kind="Request"), times=2)
    request(house.server, 1)
    assert until(lambda: len(service.registry.requests()) == 1)


def test_a_spent_request_whose_removal_failed_is_removed_again(house: House) -> None:
    record(house.server, "a")
    house.leads()
    house.server.fail(answer(500), on("delete", kind="Request"))
    request(house.server, 1, "suspend", cluster="a")
    request(house.server, 2, "resume", cluster="a")
    assert until(lambda: house.server.get("nidus.dev", "Request", NAMESPACE, "r-1") is None)


# What is remembered


def test_one_unreadable_record_stalls_its_cluster_only_and_heals_by_itself(house: House) -> None:
    record(house.server, "a")
    record(house.server, "b")
    good = house.server.get("", "ConfigMap", NAMESPACE, "nidus-record-a")
    assert good is not None
    house.server.put({**good, "data": {**good["data"], "record": "{"}})
    service = house.leads()
    assert until(lambda: _stalled(house.server, "a").get("status") == "True")
    assert "nidus-record-a" in _stalled(house.server, "a")["message"]
    assert "backup" in _stalled(house.server, "a")["message"]
    assert set(service.registry.records()) == {"b"}
    found = house.server.get("", "ConfigMap", NAMESPACE, "nidus-record-a")
    assert found is not None and found["data"]["record"] == "{"  # nobody touched it
    house.server.put({**found, "data": good["data"]})
    service.checks.records.ask()
    assert until(lambda: service.registry.unreadable() == {})
    assert until(lambda: looked_after(service, "a"))


def _stalled(server: Server, name: str) -> dict[str, Any]:
    found = server.get("nidus.dev", "NestedCluster", NAMESPACE, name) or {}
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == "Stalled"), {})


def looked_after(service: Service, name: str) -> bool:
    """Whether its source admitted its tree again: the cluster is removed, or waits for that."""
    return name in service.registry.names() or name not in service.registry.records()


def test_a_record_without_work_wakes_its_source(house: House) -> None:
    """Its last pass ended after its file was gone."""
    record(house.server, "x")
    service = house.leads()
    assert until(lambda: looked_after(service, "x"))
    found = Store(service.host, NAMESPACE).read("x")
    assert found is not None
    service.registry.keep(replace(found, record=replace(found.record, cluster="a"), base=None))
    assert not looked_after(service, "a")
    service.checks.compare.ask()
    assert until(lambda: looked_after(service, "a"))


def test_a_record_that_a_restored_host_brings_back_wakes_its_source(house: House) -> None:
    service = house.leads()
    record(house.server, "a")
    gone = ("", "ConfigMap", NAMESPACE, "nidus-record-a")
    assert until(lambda: "a" in service.registry.names() or house.server.get(*gone) is None)


def test_a_record_that_is_gone_comes_back(house: House) -> None:
    record(house.server, "a")
    house.leads()
    before = house.server.get("", "ConfigMap", NAMESPACE, "nidus-record-a")
    house.server.delete("", "ConfigMap", NAMESPACE, "nidus-record-a")
    assert until(lambda: house.server.get("", "ConfigMap", NAMESPACE, "nidus-record-a") is not None)
    after = house.server.get("", "ConfigMap", NAMESPACE, "nidus-record-a")
    assert before and after and json.loads(after["data"]["record"])["nonce"] == "n1"


def test_orphans_of_a_killed_process_go_and_what_was_deleted_by_hand_comes_back(house: House) -> None:
    head = {
        "apiVersion": "nidus.dev/v1alpha1",
        "kind": "NestedCluster",
        "metadata": {"name": "x", "namespace": NAMESPACE},
    }
    house.server.put({**head, "spec": {"source": "platform", "file": "clusters/x.yaml"}})
    house.server.apply({**head, "status": {"status": "Deleting"}}, subresource="status")
    service = house.leads()
    assert until(lambda: house.server.get("nidus.dev", "NestedCluster", NAMESPACE, "x") is None)
    assert until(lambda: service.reporter.statuses.waiting() == 0)
    house.server.delete("nidus.dev", "Source", NAMESPACE, "platform")
    assert until(lambda: bool((house.server.get("nidus.dev", "Source", NAMESPACE, "platform") or {}).get("status")))


def asked(house: House) -> list[Call]:
    """The requests since the log was cleared, besides watches and the Lease."""
    return [call for call in house.server.log if call.verb != "watch" and call.kind != "Lease"]


def minutes(service: Service, count: int) -> None:
    """What the loops do in so many minutes, but for the whole comparison each ten."""
    for _ in range(count):
        for one in service.checks.all:
            if one not in (service.checks.compare, service.checks.requests):
                one._work()


def test_an_idle_controller_asks_the_host_for_nothing(house: House) -> None:
    record(house.server, "a")
    service = house.leads()
    assert until(lambda: service.reporter.statuses.waiting() == 0)
    minutes(service, 1)  # the end of the start
    house.server.log.clear()
    minutes(service, 9)
    assert asked(house) == []
    service.checks.compare._work()
    assert 0 < len([call for call in asked(house) if call.verb == "list"]) <= 6  # each ten minutes


def test_our_own_writes_and_those_of_webhooks_are_compared_with_nothing(house: House) -> None:
    service = house.leads()
    assert until(lambda: service.reporter.statuses.waiting() == 0)
    minutes(service, 1)
    house.server.log.clear()
    for number in range(3):
        commit = house.work.commit({"README.md": f"{number}\n"})
        mark = sync_requests.rise(service.host, NAMESPACE, "platform", sync_requests.REQUESTED)
        assert until(lambda mark=mark: service.reporter.generation("platform") >= mark)  # type: ignore[misc]
        assert until(lambda commit=commit: commit in str(source(house)["status"]))  # type: ignore[misc]
        assert until(lambda: service.reporter.statuses.waiting() == 0)
        minutes(service, 1)
    assert [call for call in asked(house) if call.verb == "list"] == []


@pytest.mark.parametrize("act", ["changed", "deleted"])
def test_what_somebody_does_to_a_status_object_is_seen_at_once(house: House, act: str) -> None:
    service = house.leads()
    assert until(lambda: service.reporter.statuses.waiting() == 0 and bool(source(house).get("status")))
    revision = source(house)["status"]["revision"]
    if act == "deleted":
        house.server.delete("nidus.dev", "Source", NAMESPACE, "platform")
    else:
        meta = {"name": "platform", "namespace": NAMESPACE}
        head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": meta}
        forged = {**head, "status": {"revision": "main@sha1:" + "f" * 40}}
        house.server.apply(forged, subresource="status", manager="somebody")
    assert until(lambda: (source(house).get("status") or {}).get("revision") == revision)


def test_a_comparison_that_failed_is_tried_again(house: House) -> None:
    record(house.server, "a")
    service = house.leads()
    rule = house.server.fail(answer(500), lambda call: call.verb == "list" and call.kind == "ConfigMap", times=1)
    house.server.delete("", "ConfigMap", NAMESPACE, "nidus-record-a")
    assert until(lambda: house.server.get("", "ConfigMap", NAMESPACE, "nidus-record-a") is not None)
    assert rule.done == 1 and service.lease.held()


def source(house: House) -> dict[str, Any]:
    return dict(house.server.get("nidus.dev", "Source", NAMESPACE, "platform") or {})


@pytest.mark.parametrize("prices", [None, Prices(cpu="1")])
def test_usage_is_measured_where_prices_are_set_and_costs_nothing_elsewhere(
    server: Server, house: "House", prices: Prices | None
) -> None:
    service = house.service(prices=prices)
    house.start(service).join(60)
    if prices:
        sampler = service._rounds[-1]._work.__self__  # type: ignore[attr-defined]
        assert until(lambda: sampler._cache.stale_since is None)
        service._rounds[-1].ask()  # sooner than by itself
        assert until(lambda: bool(sampler._meter.runs))
    service.stop()
    days = [one for one in server.objects("", "ConfigMap") if one["metadata"]["name"].startswith("nidus-usage-")]
    claims = [call for call in server.log if call.kind == "PersistentVolumeClaim"]
    assert bool(days) == bool(claims) == bool(prices)


def test_the_dashboard_of_a_replica_that_does_not_lead_shows_what_the_leading_one_wrote(house: "House") -> None:
    record(house.server, "a")
    house.leads()
    assert until(lambda: bool((house.server.get("nidus.dev", "NestedCluster", NAMESPACE, "a") or {}).get("status")))
    wanted = ServerConfig(
        internal="127.0.0.1:0", webhook="127.0.0.1:0", dashboard=DashboardConfig(address="127.0.0.1:0")
    )
    standby = house.service("two", server=wanted)
    house.start(standby)
    url = f"http://127.0.0.1:{standby.ports['dashboard']}"
    with urllib.request.urlopen(f"{url}/", timeout=30) as found:
        shown = found.read().decode()
    assert ">a</a>" in shown and "This replica does not lead" in shown and "/sources/platform" in shown
    with urllib.request.urlopen(f"{url}/clusters/a", timeout=30) as found:
        assert b"<h1>a " in found.read()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"{url}/events?topic=", timeout=30)


def test_the_dashboard_has_a_listener_of_its_own(house: "House") -> None:
    wanted = ServerConfig(
        internal="127.0.0.1:0", webhook="127.0.0.1:0", dashboard=DashboardConfig(address="127.0.0.1:0")
    )
    service = house.service(server=wanted)
    house.start(service).join(60)
    with urllib.request.urlopen(f"http://127.0.0.1:{service.ports['dashboard']}/", timeout=60) as found:
        assert b"<h1>Clusters</h1>" in found.read() and "default-src 'none'" in found.headers["Content-Security-Policy"]
    assert "dashboard" not in house.service("two").ports
