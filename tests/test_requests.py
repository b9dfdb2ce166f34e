"""What people ask for, as objects on the home cluster: what is believed of them, and what removing one may touch."""

import json
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller import requests as rounds
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.fleet.approvals import approved, consent_of
from reconciler.inventory import reading, requests
from reconciler.inventory.reading import Read, Reading, Spent
from reconciler.inventory.store import State
from reconciler.kube import review
from reconciler.model import Object, Request
from reconciler.verbs import resume
from reconciler.verbs.asking import ask
from tests import installed
from tests.fleets import record
from tests.memory.failures import answer, on
from tests.memory.server import USER, Server
from tests.shell import client
from tests.spec_cases import FACTS, RULES

NAMESPACE = "nidus-system"
DIGEST = "d" * 64

VICTIM = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nidus", "namespace": NAMESPACE}}


@pytest.fixture
def home() -> Iterator["Home"]:
    made = Home()
    yield made
    made.host.close()


class Home:
    """A home cluster with the right time, a client of it, and what hears requests."""

    def __init__(self) -> None:
        self.back = 0.0  # seconds that its clock is behind
        self.host = Server(clock=lambda: time.time() - self.back)
        self.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for one in installed.kinds():
            self.host.put(one)
        self.client = client(self.host)
        states = {name: State(record(name)) for name in CLUSTERS}
        self.registry, self.queue = Registry(RULES, FACTS, states), Queue()


def old(home: Home, where: str, kind: str, **more: Any) -> None:
    """A request as releases before the kind Request stored it."""
    told = {"kind": kind, "source": "", "cluster": "", "who": "eve", "created": 1.0, "name": where, **more}
    metadata = {"name": where, "namespace": NAMESPACE, "labels": {"nidus.dev/request": kind}}
    home.host.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"request": json.dumps(told)}}
    )


def new(home: Home, name: str, kind: str, **more: Any) -> None:
    """A request as `kubectl create` would store it."""
    spec = {"kind": kind, "who": "eve", "cluster": "team-a", **more}
    metadata = {"name": name, "namespace": NAMESPACE}
    home.host.put({"apiVersion": requests.API, "kind": "Request", "metadata": metadata, "spec": spec})


def item(**more: Any) -> Object:
    """A request as the server gives it, a minute old."""
    created = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": "a", "uid": "u", "resourceVersion": "7", "creationTimestamp": created}
    return {"kind": "Request", "metadata": metadata, "spec": {"kind": "suspend", "who": "eve", "cluster": "a", **more}}


def after(**time_: float) -> str:
    """A time from now on, as people write it."""
    return (datetime.now(UTC) + timedelta(**time_)).isoformat()


CLUSTERS = {"team-a": 0.0, "team-b": 0.0}


def load(home: Home) -> tuple[Request, ...]:
    return requests.load(home.client, NAMESPACE, CLUSTERS, time.time()).standing


def heard(home: Home) -> list[str]:
    """One round over the requests. Returns what was told."""
    told = list[str]()
    rounds.heard(home.client, NAMESPACE, home.registry, home.queue, lambda: None, told.append)
    return told


@pytest.mark.parametrize("where", ["nidus-request-approve-a", "a"])
def test_a_spent_request_takes_nothing_with_it(home: Home, where: str) -> None:
    home.host.put(VICTIM)
    old(home, where, "approve", expires=2, name="nidus")
    heard(home)
    assert home.host.get("", "ConfigMap", NAMESPACE, "nidus") is not None


def test_requests_of_before_still_do_what_they_ask_for(home: Home) -> None:
    now = time.time()
    old(home, "nidus-request-suspend-a", "suspend", cluster="team-a", created=now)
    wanted = consent_of(["local ConfigMap/web/a uid delete"])
    old(home, "nidus-request-a", "approve", cluster="team-b", created=now, expires=now + 60, consent=wanted.digest)
    standing = load(home)
    assert requests.suspended(standing, "team-a", now) is not None
    assert requests.suspended(standing, "team-b", now) is None
    assert approved(wanted, standing, (), now, ["team-b"], "platform")
    assert not approved(wanted, standing, (), now, ["team-a"], "platform")
    assert not approved(wanted, standing, (), now + 61, ["team-b"], "platform")


def test_no_suspension_outlives_its_resume(home: Home) -> None:
    old(home, "nidus-request-suspend-a", "suspend", cluster="team-a", created=9e15)
    old(home, "nidus-request-resume-a", "resume", cluster="team-a", created=time.time())
    assert requests.suspended(load(home), "team-a", time.time()) is None


def test_requests_of_one_second_keep_the_order_in_which_the_server_took_them(home: Home) -> None:
    for number, kind in enumerate(("resume", "suspend", "resume")):
        new(home, f"{9 - number}", kind)
    assert [one.name for one in load(home)] == ["7"]
    assert requests.suspended(load(home), "team-a", time.time()) is None


