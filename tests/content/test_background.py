"""Fetching beside the passes: nobody waits, everybody is woken, and what fails is tried again (K3)."""

import hashlib
import queue
import threading
from collections.abc import Iterator

import msgspec
import pytest

from reconciler.errors import Fetching, Stalled
from reconciler.model import Remote
from reconciler.packs.content import background
from reconciler.packs.content.background import Background
from reconciler.packs.content.client import Timeouts
from reconciler.packs.content.fetch import Means
from tests.content.conftest import Allowed, Sites
from tests.content.test_fetch import BODY, SHA, url
from tests.waiting import until

Woken = queue.Queue[str]


class Desk:
    """A background that says whom it woke."""

    def __init__(self) -> None:
        self.woken: Woken = queue.Queue()
        self.bugs: list[str] = []
        self.opened: list[Background] = []

    def open(self, means: Means) -> Background:
        self.opened.append(Background(means, self.woken.put, lambda what, error: self.bugs.append(f"{what}: {error}")))
        return self.opened[-1]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(background, "FIRST", 0.05)
    made = Desk()
    yield made
    for one in made.opened:
        one.close()


def told(content: Background, remote: Remote, cluster: str = "a") -> str:
    with pytest.raises(Fetching) as waits:
        content.read([remote.oid], cluster)
    return waits.value.message


