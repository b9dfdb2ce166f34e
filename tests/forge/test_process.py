"""A whole controller process with a forge: what a webhook announces is planned at once, and a stop ends the loop."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.__main__ import main
from reconciler.controller import sync_requests
from reconciler.controller.service import Service
from reconciler.model import ForgeConfig, ReviewConfig, WebhookConfig
from tests import installed
from tests.forge.server import Forge
from tests.memory.http import Front
from tests.memory.server import Server
from tests.shell import client
from tests.test_service import NAMESPACE, House
from tests.waiting import eventually


@pytest.fixture
def forge() -> Iterator[Forge]:
    made = Forge("github")
    yield made
    made.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    server = Server(clock=time.time)
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for one in installed.kinds():
        server.put(one)
    with Front(server) as front:
        made = House(server, front.url, tmp_path)
        yield made
        made.end()


def leading(house: House, forge: Forge) -> Service:
    """A controller that asks the forge once an hour, and when it is told to."""
    (house.folder / "token").write_text(forge.state.token)
    (house.folder / "secret").write_text("s3cret" * 8)
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


def test_what_a_webhook_announces_is_planned_at_once(
    house: House, forge: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    service = leading(house, forge)
    number = opened(house, forge)
    url = f"http://127.0.0.1:{service.ports['webhook']}/webhook/platform"
    flags = ["--forge", "github", "--url", url, "--secret-file", str(house.folder / "secret")]
    assert main(["webhook", "send", *flags, "--change", str(number)]) == 0
    eventually(lambda: bool(forge.state.ours(number)))
    assert "Nothing changes" in forge.state.ours(number)[0]
    capsys.readouterr()
    inside = ["--address", f"127.0.0.1:{service.internal_port}"]
    eventually(lambda: main(["changes", *inside]) == 0 and "#1" in capsys.readouterr().out)
    assert main(["changes", *inside, "-o", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["changes"]
    assert (told["source"], told["author"], told["state"], told["verdict"]) == (
        "platform",
        "ada",
        "success",
        "Nothing changes",
    )
    assert main(["changes", "other", *inside]) == 0
    assert capsys.readouterr().out == "no open change request\n"
    assert main(["plan", "--change", "1", *inside, "--detailed-exitcode"]) == 0
    assert "platform #1@sha1:" in capsys.readouterr().out
    assert main(["plan", "--change", "1", "--source", "platform", *inside, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "platform"
    for code, *wrong in (
        (1, "--change", "2"),
        (1, "--change", "1", "--source", "a/b"),
        (64, "--change", "1", "--layer", "engine"),
    ):
        assert main(["plan", *wrong, *inside]) == code
        assert "hint: " in capsys.readouterr().err


def test_what_another_replica_stored_is_planned(house: House, forge: Forge) -> None:
    leading(house, forge)
    number = opened(house, forge)
    sync_requests.rise(client(house.server), NAMESPACE, "platform", sync_requests.CHANGES)
    eventually(lambda: bool(forge.state.ours(number)))


def test_no_forge_is_asked_because_a_source_object_changed(house: House, forge: Forge) -> None:
    """Anybody who may ask for a sync changes it, as often as they like; and so does every sync."""
    service = leading(house, forge)
    assert service.changes is not None
    changes = service.changes._changes["platform"]
    eventually(lambda: not changes._asked)
    marks = {sync_requests.RESYNC: str(time.time_ns()), "other": "1"}
    service.changes.marked({"metadata": {"name": "platform", "annotations": marks}})
    assert not changes._asked
    number = opened(house, forge)
    service.changes.marked(
        {"metadata": {"name": "platform", "annotations": {sync_requests.CHANGES: str(time.time_ns())}}}
    )
    eventually(lambda: bool(forge.state.ours(number)))


def test_a_stop_ends_the_loop(house: House, forge: Forge) -> None:
    service = leading(house, forge)
    assert service.changes is not None
    (rounds,) = service.changes.rounds.values()
    service.stop()
    assert not rounds._thread.is_alive()