def test_what_is_spent_goes_and_nothing_else(home: Home) -> None:
    new(home, "a", "suspend")
    new(home, "b", "resume")
    old(home, "nidus-request-suspend-b", "suspend", cluster="team-b")
    old(home, "nidus-request-resume-b", "resume", cluster="team-b")
    home.host.put(VICTIM)
    heard(home)
    assert [one["metadata"]["name"] for one in home.host.objects("nidus.dev", "Request")] == ["b"]
    assert {one["metadata"]["name"] for one in home.host.objects("", "ConfigMap", NAMESPACE)} == {
        "nidus",
        "nidus-request-resume-b",
    }


def test_a_successor_under_the_same_name_stays(home: Home) -> None:
    new(home, "a", "suspend")
    (gone,) = load(home)
    home.host.delete("nidus.dev", "Request", NAMESPACE, "a")
    new(home, "a", "resume")
    requests.remove(home.client, NAMESPACE, Spent(gone.name, gone.uid))
    assert [one.kind for one in load(home)] == ["resume"]


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "sync"}, {"kind": 1}, {"who": None}, {"who": "e" * 1025}, {"cluster": "a" * 254}, {"reason": "a" * 1025},
        {"items": ["a"] * 501}, {"items": "abc"}, {"items": ["a" * 1025]}, {"consent": "a" * 65},
        {"expires": after(days=400)}, {"expires": after(hours=-1)}, {"expires": "tomorrow"}, {"expires": 1e300},
        {"expires": "2030-01-01T00:00:00"}, {"expires": "9999-12-31T23:59:59-14:00"},
        {"kind": "approve", "consent": DIGEST}, {"change": -1}, {"change": "1"}, {"approvers": [1] * 101}, {"approvers": ["bob"]},
    ],
)  # fmt: skip
def test_what_is_malformed_or_stands_too_long_asks_for_nothing(more: dict[str, Any]) -> None:
    assert requests.parse(item(**more)) is None
    assert requests.parse(item(expires=after(hours=1))) is not None


def test_an_approval_of_a_forge_says_where_it_was_given_and_by_whom(home: Home) -> None:
    """One of before that names none is like an operator's; one that names it in words alone counts for nothing."""
    now = time.time()
    one = Request("approve", "platform", "", "github:bob", now, now + 60.0, DIGEST, change=7, approvers=(3, 5))
    requests.write(home.client, NAMESPACE, one)
    new(home, "before", "approve", consent=DIGEST, expires=after(hours=1))
    told = "by a comment on change request #6"
    new(home, "worded", "approve", consent=DIGEST, expires=after(hours=1), reason=told)
    assert sorted((one.change, one.approvers) for one in load(home)) == [(0, ()), (6, ()), (7, (3, 5))]


