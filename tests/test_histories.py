"""Histories of pushes, removals, edits by hand, restarts and kills, with one request in twenty failing: they end as if undisturbed.

Nothing that Git wants all along is deleted on the way, no record is lost, and nothing outside the inventory is touched.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler.model import Budget
from tests.memory.failures import CUT, EXPIRED, HANG, LOST, REFUSED, TIMEOUT, Call, Failure, answer
from tests.memory.server import Server
from tests.passes import HOME, RULES, Fleet, cluster, config_map, crd, pack, profile

COUNT = int(os.environ.get("NIDUS_HISTORIES", "40"))
ONE_IN = 20
READS = (REFUSED, TIMEOUT, answer(429, after=1), answer(500), answer(503))
LISTS = (*READS, EXPIRED, CUT)
WRITES = (REFUSED, LOST, HANG, TIMEOUT, answer(409), answer(429, after=1), answer(500), answer(503))
FREE = replace(RULES, budget=Budget(clusters=100, objects_percent=100, objects_minimum=1000))
NAMES = ("a", "b")
MAPS = ("one", "two", "three", "four", "five")
ZONE = {"apiVersion": "zones.example/v1", "kind": "Zone", "metadata": {"name": "eu"}, "spec": {"region": "north"}}


class Killed(BaseException):
    """The process is gone in the middle of a request."""


@dataclass
class Wanted:
    """What Git says: the clusters, with the policy of each, and the objects of their one profile."""

    clusters: dict[str, str] = field(default_factory=lambda: {"z": "Retain"})
    maps: dict[str, str] = field(default_factory=lambda: {"one": "1", "keep": "1"})
    zone: bool = False
    rest: bool = True

    def files(self) -> dict[str, str]:
        base = [config_map(name, text=text) for name, text in sorted(self.maps.items())]
        packs = [pack("base", *base)]
        packs += [pack("zones", crd(), ZONE)] if self.zone else []
        packs += [pack("rest", config_map("rest"), dependsOn=["base"])] if self.rest else []
        found = {"p.yaml": profile(*packs)}
        for name, policy in self.clusters.items():
            found[f"{name}.yaml"] = cluster(name, deletion={"policy": policy, "grace": "0s"})
        return found


Step = tuple[str, Any]


def steps(seed: int) -> list[Step]:
    """A history: what people and machines do, the same whatever fails."""
    rng, out = random.Random(seed), list[Step]()
    wanted = Wanted()
    out.append(("push", wanted.files()))
    for _ in range(rng.randint(4, 9)):
        kind = rng.choice(
            ["value", "value", "map", "cluster", "cluster", "pack", "edit", "delete", "restart", "kill", "time"]
        )
        if kind == "value":
            wanted.maps[rng.choice(sorted(wanted.maps))] = str(rng.randint(2, 99))
        elif kind == "map":
            name = rng.choice(MAPS)
            wanted.maps.pop(name) if name in wanted.maps and len(wanted.maps) > 2 else wanted.maps.update({name: "1"})
        elif kind == "cluster":
            name = rng.choice(NAMES)
            known = wanted.clusters.pop(name, None)
            wanted.clusters |= {} if known else {name: rng.choice(["Retain", "Delete"])}
        elif kind == "pack":
            wanted.zone, wanted.rest = wanted.zone or rng.random() < 0.5, not wanted.rest
        if kind in ("value", "map", "cluster", "pack"):
            out.append(("push", wanted.files()))
        elif kind in ("edit", "delete"):
            out.append((kind, (rng.choice(("a", "b", "z")), rng.choice(("keep", *MAPS)))))
        else:
            out.append((kind, rng.randint(1, 60)))
        out.append(("run", rng.randint(0, 25)))
    return out


BACKGROUND = ("Event", "NestedCluster")  # written by threads of their own: the story would not be the same twice


def chaos(seed: int) -> Callable[[Call], Failure | None]:
    rng = random.Random(seed)

    def choose(call: Call) -> Failure | None:
        if call.kind in BACKGROUND:
            return None
        if rng.randrange(ONE_IN):
            return None
        return rng.choice(WRITES if call.writes or call.dry_run else LISTS if call.verb == "list" else READS)

    return choose


def kill(after: int) -> Callable[[Call], None]:
    left = [after]

    def choose(call: Call) -> None:
        left[0] -= call.kind not in BACKGROUND
        if left[0] == 0 and call.kind not in BACKGROUND:
            raise Killed

    return choose


class Story:
    """One history on one fleet; `disturbed`: requests fail and kills happen."""

    def __init__(self, seed: int, disturbed: bool) -> None:
        self.fleet, self.disturbed = Fleet(FREE), disturbed
        self.failing = chaos(seed) if disturbed else None
        self.uids: dict[tuple[str, str], str] = {}
        self.pushed: set[str] = set()
        self.known: list[Server] = []
        if self.failing:
            self.fleet.host.choosers.append(self.failing)

    def play(self, history: list[Step]) -> None:
        for kind, what in history:
            getattr(self, kind)(what)
            self._check()
        for server in self._servers():
            server.heal()
        self.failing = None
        self.settle()
        self.fleet.restart()
        self.settle()
        self._check()
        self.fleet.close()

    def push(self, files: dict[str, str]) -> None:
        self.pushed = {name.removesuffix(".yaml") for name in files} - {"p"}
        self._alive(lambda: self.fleet.push(files))

    def settle(self) -> None:
        """Until nothing is due for minutes, and once more when everything has been looked at again."""
        for _ in range(2):
            self.run(1)
            self.fleet.run(passes=300, seconds=200.0)
            self.fleet.now += 400.0

    def run(self, passes: int) -> None:
        for _ in range(passes):
            for name, server in self.fleet.nested.items():
                if self.failing and self.failing not in server.choosers:
                    server.choosers.append(self.failing)
                if server not in self.known:
                    self.known.append(server)
                    server.put(
                        {**config_map("foreign", of=name), "metadata": {"name": "foreign", "namespace": "default"}}
                    )
            self._alive(lambda: self.fleet.run(passes=1, seconds=1000.0))

    def time(self, seconds: int) -> None:
        self.fleet.now += seconds

    def edit(self, what: tuple[str, str]) -> None:
        server = self.fleet.nested.get(what[0])
        live = server.get("", "ConfigMap", "web", what[1]) if server else None
        if server and live:
            server.put({**live, "data": {**live["data"], "text": "by hand"}}, manager="kubectl-edit")

    def delete(self, what: tuple[str, str]) -> None:
        server = self.fleet.nested.get(what[0])
        if server and server.get("", "ConfigMap", "web", what[1]):
            server.delete("", "ConfigMap", "web", what[1])
            self.uids.pop((what[0], what[1]), None)

    def restart(self, _: int) -> None:
        self._alive(self.fleet.restart)

    def kill(self, after: int) -> None:
        if not self.disturbed:
            return
        choose = kill(after)
        servers = list(self._servers())
        for server in servers:
            server.choosers.append(choose)
        self.run(10)
        for server in servers:
            server.heal(choose)

    def _alive(self, act: Callable[[], None]) -> None:
        """Do it; a killed process is followed by another one, which may fail to start a few times."""
        for _ in range(50):
            try:
                act()
                return
            except Killed:
                act = self.fleet.restart
            except Exception as error:
                if not self.disturbed or type(error).__module__ != "reconciler.errors":
                    raise
                act = self.fleet.restart  # a start that cannot read what the host remembers ends, and is begun again
        raise AssertionError("the controller does not start any more")

    def _servers(self) -> Iterator[Server]:
        yield self.fleet.host
        yield from self.fleet.nested.values()

    def _check(self) -> None:
        """What Git wanted all along is the object it was; what is somebody else's is there."""
        for name, server in self.fleet.nested.items():
            live = server.get("", "ConfigMap", "web", "keep")
            uid = live["metadata"]["uid"] if live else ""
            known = self.uids.get((name, "keep"))
            if name in self.pushed and known:
                assert uid == known, f"{name}: ConfigMap keep was deleted"
            if uid and name in self.pushed:
                self.uids[name, "keep"] = uid
            else:
                self.uids.pop((name, "keep"), None)
            foreign = server.get("", "ConfigMap", "default", "foreign")
            assert foreign is None or foreign["data"] == {"of": name}


