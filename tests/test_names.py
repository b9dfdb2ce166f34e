"""A name that is free again wakes the source that waits for it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from reconciler.controller.board import Board
from reconciler.controller.intake import Intake
from reconciler.controller.queue import Queue
from reconciler.inventory.store import State
from reconciler.model import ControllerSpec, EngineConfig, Record, SourceConfig
from reconciler.report import Reporter
from reconciler.settings import Settings
from tests.memory.server import Server
from tests.shell import client
from tests.spec_cases import FILES, POLICY
from tests.test_source_mirror import Work

CRDS = Path(__file__).parent.parent / "deploy" / "crds"
NAMESPACE = "nidus-system"


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    server = Server()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for file in sorted(CRDS.glob("*.yaml")):
        server.put(yaml.safe_load(file.read_text()))
    made = Reporter(client(server), NAMESPACE, "test")
    yield made
    made.close()


def test_a_freed_name_wakes_the_source_that_waits_for_it(tmp_path: Path, reporter: Reporter) -> None:
    work = Work(tmp_path / "work")
    work.commit(FILES)
    spec = ControllerSpec(
        sources=(SourceConfig(name="second", url=str(work.folder), interval="1h"),), engine=EngineConfig(versions=())
    )
    settings = Settings(spec, POLICY.engines, {}, tmp_path / "data", "one", False, "nidus-system:nidus")
    theirs = State(Record("first", "team-a", "local", "clusters/team-a.yaml", "main", "c" * 40, {}, "n", 1.0))
    board, queue, stop = Board(POLICY, {"team-a": theirs}), Queue(), threading.Event()
    intake = Intake(settings, board, queue, reporter, stop)
    intake.open()
    try:
        source = intake.sources["second"]
        source.step(source.wake.take())
        assert board.names() == []
        board.drop("team-a")  # the first source's cluster is over
        intake.freed("another")
        assert not source.wake.take().again
        intake.freed("team-a")
        woken = source.wake.take()
        assert (woken.trigger, woken.again) == ("name", True)
        source.step(woken)
        assert board.names() == ["team-a"]
    finally:
        intake.close()
