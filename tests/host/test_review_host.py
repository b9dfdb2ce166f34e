"""Change requests of a forge on the loopback, with a real controller process on the embedded host: nothing is destroyed that
was not shown, and a forge is never in a sync's way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost.account import Account
from devhost.hosting import TestHost
from reconciler.__main__ import main
from tests.forge.server import Forge
from tests.host.field import Field, opened
from tests.host.promises import digest, maps, nidus, standing, write_maps

pytestmark = [pytest.mark.host, pytest.mark.long]
ALL = ("one", "two", "three", "four", "five", "six", "seven", "eight")
WRONG: Mapping[str, dict[str, Any]] = {
    "hangs": {"status": 200, "body": b"[" + b" " * 4000, "drip": 0.5},
    "fails": {"status": 500},
    "refuses": {"status": 403, "headers": {"Retry-After": "60"}},
}


@dataclass
class Desk:
    """A field whose source has a forge, and what people do there."""

    field: Field
    forge: Forge

    def git(self, *words: str) -> str:
        return self.field.stage.repository.git(*words).strip()

    def open(self, write: Callable[[], None]) -> int:
        """A change request with what `write` writes; its number, once its plan is shown."""
        number = len(self.forge.state.changes) + 1
        self.git("checkout", "--quiet", "-b", f"feature-{number}")
        assert self.forge.state.open(self._head(number, write)) == number
        self.shown(number)
        return number

    def _head(self, number: int, write: Callable[[], None]) -> str:
        write()
        head = self.field.stage.repository.commit(f"For #{number}")
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{number}/head")
        self.git("checkout", "--quiet", "main")
        return head

    def announce(self, number: int) -> None:
        stage = self.field.stage
        url, secret = f"http://127.0.0.1:{stage.webhook}/webhook/platform", str(stage.folder / "webhook-secret")
        words = ("webhook", "send", "--forge", "github", "--url", url, "--secret-file", secret)
        assert main([*words, "--change", str(number)]) == 0

    def shown(self, number: int) -> None:
        """Until the head of the change request has its plan, and the round that wrote it is over: a later one has begun."""
        state = self.forge.state
        self.announce(number)
        head = state.changes[number].head
        self.field.until("its plan is shown", lambda: state.shown(head)[-1:] in (["success"], ["failure"]))
        before = len(self.forge.asked)
        self.announce(number)
        self.field.until(
            "it is asked again", lambda: any(one.path.endswith("/pulls") for one in self.forge.asked[before:])
        )

    def merge(self, number: int) -> None:
        self.git("merge", "--quiet", "--no-ff", "-m", f"Merge #{number}", self.forge.state.changes[number].head)
        self.forge.state.merge(number, self.git("rev-parse", "main"))
        self.field.stage.repository.push()
        self.announce(number)


@pytest.fixture
def desk(shared_host: TestHost, account: Account, tmp_path: Path) -> Iterator[Desk]:
    forge = Forge("github")
    token = tmp_path / "stage" / "token"
    told: dict[str, Any] = {"provider": "github", "api": forge.api, "repository": forge.state.repository}
    told |= {"tokenFile": str(token), "review": {"interval": "1h"}}
    field = opened(account, tmp_path / "stage", {"source": {"forge": told}})
    token.write_text(forge.state.token)
    yield Desk(field, forge)
    field.end()
    forge.close()


def test_what_was_made_anew_by_hand_after_the_plan_is_held(desk: Desk) -> None:
    """Within the budget, too; the forge does not answer any more, so that the comment shows the object that was there before."""
    field = desk.field
    name, inside = standing(field, *ALL)
    number = desk.open(lambda: write_maps(field, *ALL[:-1]))
    before = maps(inside, name)["eight"]
    desk.forge.fail(500)
    inside.delete("v1", "ConfigMap", "eight", f"{name}-web")
    nidus(field, "sync")
    field.until("it is made anew", lambda: maps(inside, name).get("eight", before) != before)
    anew = maps(inside, name)["eight"]
    desk.merge(number)
    held = digest(field, name)
    assert "PlanChanged" in json.dumps(field.status(name))
    assert maps(inside, name)["eight"] == anew
    nidus(field, "approve", held)
    field.until("what was approved is done", lambda: maps(inside, name).keys() == set(ALL[:-1]))


def first_write(desk: Desk, text: str) -> float:
    """Seconds from a push to its first write for the cluster, by the audit log, once it is applied."""
    field, name = desk.field, desk.field.cluster()
    audit = field.account.audit.now()
    write_maps(field, f"one-{text}")
    commit = field.push()
    field.wait_applied(name, commit)
    began = float(field.stage.stamp.read_text())
    times = [one["requestReceivedTimestamp"] for one in field.writes(audit) if name in json.dumps(one["objectRef"])]
    field.quiet()
    return datetime.fromisoformat(min(times)).timestamp() - began


def beside(desk: Desk, turn: str) -> float:
    """The same beside a request to the forge that goes wrong."""
    before = len(desk.forge.asked)
    desk.announce(1)
    hangs = any(one.drip for one in desk.forge.failures)
    if hangs:
        desk.field.until("it hangs", lambda: desk.forge.dripping)
    elif turn.endswith("-0"):  # later ones find that it has to be waited for
        desk.field.until("it was asked", lambda: len(desk.forge.asked) > before)
    return first_write(desk, turn)


def test_a_sync_is_never_later_than_without_a_forge(desk: Desk) -> None:
    """A forge that hangs, or answers nothing but errors, beside a push; then the same without a forge."""
    standing(desk.field, "one")
    desk.field.quiet()
    took: dict[str, list[float]] = {}
    for what, answer in WRONG.items():
        desk.forge.failures.clear()
        desk.forge.fail(**answer)
        took[what] = [beside(desk, f"{what}-{turn}") for turn in range(3)]
    without_forge(desk)
    usual = [first_write(desk, f"without-{turn}") for turn in range(5)]
    for what, times in took.items():
        assert min(times) <= max(usual), (what, times, usual)
        assert sorted(times)[1] <= 2 * max(usual), (what, times, usual)


def without_forge(desk: Desk) -> None:
    """The controller begins anew, and knows of no forge."""
    field = desk.field
    config = yaml.safe_load(field.stage.config.read_text())
    del config["spec"]["sources"][0]["forge"]
    assert field.controller
    field.controller.stop()
    field.stage.config.write_text(yaml.safe_dump(config))
    field.start()
    field.quiet()
