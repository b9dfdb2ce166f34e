"""One history played, as it should be and disturbed; what is wrong with it, and the shortest part of it that still is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler import jitter
from reconciler.model import Budget, replace
from reconciler.report import bodies, log
from tests.histories.failing import Failing, Killed
from tests.histories.steps import Files, Step
from tests.histories.watchman import Watchman
from tests.memory.server import LOGGED, Server
from tests.passes import HOME, RULES, Fleet

FREE = replace(RULES, budget=Budget(clusters=100, objects_percent=100, objects_minimum=1000))
STRICT = replace(RULES, budget=Budget(clusters=1, objects_percent=0, objects_minimum=0))
WRITTEN = 60.0  # seconds until every status is written
OLDER = ("v1.35.0",)
Met = Counter[tuple[str, str, str]]
KINDS = (
    ("", "Namespace"), ("", "ConfigMap"), ("", "Secret"), ("", "Service"), ("", "ServiceAccount"), ("apps", "StatefulSet"),
    ("rbac.authorization.k8s.io", "RoleBinding"), ("networking.k8s.io", "NetworkPolicy"), ("zones.example", "Zone"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
)  # fmt: skip


def wrong(seed: int, history: list[Step], met: Met | None = None) -> str:
    """What is wrong with a disturbed history; "" = it ends as the undisturbed one, and nothing was lost on the way."""
    calm, wild = Story(seed, None), Story(seed, Failing(seed, met if met is not None else Counter()))
    try:
        calm.play(history)
        wild.play(history)
    except AssertionError as error:
        return str(error)
    finally:
        calm.close()
        wild.close()
    expected = _reached(calm.end, wild)
    return _differences(expected, wild.end, "before the restart") or _differences(expected, wild.last, "at the end")


def shortened(seed: int, history: list[Step], found: str) -> tuple[list[Step], str]:
    """The history without the steps that are not needed for something to be wrong, and what then is."""
    at = len(history) - 1
    while at > 0:
        without = history[:at] + history[at + 1 :]
        again = wrong(seed, without)
        if again:
            history, found = without, again
        at -= 1
    return history, found


def _reached(expected: Mapping[str, Any], wild: Story) -> dict[str, Any]:
    """What is expected of a disturbed story, without what a removed cluster keeps (Retain) that it never came to make."""
    assert len(wild.fleet.host.log) < LOGGED, "the log does not have every call"
    made = {
        f"host {call.kind} {call.namespace}/{call.name}"
        for call in wild.fleet.host.log
        if call.verb in ("apply", "create") and not call.dry_run
    }
    found = dict(expected)
    for record, known in expected.items():
        over, entries = known if record.startswith("record ") else (False, ())
        home = f"vcluster-{record.removeprefix('record ')}"
        missing = [key for key in expected if over and f" {home}/" in key and key not in made]
        for key in missing:
            del found[key]
        if missing and record in wild.end:
            found[record] = (over, sorted(set(entries) & set(wild.end[record][1])))
    return found


def _differences(expected: Mapping[str, Any], got: Mapping[str, Any], when: str) -> str:
    names = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
    return "; ".join(f"{when} {name} is {got.get(name)}, not {expected.get(name)}" for name in names[:5])


class Story:
    """One history on one fleet; `failing`: how it is disturbed. `end` is what stands when all has settled, `last` after a restart."""

    def __init__(self, seed: int, failing: Failing | None) -> None:
        jitter.SOURCE.seed(seed)
        self.rules = FREE if seed % 2 else STRICT
        self.fleet = Fleet(self.rules, cached=seed % 4 != 3)
        self.failing = failing
        self.watchman = Watchman(self.fleet)
        self.end: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        if failing:
            self.fleet.host.choosers.append(failing)

    def play(self, history: list[Step]) -> None:
        """Every step; then all is well with the servers, and everything is approved, resumed and left to settle."""
        for kind, what in history:
            getattr(self, kind)(what)
            self.watchman.look()
        calm = self.failing is None
        self.heal()
        self.settle(0)
        if not calm:
            self.idle()
        self.end = world(self.fleet)
        assert not self.end["held"], "what was approved is held"
        if calm:
            return
        self._alive(self.fleet.restart)
        self.settle(0)
        self.last = world(self.fleet)

    def heal(self) -> None:
        for server in self._servers():
            server.heal()
        self.failing = None
        self.fleet.deaf.clear()
        for name in sorted(self.fleet.registry.names()):
            self.fleet.ask("resume", name)
            self.fleet.ask("wake", name)
        if self.fleet.rules is not self.rules:
            self.versions(0)

    def close(self) -> None:
        self.fleet.close()

    # Steps

    def push(self, what: tuple[Files, Any]) -> None:
        files, wanted = what
        self.watchman.want(wanted)
        self._alive(lambda: self.fleet.push(files))

    def run(self, passes: int) -> None:
        for _ in range(passes):
            self._meet()
            self._alive(lambda: self.fleet.run(passes=1, seconds=20.0))
            self.watchman.glance()

    def settle(self, _: int) -> None:
        """Until nothing is due for minutes and nothing is held: what a human would approve is approved."""
        for _ in range(4):
            self._meet()
            for _ in range(8):
                self._alive(lambda: self.fleet.run(passes=40, seconds=200.0))
                self.watchman.glance()
                if not self.fleet.queue.depth()[0]:
                    break
            if not self.approve(0):
                break
        self.watchman.look()
        self.written()

    def idle(self) -> None:
        """Time passes: everything is looked at once more."""
        self.fleet.now += 400.0
        self._alive(lambda: self.fleet.run(passes=40, seconds=100.0))
        self.watchman.look()

    def approve(self, _: int) -> bool:
        """Approve everything that is held; whether anything was."""
        held = {name: one.held for name, one in self.fleet.reporter.clusters.items() if one.held and one.held.consent}
        asked = {(name, one.consent, one.items) for name, one in held.items() if one}
        asked |= {("", one.consent, one.items) for one in self.fleet.held.values() if one.consent}
        for name, consent, items in sorted(asked):
            self._alive(lambda n=name, c=consent, i=items: self.fleet.ask("approve", n, c, i))  # type: ignore[misc]
        return bool(asked)

    def suspend(self, name: str) -> None:
        self._alive(lambda: self.fleet.ask("suspend", name))

    def resume(self, name: str) -> None:
        self._alive(lambda: self.fleet.ask("resume", name))

    def sleep(self, name: str) -> None:
        self._alive(lambda: self.fleet.ask("sleep", name))

    def wake(self, name: str) -> None:
        self._alive(lambda: self.fleet.ask("wake", name))

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
            self.watchman.forget(what[0], "", what[1])

    def restart(self, _: int) -> None:
        self._alive(self.fleet.restart)

    def outage(self, passes: int) -> None:
        """The controller starts while Git cannot be read; later it can."""
        self._alive(lambda: self.fleet.restart(git=False))
        self.run(passes % 10)
        self._alive(self.fleet.admit)

    def versions(self, _: int) -> None:
        """The operator takes a version of Kubernetes off the list, or gives it back."""
        older = replace(self.rules, kubernetes_versions=OLDER)
        self.fleet.rules = older if self.fleet.rules is self.rules else self.rules
        self._alive(self.fleet.restart)

    def kill(self, after: int) -> None:
        if self.failing is None:
            return
        self.failing.deadly = 2 * after
        self.run(10)
        self.failing.deadly = 0

    # Parts

    def written(self) -> None:
        """The status objects say what is known of each cluster, and there are no others."""
        self.fleet.sweep()
        assert self.fleet.reporter.statuses.settle(WRITTEN), "statuses are not written"
        known = {name: log.shown(bodies.cluster(one)[1]) for name, one in self.fleet.reporter.clusters.items()}
        found = {
            one["metadata"]["name"]: one.get("status") for one in self.fleet.host.objects("nidus.dev", "NestedCluster")
        }
        assert found == known, f"the status objects say {found}, not {known}"

    def _meet(self) -> None:
        """Nested servers that are new fail too, and hold something of somebody else."""
        for name, server in self.fleet.nested.items():
            if self.failing and self.failing not in server.choosers:
                server.choosers.append(self.failing)
            if self.failing and name in self.fleet.watched and self.failing.deaf():
                self.fleet.deaf ^= {name}
        self.watchman.meet()

    def _alive(self, act: Callable[[], object]) -> None:
        """Do it; a killed process is followed by another one, which may fail to start a few times."""
        for _ in range(50):
            try:
                act()
                return
            except Killed:
                assert self.failing is not None
                self.failing.born_again()
                act = self.fleet.restart
            except Exception as error:
                if self.failing is None or type(error).__module__ != "reconciler.errors":
                    raise
                act = self.fleet.restart  # a start that cannot read what the host remembers ends, and is begun again
        raise AssertionError("the controller does not start any more")

    def _servers(self) -> Iterator[Server]:
        yield self.fleet.host
        yield from self.fleet.nested.values()


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
    found["words"] = {name: one.word for name, one in fleet.reporter.clusters.items()}
    found["held"] = {name: one.held.reason for name, one in fleet.reporter.clusters.items() if one.held is not None}
    return found
