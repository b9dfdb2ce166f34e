"""A name that is free again wakes the source that waits for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.assignment import Assignment, Outcome
from reconciler.controller import briefs
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.controller.sources import Sources
from reconciler.errors import Retry
from reconciler.inventory.store import State
from reconciler.model import (
    ControllerSpec,
    EngineConfig,
    Record,
    Revision,
    Rollout,
    Snapshot,
    SourceConfig,
    Tombstone,
    replace,
)
from reconciler.report import Reporter
from reconciler.report.view import Place
from reconciler.settings import Settings
from reconciler.spec import resolve
from tests import installed
from tests.memory.server import Server
from tests.shell import client
from tests.spec_cases import CLUSTER, FACTS, FILES, RULES, snapshot
from tests.test_source_mirror import Work

NAMESPACE = "nidus-system"


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    server = Server()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for one in installed.kinds():
        server.put(one)
    made = Reporter(client(server), NAMESPACE, "test")
    yield made
    made.close()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit(FILES)
    return made


class Between(Registry):
    """The registry; what a test chose happens once in another thread's place, after a visit of the sources."""

    after_revise: Callable[[], None] = staticmethod(lambda: None)
    after_shown: Callable[[], None] = staticmethod(lambda: None)

    def revise(self, snapshot: Snapshot, now: float) -> tuple[Rollout, list[str]]:
        found = super().revise(snapshot, now)
        then, self.after_revise = self.after_revise, lambda: None
        then()
        return found

    def shown(self) -> set[str]:
        found = super().shown()
        then, self.after_shown = self.after_shown, lambda: None
        then()
        return found


@pytest.fixture
def registry() -> Between:
    return Between(RULES, FACTS, {})


@contextmanager
def opened(tmp_path: Path, registry: Registry, reporter: Reporter, **works: Work) -> Iterator[Sources]:
    """Sources by name, each of one repository."""
    configs = [SourceConfig(name=name, url=str(work.folder), interval="1h") for name, work in works.items()]
    spec = ControllerSpec(sources=tuple(configs), engine=EngineConfig(versions=()))
    settings = Settings(spec, RULES.engines, {}, tmp_path / "data", "one", False, "nidus-system:nidus")
    made = Sources(settings, registry, Queue(), reporter, threading.Event())
    made.open()
    yield made
    made.close()


@pytest.fixture
def sources(tmp_path: Path, work: Work, registry: Registry, reporter: Reporter) -> Iterator[Sources]:
    with opened(tmp_path, registry, reporter, second=work) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path, work: Work, registry: Registry, reporter: Reporter) -> Iterator[tuple[Sources, Work]]:
    """Source "second", and "first" with its own repository."""
    other = Work(tmp_path / "other")
    other.commit(exposed("team-x", "h.example.com"))
    with opened(tmp_path, registry, reporter, second=work, first=other) as made:
        yield made, other


def exposed(name: str, host: str) -> dict[str, str]:
    spec = f"spec:\n  expose: {{type: Ingress, host: {host}}}\n"
    return {f"clusters/{name}.yaml": CLUSTER.partition("spec:")[0].replace("team-a", name) + spec}


def state(source: str, name: str = "team-a") -> State:
    return State(Record(source, name, "local", f"clusters/{name}.yaml", "main", "c" * 40, {}, "n", 1.0))


def step(sources: Sources, name: str = "second") -> str:
    """One sync of the source; what woke it."""
    source = sources.following[name]
    woken = source.wake.take()
    source.step(woken)
    return woken.trigger


def test_a_freed_name_wakes_the_source_that_waits_for_it(sources: Sources, registry: Registry) -> None:
    registry.keep(state("first"))
    step(sources)
    assert registry.names() == []
    removed = resolve.tombstone(state("first").record, None, Tombstone(1.0, 1.0, "Delete", False), RULES)
    report = briefs.failed("team-a", removed.revision, Retry("x"))
    assert registry.finish(Assignment(removed, state("first"), "first"), Outcome(report, None, over=True)).gone
    sources.freed("another")
    assert step(sources) == "poll"
    assert registry.names() == []
    sources.freed("team-a")
    assert step(sources) == "name"
    assert registry.names() == ["team-a"]


def test_a_cluster_never_accepted_goes_with_its_file(
    sources: Sources, registry: Registry, reporter: Reporter, work: Work
) -> None:
    work.commit(
        {"clusters/team-b.yaml": FILES["clusters/team-a.yaml"].replace("team-a", "team-b").replace("spec:", "spek:")}
    )
    step(sources)
    assert registry.names() == ["team-a", "team-b"]
    reporter.cluster(briefs.invalid("team-b", Revision("main", "c"), "line 1"), Place("second", "x"))
    assert reporter.statuses.settle(60)
    assert set(reporter.statuses.names("NestedCluster")) == {"team-b"}
    work.commit({}, gone=("clusters/team-b.yaml",))
    step(sources)
    assert registry.names() == ["team-a"]
    assert reporter.statuses.settle(60)
    assert reporter.statuses.names("NestedCluster") == {}