def world(fleet: Fleet) -> dict[str, Any]:
    """Everything that stands, free of what differs between any two runs: what a removed cluster held when its engine went."""
    found: dict[str, Any] = {}
    states = fleet.store.load().states
    over = {name for name, state in states.items() if state.record.tombstone}
    for server in (fleet.host, *(one for name, one in fleet.nested.items() if name not in over)):
        for kind in KINDS:
            for one in server.objects(*kind):
                meta = one["metadata"]
                home = meta.get("namespace", meta["name"])
                if home in (HOME, "default") or home.startswith("kube-"):
                    continue
                key = f"{server.name} {kind[1]} {meta.get('namespace', '')}/{meta['name']}"
                found[key] = {name: one[name] for name in ("data", "spec") if name in one and kind[1] != "Service"}
    for name, state in states.items():
        kept = [one for one in state.entries if name not in over or not one.target.nested]
        found[f"record {name}"] = (name in over, sorted(f"{one.target} {one.ref} {one.state}" for one in kept))
    return found


KINDS = (
    ("", "Namespace"), ("", "ConfigMap"), ("", "Secret"), ("", "Service"), ("", "ServiceAccount"), ("apps", "StatefulSet"),
    ("rbac.authorization.k8s.io", "RoleBinding"), ("networking.k8s.io", "NetworkPolicy"), ("zones.example", "Zone"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_disturbed_history_ends_as_an_undisturbed_one(seed: int) -> None:
    history = steps(seed)
    calm, wild = Story(seed, False), Story(seed, True)
    calm.play(history)
    wild.play(history)
    expected, got = world(calm.fleet), world(wild.fleet)
    assert got == expected
