"""Commits, edits by hand and another applier in any order (A1): it ends as Git says, nobody else loses anything, and it ends."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests import shell
from tests.examples import examples
from tests.memory.server import Server
from tests.one_pass import Entries, live, run

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
KEYS, VALUES = st.sampled_from("abc"), st.sampled_from("xyz")
DATA = st.dictionaries(KEYS, VALUES, max_size=3)
STEP = st.one_of(
    st.tuples(st.just("commit"), DATA),
    st.tuples(st.just("edit"), DATA),
    st.tuples(st.just("remove"), DATA),
    st.tuples(st.just("apply"), DATA),
    st.tuples(st.just("look"), st.none()),
)


def config_map(data: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": "conf", "namespace": "web"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"kept": "1", **data}}


class History:
    """A server, and what each side wants by now."""

    def __init__(self, first: dict[str, str]) -> None:
        self.server = Server("", clock=lambda: 1_700_000_000.0)
        self.server.put(NAMESPACE)
        self.client = shell.client(self.server)
        self.entries: Entries = ()
        self.git, self.theirs = dict(first), dict[str, str]()
        self.look()

    def look(self) -> set[str]:
        done = run(self.client, [config_map(self.git)], self.entries)
        self.entries = done.entries
        return {outcome for _, outcome in done.outcomes}

    def edited(self, change: Any) -> None:
        there = copy.deepcopy(live(self.client, config_map({})))
        change(there["data"])
        self.server.put(there, manager="kubectl-edit")

    def step(self, what: str, data: dict[str, str] | None) -> None:
        if what == "commit":
            self.git = dict(data or {})
        elif what == "edit":
            self.edited(lambda it: it.update(data))
        elif what == "remove":
            self.edited(lambda it: [it.pop(key, None) for key in data or ()])
        elif what == "apply":
            self.theirs = dict(data or {})
            body = {**config_map({}), "data": self.theirs}
            self.server.apply(body, manager="argocd")
        else:
            self.look()

    def data(self) -> dict[str, str]:
        return dict(live(self.client, config_map({}))["data"])


@examples(40)
@given(DATA, st.lists(STEP, max_size=8))
def test_every_history_ends_as_git_says(first: dict[str, str], steps: list[Any]) -> None:
    history = History(first)
    for what, data in steps:
        history.step(what, data)
    before = history.data()
    outcomes = [history.look() for _ in range(3)]
    after = history.data()
    disputed = {key for key, value in history.theirs.items() if history.git.get(key, value) != before.get(key, value)}
    if outcomes[-1] == {"failed"}:
        assert disputed, (before, history.git, history.theirs)
        assert after == before
        return
    assert outcomes[-1] == {"unchanged"}
    history.server.log.clear()
    history.look()
    assert not [call for call in history.server.log if call.writes]
    assert {key: after.get(key) for key in history.git} == history.git and after["kept"] == "1"
    gone = before.keys() - after.keys()
    assert not {key for key in gone if key in history.theirs and before[key] == history.theirs[key]}
    never = before.keys() - first.keys() - {key for what, data in steps if what == "commit" for key in data}
    assert never <= after.keys()  # what Git never named stays


PORTS = st.lists(st.sampled_from([80, 81, 82]), min_size=1, max_size=2, unique=True)


def service(ports: list[int], *, by: str = "git") -> dict[str, Any]:
    spec = {"selector": {"a": "b"}, "ports": [{"name": f"p{index}", "port": port} for index, port in enumerate(ports)]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "conf", "namespace": "web"}, "spec": spec}


@examples(20)
@given(PORTS, st.lists(st.tuples(st.sampled_from(["commit", "edit", "look"]), PORTS), max_size=6))
def test_ports_end_as_git_says_whoever_edits_them(first: list[int], steps: list[tuple[str, list[int]]]) -> None:
    server = Server("", clock=lambda: 1_700_000_000.0)
    server.put(NAMESPACE)
    client, git, entries = shell.client(server), first, ()
    entries = run(client, [service(git)], entries).entries
    for what, ports in steps:
        if what == "commit":
            git = ports
        elif what == "edit":
            there = copy.deepcopy(live(client, service(git)))
            there["spec"]["ports"] = service(ports)["spec"]["ports"]
            server.put(there, manager="kubectl-edit")
        else:
            entries = run(client, [service(git)], entries).entries
    for _ in range(3):
        done = run(client, [service(git)], entries)
        entries = done.entries
    assert {outcome for _, outcome in done.outcomes} == {"unchanged"}, (done.results[0].error, git)
    there = {one["name"]: one["port"] for one in live(client, service(git))["spec"]["ports"]}
    assert {name: there[name] for name in [f"p{index}" for index in range(len(git))]} == dict(
        zip([f"p{index}" for index in range(len(git))], git, strict=True)
    )
    names = [one["name"] for one in live(client, service(git))["spec"]["ports"]]
    assert len(names) == len(set(names))  # a real server refuses anything else