def test_a_cluster_whose_pass_outlived_its_file_is_not_forgotten(
    sources: Sources, registry: Registry, work: Work
) -> None:
    """It was created while the commit that removes it was read."""
    step(sources)
    work.commit({}, gone=("clusters/team-a.yaml",))
    step(sources)
    assert registry.names() == []
    registry.keep(state("second"))
    sources.astray()
    assert step(sources) == "record"
    assert registry.take("team-a", 4.0, "n") is not None
    sources.astray()
    assert step(sources) == "poll"


def test_a_status_follows_a_file_that_moved_without_a_pass(
    sources: Sources, registry: Registry, reporter: Reporter, work: Work
) -> None:
    step(sources)
    done = briefs.invalid("team-a", Revision("main", "c"), "line 1")
    reporter.cluster(done, Place("second", "clusters/team-a.yaml"))
    work.commit({"teams/a.yaml": FILES["clusters/team-a.yaml"]}, gone=("clusters/team-a.yaml",))
    step(sources)
    assert reporter.statuses.settle(60)
    assert reporter.statuses.names("NestedCluster")["team-a"]["file"] == "teams/a.yaml"


def over(registry: Registry) -> None:
    """The removal of team-a, which the source "first" held, is over."""
    removed = resolve.tombstone(state("first").record, None, Tombstone(1.0, 1.0, "Delete", False), RULES)
    report = briefs.failed("team-a", removed.revision, Retry("x"))
    assert registry.finish(Assignment(removed, state("first"), "first"), Outcome(report, None, over=True)).gone


def test_a_name_that_is_freed_while_the_tree_is_admitted_wakes_too(sources: Sources, registry: Between) -> None:
    registry.keep(state("first"))

    def removed() -> None:
        over(registry)
        sources.freed("team-a")

    registry.after_revise = removed
    step(sources)
    assert registry.names() == []
    assert step(sources) == "name"
    assert registry.names() == ["team-a"]


def test_what_was_read_during_a_sweep_keeps_its_status(
    sources: Sources, registry: Between, reporter: Reporter, work: Work
) -> None:
    """Another source's sync sweeps while this one is read for the first time."""
    said = briefs.invalid("team-a", Revision("main", "c"), "line 1")
    reporter.cluster(said, Place("second", "x"))
    assert reporter.statuses.settle(60)
    registry.after_shown = lambda: sources.following["second"].step(sources.following["second"].wake.take())
    sources.sweep()
    assert registry.names() == ["team-a"]
    assert reporter.statuses.settle(60)
    assert set(reporter.statuses.names("NestedCluster")) == {"team-a"}


def test_a_mended_record_is_recalled_by_its_source_in_its_own_thread(
    sources: Sources, registry: Registry, work: Work
) -> None:
    kept = state("second")
    commit = sources.following["second"].mirror.fetch().commit
    registry.keep(State(replace(kept.record, commit=commit)))
    work.folder.rename(work.folder.with_name("away"))  # Git cannot be read; the mirror can
    sources.mended("team-a")
    assert registry.accepted("second") == {}
    assert step(sources) == "record"
    assert registry.accepted("second")["team-a"].revision.commit == commit


def test_a_host_name_is_one_sources_before_any_pass_stored_it(
    two: tuple[Sources, Work], registry: Registry, work: Work
) -> None:
    sources, _ = two
    work.commit(exposed("team-a", "h.example.com"))
    step(sources, "first")
    step(sources)
    assert registry.records() == {}
    assert held(registry, "team-a") == "HostTaken"
    assert held(registry, "team-x") == ""


def test_a_host_name_that_is_given_up_wakes_the_source_that_waits_for_it(
    two: tuple[Sources, Work], registry: Registry, work: Work
) -> None:
    sources, other = two
    work.commit(exposed("team-a", "h.example.com"))
    step(sources, "first")
    step(sources)
    other.commit(exposed("team-x", "x.example.com"))
    step(sources, "first")
    assert step(sources) == "name"
    assert held(registry, "team-a") == held(registry, "team-x") == ""


def test_a_cluster_that_goes_before_it_was_stored_frees_its_names(
    two: tuple[Sources, Work], registry: Registry, work: Work
) -> None:
    """Also its own: of two sources with one new name, the first has it."""
    sources, other = two
    work.commit(exposed("team-x", "y.example.com") | exposed("team-a", "h.example.com"))
    step(sources, "first")
    step(sources)
    assert registry.names("first") == ["team-x"]
    assert held(registry, "team-a") == "HostTaken"
    (other.folder / "clusters/team-x.yaml").unlink()
    other.commit(exposed("team-z", "z.example.com"))
    step(sources, "first")
    assert step(sources) == "name"
    assert registry.names("second") == ["team-a", "team-x"]
    assert held(registry, "team-a") == held(registry, "team-x") == ""


def test_a_record_of_before_keeps_the_host_name_of_its_accepted_file(
    sources: Sources, registry: Registry, work: Work
) -> None:
    """After an update: nothing of its source was admitted yet, and its record says nothing of host names."""
    registry.keep(state("first", "team-x"))
    registry.remember({"team-x": snapshot(exposed("team-x", "h.example.com"))[0].content})
    work.commit(exposed("team-a", "h.example.com"))
    step(sources)
    assert held(registry, "team-a") == "HostTaken"


def held(registry: Registry, cluster: str) -> str:
    """Why the cluster is held, "" if it is not."""
    taken = registry.take(cluster, 1.0, "n")
    assert taken is not None
    return taken.held.reason if taken.held else ""
