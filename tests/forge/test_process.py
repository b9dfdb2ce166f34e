"""A whole controller process with a forge: what a webhook announces is planned at once, and a stop ends the loop."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from reconciler.controller import sync_requests
from reconciler.controller.service import Service
from reconciler.model import ForgeConfig, ReviewConfig, WebhookConfig
from tests.forge.server import Forge
from tests.memory.http import Front
from tests.memory.server import Server
from tests.shell import client
from tests.test_service import CRDS, NAMESPACE, House
from tests.waiting import eventually, until


@pytest.fixture
def forge() -> Iterator[Forge]:
    made = Forge("github")
    yield made
    made.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    server = Server(clock=time.time)
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for file in sorted(CRDS.glob("*.yaml")):
        server.put(yaml.safe_load(file.read_text()))
    with Front(server) as front:
        made = House(server, front.url, tmp_path)
        yield made
        made.end()


def leading(house: House, forge: Forge) -> Service:
    """A controller that asks the forge once an hour, and when it is told to."""
    (house.folder / "token").write_text(forge.state.token)
    (house.folder / "secret").write_text("s3cret")
    config = ForgeConfig(
        provider="github",
        api=forge.api,
        repository=forge.state.repository,
        token_file=str(house.folder / "token"),
        review=ReviewConfig(interval="1h"),
    )
    webhook = WebhookConfig(provider="github", secret_files=(str(house.folder / "secret"),))
    service = house.leads(forge=config, webhook=webhook)
    eventually(lambda: any(one.path.endswith("/pulls") for one in forge.asked))
    return service


def opened(house: House, forge: Forge) -> int:
    house.work.git("checkout", "-q", "-b", "feature")
    head = house.work.commit({"words.md": "words"})
    house.work.git("checkout", "-q", "main")
    house.work.git("update-ref", "refs/pull/1/head", head)
    return forge.state.open(head)


def test_what_another_replica_stored_is_planned_at_once(house: House, forge: Forge) -> None:
    leading(house, forge)
    number = opened(house, forge)
    sync_requests.rise(client(house.server), NAMESPACE, "platform", sync_requests.CHANGES)
    eventually(lambda: bool(forge.state.ours(number)))
    assert "Nothing changes" in forge.state.ours(number)[0]


def test_a_stop_ends_the_loop_while_the_forge_is_silent(house: House, forge: Forge) -> None:
    service = leading(house, forge)
    assert service.changes is not None
    opened(house, forge)
    forge.fail(200, body=b" " * 100_000, drip=0.05)
    asked = len(forge.asked)
    service.changes.asked("platform")
    eventually(lambda: len(forge.asked) > asked)
    forge.over.set()
    service.stop()
    assert until(lambda: not any(one._thread.is_alive() for one in service.changes.rounds.values()))  # type: ignore[union-attr]
