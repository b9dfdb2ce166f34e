"""The API server in memory is held to a real one: the same made-up calls, the same answers. Nothing else acts on the real one meanwhile."""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from devhost import faults
from devhost.api import path_of as path
from devhost.hosting import TestHost
from tests.host import made_up
from tests.host.differential import Difference, Memory, Real, Step, comparable, difference
from tests.host.made_up import CRDS, GROUP, history
from tests.memory import facts
from tests.memory.server import Server

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("spare_host")]
SERVED_SECONDS = 30.0
LENGTH = 16  # calls of a history
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Sides:
    """Both servers with the same kinds; each history gets a namespace of its own on both."""

    def __init__(self, host: TestHost) -> None:
        self.host, self.real, server = host, Real(host.client.access), Server("memory")
        server.controllers = frozenset({"crds"})
        self.memory = Memory(server)
        self._namespaces = 0
        for crd in CRDS:
            host.client.create(crd)
            server.put(crd)
        deadline = time.monotonic() + SERVED_SECONDS
        while not (self._serves("Widget") and self._serves("Gadget")):
            assert time.monotonic() < deadline, "the test's kinds are not served"
            time.sleep(0.1)

    def fresh(self) -> str:
        """A new namespace on both."""
        self._namespaces += 1
        name = f"history-{self._namespaces}"
        body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).encode()
        for side in (self.real, self.memory):
            assert side.send("POST", "/api/v1/namespaces", {}, body, "application/json")[0] == 201
        return name

    def played(self, make: Callable[[str], Sequence[Step]]) -> Difference | None:
        """The first difference of the history that `make` gives for a namespace."""
        return difference(self.real, self.memory, make(self.fresh()))

    def shortest(self, make: Callable[[str], Sequence[Step]], found: Difference) -> Difference:
        """Leave out every step without which the last one still differs."""
        kept = list(range(len(found.steps)))
        for at in reversed(range(len(kept) - 1)):
            trial = kept[:at] + kept[at + 1 :]
            shorter = self.played(partial(_some, make, trial))
            if shorter is not None and len(shorter.steps) == len(trial):
                kept, found = trial, shorter
        return found

    def _serves(self, kind: str) -> bool:
        # the apply needs the kind's schema, which comes a moment after its path
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": kind,
            "metadata": {"name": "x"},
            "spec": {"items": [{"name": "a"}]},
        }
        where = path(f"{GROUP}/v1", kind, "default", "x")
        query = {"fieldManager": "x", "dryRun": "All"}
        return (
            self.real.send("PATCH", where, query, json.dumps(body).encode(), "application/apply-patch+yaml")[0] == 201
        )


def _some(make: Callable[[str], Sequence[Step]], kept: Sequence[int], name: str) -> list[Step]:
    steps = make(name)
    return [steps[at] for at in kept]


@pytest.fixture(scope="module")
def sides(spare_host: TestHost) -> Iterator[Sides]:
    with faults.paused(spare_host.host, "kube-controller-manager"):
        made = Sides(spare_host)
        yield made
        made.real.close()


@pytest.mark.parametrize("histories", [30, pytest.param(160, marks=pytest.mark.long)])
def test_both_servers_answer_alike(sides: Sides, histories: int) -> None:
    for number in range(histories):

        def make(name: str, number: int = number) -> Sequence[Step]:
            return history(random.Random(f"memory-{number}"), name, LENGTH)

        found = sides.played(make)
        if found is not None:
            pytest.fail(str(sides.shortest(make, found)))


def test_both_servers_tell_a_watch_alike(sides: Sides) -> None:
    for number in range(12):
        name = sides.fresh()
        where = path(*(("v1", "ConfigMap") if number % 2 else (f"{GROUP}/v1", "Widget")), name)
        since = [
            side.send("GET", where, {"limit": "1"}, None, "")[1]["metadata"]["resourceVersion"]
            for side in (sides.real, sides.memory)
        ]
        kind = next(one for one in made_up.KINDS if one[1] == ("ConfigMap" if number % 2 else "Widget"))
        dice = random.Random(f"watch-{number}")
        steps = [made_up._step(dice, *kind[:3], name, dice.choice(made_up.NAMES)) for _ in range(LENGTH)]
        steps = [step for step in steps if "/namespaces/" in step.path[8:]]
        assert difference(sides.real, sides.memory, steps) is None
        query = {"watch": "1", "timeoutSeconds": "30", "labelSelector": "a" if number % 3 else ""}
        mine = sides.memory.lines(where, {**query, "resourceVersion": since[1]})
        theirs = sides.real.lines(where, {**query, "resourceVersion": since[0]}, len(mine))
        assert [_event(one) for one in theirs] == [_event(one) for one in mine], [str(step) for step in steps]


def _event(one: dict[str, Any]) -> Any:
    return comparable((0, one))[1]


def test_both_servers_refuse_a_watch_from_long_ago(sides: Sides) -> None:
    sides.memory.server.compact()
    query = {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "30"}
    where = path(f"{GROUP}/v1", "Widget", "default")  # a kind whose history does not reach back to the first version
    mine, theirs = sides.memory.lines(where, query), sides.real.lines(where, query, 1)
    told = [
        [(one["type"], one["object"]["code"], one["object"]["reason"]) for one in found] for found in (mine, theirs)
    ]
    assert told[0] == told[1] == [("ERROR", 410, "Expired")]


def test_the_facts_are_the_servers_own(sides: Sides) -> None:
    def fetched(where: str, accept: str = "application/json") -> Any:
        answer = sides.real._pool.request("GET", sides.host.client.access.server + where, headers={"Accept": accept})
        return json.loads(answer.data)

    paths = fetched("/openapi/v3")["paths"]
    documents = [fetched(paths[name]["serverRelativeURL"]) for name in sorted(paths) if GROUP not in name]
    found = facts.extract([fetched("/api", AGGREGATED), fetched("/apis", AGGREGATED)], documents)
    found["kinds"] = [one for one in found["kinds"] if one["group"] != GROUP]
    assert json.loads(json.dumps(found)) == facts.read()
