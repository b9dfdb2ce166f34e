"""A request counts for the cluster it was made for, and for no later one of its name (A9, D2)."""

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import review
from reconciler.assignment import Assignment
from reconciler.controller.registry import Registry
from reconciler.inventory.packing import Base, State
from reconciler.inventory.reading import KEPT, Reading
from reconciler.inventory.requests import KINDS
from reconciler.model import Content, Request
from tests.fleets import record
from tests.passes import FACTS, START, Fleet, cluster, config_map, pack, profile
from tests.test_sleep import engine

LATER = 600.0  # seconds between a request and the next cluster of the name


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.close()


def files(*names: str, **spec: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text="one")))
    return {"p.yaml": packs} | {f"{name}.yaml": cluster(name, deletion={"policy": "Delete"}, **spec) for name in names}


def anew(fleet: Fleet, kind: str, *, gone: bool) -> None:
    """A cluster leaves Git, is removed, and later comes back. Somebody asks for something of it before, or once it is `gone`."""
    fleet.push(files("a", "b", "c"))
    fleet.run()
    fleet.now += 1.0
    if not gone:
        fleet.ask(kind, "a")
        fleet.run()
    fleet.push(files("b", "c"))
    fleet.run(seconds=120.0)
    assert fleet.state("a") is None and fleet.host.get("", "Namespace", "", "vcluster-a") is None
    if gone:
        fleet.ask(kind, "a")
    fleet.now += LATER
    fleet.push(files("a", "b", "c"))
    fleet.run(seconds=120.0)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("kind", "gone"), [("sleep", False), ("sleep", True), ("suspend", True)])
def test_what_stopped_the_cluster_of_before_does_not_stop_the_next(
    fleet: Fleet, kind: str, gone: bool, restarted: bool
) -> None:
    anew(fleet, kind, gone=gone)
    if restarted:
        fleet.restart()
        fleet.run(seconds=120.0)
    assert fleet.word("a") == "Ready" and engine(fleet)[0] == 1
    fleet.now += 1.0
    fleet.ask(kind, "a")
    fleet.run()
    assert fleet.word("a") == {"suspend": "Suspended", "sleep": "Asleep"}[kind]


def test_a_plan_says_the_same(fleet: Fleet) -> None:
    fleet.push(files("a"))
    old = Request("suspend", "", "a", "eve", START - LATER)
    snapshot = fleet.git.read(fleet.git.newest, fleet.rules)
    standing = review.Standing({}, dict[str, Content](), (old,), b"salt")
    seen = review.review(snapshot, standing, fleet.rules, FACTS, fleet.reader, START, every=True)
    assert [one.suspended for one in seen.clusters] == [""]


def test_of_every_kind_a_pass_is_given_what_was_asked_since(fleet: Fleet) -> None:
    fleet.push(files("a"))
    fleet.run()
    state = fleet.state("a")
    assert state is not None
    old, new = (
        tuple(Request(kind, "", "a", "eve", state.begun + more, START + 1e6) for kind in KINDS) for more in (-1.0, 0.0)
    )
    registry: Registry = fleet.registry
    registry.hear((*old, *new))
    given = registry.take("a", START + fleet.now, "n")
    assert isinstance(given, Assignment) and given.requests == new


def test_a_request_of_before_stands_no_more_and_goes_after_a_day() -> None:
    def read(kind: str, now: float) -> tuple[tuple[Request, ...], int]:
        made = Reading({"a": 1000.0}, now)
        for created in (999.0, 1000.0):
            made.take(Request(kind, "", "a", "eve", created, 1e9, name=f"{created}"), int(created))
        read = made.done()
        return read.standing, len(read.spent)

    for kind in KINDS:
        standing, spent = read(kind, 1001.0)
        assert ([one.created for one in standing], spent) == ([1000.0], 0)
        standing, spent = read(kind, 999.5 + KEPT)
        assert (len(standing), spent) == (1, 1)


@pytest.mark.parametrize(
    ("born", "made", "begun"),
    [
        (1000.7, 0.0, 1000.0),  # not stored yet: our own clock, in the whole seconds that times of requests have
        (1000.7, 1000.0, 1000.0),
        (1000.7, 970.0, 970.0),  # the clock of the API server is behind ours: its word counts, as in a request
        (1000.7, 1030.0, 1030.0),
        (5000.7, 1000.0, 5000.0),  # born again under a record that stayed
    ],
)
def test_a_cluster_began_by_the_clock_of_the_api_server(born: float, made: float, begun: float) -> None:
    assert State(record("a", born=born), base=Base("1", "d", made=made)).begun == begun


def test_clocks_that_differ_lose_no_request(fleet: Fleet) -> None:
    """The API server's clock is half a minute behind: what is asked of a cluster that was just made still counts."""
    fleet.host.core.clock = lambda: START + fleet.now - 30.0
    fleet.push(files("a"))
    fleet.run()
    fleet.ask("suspend", "a")
    fleet.run()
    assert fleet.word("a") == "Suspended"
    made = fleet.state("a")
    assert made is not None and made.begun == START - 30.0