def test_everybody_who_waits_is_woken_when_it_is_there(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    site = sites()
    content, remote = desk.open(allowed(site)), url(site.put("/m.yaml", BODY))
    assert told(content, remote).startswith(f"fetching {site.url}/m.yaml")
    assert desk.woken.get(timeout=60.0) == "a"
    assert content.read([remote.oid], "b") == {remote.oid: BODY}
    assert site.paths() == ["/m.yaml"]


def test_a_server_that_never_answers_holds_nobody_else_up(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    """Neither who asks, nor other hosts, nor what is here already."""
    dead, site = sites(), sites()
    content = desk.open(allowed(dead, site, timeouts=Timeouts(5.0, 60.0, 60.0)))
    lost = [url(dead.put(f"/{number}", hang=True), f"{number:064}") for number in range(20)]
    for one in lost:
        told(content, one)
    remote = url(site.put("/m.yaml", BODY))
    told(content, remote, "b")
    assert desk.woken.get(timeout=60.0) == "b"
    assert content.read([remote.oid], "b")[remote.oid] == BODY
    assert told(content, lost[0]) == f"fetching {dead.url}/0"
    assert len(dead.asked) <= 1  # one request at a time for a host


def test_a_dozen_servers_that_never_answer_hold_no_other_up(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    dead, site = [sites(plain=True) for _ in range(12)], sites(plain=True)
    content = desk.open(allowed(*dead, site, timeouts=Timeouts(5.0, 60.0, 60.0)))
    for number, one in enumerate(dead):
        told(content, url(one.put("/m.yaml", hang=True), f"{number:064}"))
    assert until(lambda: all(one.asked for one in dead))
    told(content, url(site.put("/m.yaml", BODY)), "b")
    assert desk.woken.get(timeout=60.0) == "b"


def test_many_addresses_of_one_cluster_hold_no_other_up(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    """At one host, which is asked for one thing at a time: the other cluster's is next."""
    site, gate = sites(), threading.Event()
    content = desk.open(allowed(site, timeouts=Timeouts(5.0, 60.0, 60.0)))
    for number in range(9):
        told(content, url(site.put(f"/{number}", after=gate), f"{number:064}"), "greedy")
    assert until(lambda: len(site.asked) == 1)
    told(content, url(site.put("/m.yaml", BODY)), "other")
    gate.set()
    while desk.woken.get(timeout=60.0) != "other":
        pass
    assert site.paths().index("/m.yaml") == 1


def test_what_another_process_fetches_is_no_failure(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    site = sites()
    means = allowed(site)
    remote = url(site.put("/m.yaml", BODY))
    content = desk.open(means)
    with means.store.part(SHA, remote.address):
        told(content, remote)
        one = content._fetches[remote.oid]
        assert until(lambda: one.due > one.wanted)
        assert told(content, remote) == f"fetching {site.url}/m.yaml"
        assert one.attempts == 0
    assert desk.woken.get(timeout=60.0) == "a"
    assert content.read([remote.oid], "a") == {remote.oid: BODY}


def test_one_source_of_several_cannot_fill_the_store(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    """It gets no more than its share, and another source still gets what it names."""
    site = sites()
    means = msgspec.structs.replace(allowed(site, limit=1000), share=500)
    content = desk.open(means)
    bodies = [bytes([number]) * 100 for number in range(7)]
    remotes = [url(site.put(f"/{n}", body), hashlib.sha256(body).hexdigest()) for n, body in enumerate(bodies)]
    for one in remotes[:6]:
        content.used([one.oid], "greedy")
        told(content, one, "a")
        assert desk.woken.get(timeout=60.0) == "a"
    assert "its source uses 0 MiB of the content store, which is its share" in told(content, remotes[5], "a")
    assert [means.store.has(one.digest) for one in remotes[:6]] == [True] * 5 + [False]
    content.used([remotes[6].oid], "other")
    told(content, remotes[6], "b")
    assert desk.woken.get(timeout=60.0) == "b"
    assert content.read([remotes[6].oid], "b") == {remotes[6].oid: bodies[6]}
    content.used([remotes[5].oid], "other")  # who names it as well has room
    content.govern(means)
    assert desk.woken.get(timeout=60.0) == "a"
    assert content.read([remotes[5].oid], "a") == {remotes[5].oid: bodies[5]}


def test_what_fails_is_told_and_tried_again(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    site = sites()
    content, remote = desk.open(allowed(site)), url(site.put("/m.yaml", status=503))
    told(content, remote)
    assert desk.woken.get(timeout=60.0) == "a"
    assert "the last attempt failed" in told(content, remote) and "(503)" in told(content, remote)
    site.put("/m.yaml", BODY)
    assert desk.woken.get(timeout=60.0) == "a"
    assert content.read([remote.oid], "a")[remote.oid] == BODY


def test_what_is_refused_stalls_and_goes_on_when_it_is_mended(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    site = sites()
    content, remote = desk.open(allowed(site)), url(site.put("/m.yaml", b"changed"))
    told(content, remote)
    assert desk.woken.get(timeout=60.0) == "a"
    with pytest.raises(Stalled, match="and not sha256") as refused:
        content.read([remote.oid], "a")
    assert refused.value.reason == "ContentRefused"
    site.put("/m.yaml", BODY)
    assert desk.woken.get(timeout=60.0) == "a"
    assert content.read([remote.oid], "a")[remote.oid] == BODY


def test_a_bug_is_its_own_contents_failure(
    desk: Desk, sites: Sites, allowed: Allowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = sites()
    means = allowed(site)
    content, remote = desk.open(means), url(site.put("/m.yaml", BODY))
    monkeypatch.setattr(type(means.store), "keep", lambda *_: 1 / 0)
    told(content, remote)
    assert desk.woken.get(timeout=60.0) == "a"
    assert "a bug of ours" in told(content, remote) and "ZeroDivision" not in told(content, remote)
    assert "division by zero" in desk.bugs[0]
    monkeypatch.undo()
    assert desk.woken.get(timeout=60.0) == "a"


def test_what_is_stored_goes_on_while_its_server_is_down(desk: Desk, sites: Sites, allowed: Allowed) -> None:
    site = sites()
    means = allowed(site)
    means.store.put(BODY)
    remote = url(site.put("/m.yaml", hang=True), SHA)
    site.close()
    assert desk.open(means).read([remote.oid], "a") == {remote.oid: BODY}