KEYS = st.sampled_from(["metadata", "spec", "data", "kind", "name", "uid", "request", "who", "creationTimestamp"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["ConfigMap", "suspend", "{}", "1"]),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(VALUES)
def test_whatever_is_stored_is_a_request_or_none(found: Any) -> None:
    known = item()["metadata"]
    for body in (found, {"metadata": found, "spec": found}, {"kind": "ConfigMap", "metadata": known, "data": found}):
        assert requests.parse(body) is None
    for key in ("reason", "expires", "source", "items"):
        told = requests.parse(item(**{key: found}))
        assert told is None or (told.kind, told.cluster) == ("suspend", "a")


def test_a_reason_cannot_move_the_cursor_of_who_reads_it() -> None:
    told = requests.parse(item(reason="a\x1b[2Jb\u202ec", who="e\nve"))
    assert told is not None
    assert (told.reason, told.who) == ("a [2Jb c", "e?ve")


def test_a_request_is_in_the_name_the_server_knows(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "root")
    ask(home.client, NAMESPACE, "approve", cluster="team-a", consent=DIGEST, items=("x",), seconds=60)
    (stored,) = home.host.objects("nidus.dev", "Request")
    assert stored["spec"]["who"] == USER == review.user(home.client)
    (told,) = load(home)
    assert (told.kind, told.who, told.consent, told.items, told.cluster) == ("approve", USER, DIGEST, ("x",), "team-a")
    assert 55 < told.expires - told.created < 66
    assert home.host.objects("", "ConfigMap", NAMESPACE) == []


@pytest.mark.parametrize(("word", "suspended"), [("Suspended", True), ("Ready", False)])
def test_operators_resume_what_an_earlier_release_suspended_without_reading_it(
    home: Home, word: str, suspended: bool
) -> None:
    meta = {"name": "team-a", "namespace": NAMESPACE}
    told = {"apiVersion": requests.API, "kind": "NestedCluster", "metadata": meta}
    home.host.put({**told, "spec": {}})
    home.host.apply({**told, "status": {"status": word}}, subresource="status")
    old(home, "nidus-request-suspend-a", "suspend", cluster="team-a")
    home.host.fail(answer(403), on("list", kind="ConfigMap"), times=None)
    assert resume.suspended(home.client, NAMESPACE, "team-a") is suspended


# However many there are


NOW = 1e9


def asked(number: int, kind: str = "approve", who: str = "eve", cluster: str = "", **more: Any) -> Request:
    """A request of so many seconds after the first."""
    expires = NOW + 3600 if kind == "approve" else 0.0
    name = f"{kind}-{who}-{number}"
    given = {"expires": expires, "consent": DIGEST, "name": name, "uid": name, **more}
    return Request(kind, "", cluster, who, NOW - 1000 + number, **given)


def read(several: Iterable[Request], known: Mapping[str, float] = CLUSTERS, now: float = NOW) -> Read:
    made = Reading(known, now)
    for one in several:
        made.take(one, int(one.created))
    return made.done()


def test_thousands_of_large_requests_cost_bounded_memory() -> None:
    """Read one by one, as they come: 3,000 of 250,000 characters, by one person and by fifty."""
    several = (
        asked(at, who=f"eve{at % people}", items=tuple(f"{part} {at}" + "a" * 50_000 for part in range(5)))
        for people in (1, 50)
        for at in range(1500)
    )
    tracemalloc.start()
    found = read(several)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * reading.SHARES * reading.TEXT
    assert sum(len(item) for one in found.standing for item in one.items) <= reading.SHARES * reading.TEXT
    assert len(found.standing) + len(found.spent) == 3000


def test_nobody_takes_the_place_of_anothers_approval(home: Home) -> None:
    """The newest of each person stand; the rest is told and deleted, so that it heals."""
    many = reading.EACH + 30
    new(home, "mine", "approve", who="ada", consent=DIGEST, expires=after(hours=1))
    for number in range(many):
        new(home, f"a-{number:04}", "approve", consent=DIGEST, expires=after(hours=1), cluster=f"c{number}")
    told = heard(home)
    assert told == ["requests beyond the newest of each person have no effect and are deleted: eve (30)"]
    left = {one["metadata"]["name"] for one in home.host.objects("nidus.dev", "Request")}
    assert left == {"mine", *(f"a-{number:04}" for number in range(30, many))}
    assert {one.name for one in home.registry.requests()} == left
    assert heard(home) == []


def test_many_accounts_take_no_place_of_another_person() -> None:
    several = [asked(at, who=f"eve{at % 20}", items=("x" * 500,)) for at in range(1, 20 * reading.EACH)]
    found = read([asked(0, who="ada"), *several])
    assert [one.who for one in found.standing].count("ada") == 1
    assert len(found.standing) == reading.SHARES * reading.EACH
    assert "ada" not in found.left and sum(found.left.values()) == len(found.spent) == len(several) + 1 - len(
        found.standing
    )


def test_suspensions_of_clusters_are_never_crowded_out() -> None:
    """Those of clusters that nobody has are: otherwise made-up names could fill the place of approvals for good."""
    names = {f"c{number:04}" for number in range(2000)}
    several = [asked(at, "suspend", cluster=name) for at, name in enumerate(sorted(names))]
    assert len(read(several, dict.fromkeys(names, 0.0)).standing) == 2000
    found = read(several, {})
    assert [one.cluster for one in found.standing] == sorted(names)[-reading.EACH :]
    assert found.left == {"eve": 2000 - reading.EACH}


def test_a_resume_is_kept_while_there_is_something_it_overrules() -> None:
    """Otherwise each cluster that was ever suspended would fill a place of the quota for good."""
    pair = [asked(1, "suspend", cluster="team-a"), asked(2, "resume", cluster="team-a")]
    later = NOW + reading.KEPT
    assert [one.name for one in read(pair, now=later).spent] == ["suspend-eve-1"]
    assert [one.name for one in read(pair[1:], now=later).spent] == ["resume-eve-2"]
    assert read(pair[1:]).spent == ()


def test_what_asks_for_nothing_is_deleted_after_a_day(home: Home) -> None:
    new(home, "odd", "suspend", who="e", expires="2030-01-01T00:00:00")
    heard(home)
    assert len(home.host.objects("nidus.dev", "Request")) == 1
    home.back = 2 * reading.KEPT
    new(home, "older", "suspend", who="e", expires="2030-01-01T00:00:00")
    heard(home)
    assert [one["metadata"]["name"] for one in home.host.objects("nidus.dev", "Request")] == ["odd"]


PEOPLE = st.sampled_from(["ada", "eve", "bob"])
SOME = st.lists(
    st.builds(
        asked,
        st.integers(0, 900),
        st.sampled_from(["approve", "suspend", "resume"]),
        PEOPLE,
        st.sampled_from(["team-a", "team-b", "none"]),
    ),
    unique_by=lambda one: one.uid,
)


@given(SOME, st.randoms(use_true_random=False))
def test_it_does_not_matter_in_which_order_they_are_listed(several: list[Request], random: Random) -> None:
    shuffled = random.sample(several, len(several))
    one, other = read(several), read(shuffled)
    assert one.standing == other.standing
    assert {*one.spent} == {*other.spent}
    for cluster in CLUSTERS:
        newest = max((x for x in several if x.kind != "approve" and x.cluster == cluster),
                     key=lambda x: (x.created, int(x.created), x.name), default=None)  # fmt: skip
        suspended = requests.suspended(one.standing, cluster, NOW)
        assert suspended == (newest if newest and newest.kind == "suspend" else None)
