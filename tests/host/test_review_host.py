"""Change requests of a forge on the loopback, with a real controller process on the embedded host: what is shown is what is done after
the merge, nothing else is destroyed, and a forge is never in a sync's way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from devhost.account import Account
from devhost.api import Client
from devhost.hosting import TestHost
from reconciler.__main__ import main
from reconciler.model import replace
from tests.forge.server import Forge
from tests.forge.test_plan_is_sync import REPOS, SEEN, Done, Place, Repo, content, done
from tests.host.field import API, Field, opened
from tests.host.promises import digest, maps, nidus, standing, write_maps

pytestmark = [pytest.mark.host, pytest.mark.long]
ALL = ("one", "two", "three", "four", "five", "six", "seven", "eight")
INSIDE = "${{ cluster.name }}-web"
CHANGES = 5  # generated ones, the first of which is where it begins
ONE_BY_ONE = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
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

    def update(self, number: int, write: Callable[[], None]) -> None:
        self.git("checkout", "--quiet", f"feature-{number}")
        self.forge.state.pushed(number, self._head(number, write))
        self.shown(number)

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

    def merge(self, number: int, how: str = "merge") -> str:
        """Somebody merges it: by a merge commit, squashed, or as a fast-forward; the commit."""
        head = self.forge.state.changes[number].head
        if how == "merge":
            self.git("merge", "--quiet", "--no-ff", "-m", f"Merge #{number}", head)
        elif how == "squash":
            self.git("merge", "--quiet", "--squash", head)
            self.git("commit", "--quiet", "-m", f"Squash #{number}")
        else:
            self.git("merge", "--quiet", "--ff-only", head)
        commit = self.git("rev-parse", "main")
        self.forge.state.merge(number, commit)
        self.field.stage.repository.push()
        self.announce(number)
        return commit


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


def test_a_change_request_from_its_opening_to_its_merge(desk: Desk) -> None:
    field, state = desk.field, desk.forge.state
    name, inside = standing(field, *ALL)
    closed = desk.open(lambda: write_maps(field, "one"))
    desk.update(closed, lambda: write_maps(field, "one", "two"))
    (comment,) = state.ours(closed)
    assert "/eight" in comment and "/two" not in comment
    state.close(closed)
    desk.announce(closed)
    for how in ("merge", "squash", "forward"):
        number = desk.open(lambda: write_maps(field, "one"))
        assert maps(inside, name).keys() == set(ALL)
        state.review(number, "bob")
        commit = desk.merge(number, how)
        field.until(f"{how}: what was shown is done", lambda: maps(inside, name).keys() == {"one"})
        field.wait_applied(name, commit)
        everything(field, inside, name)
    alone = desk.open(lambda: write_maps(field, "one"))
    before = maps(inside, name)
    desk.merge(alone)
    assert digest(field, name)
    assert maps(inside, name) == before


def everything(field: Field, inside: Client, name: str) -> None:
    """A push after which all ConfigMaps are there."""
    write_maps(field, *ALL)
    commit = field.push()
    field.until("all are there", lambda: maps(inside, name).keys() == set(ALL))
    field.wait_applied(name, commit)


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


def test_generated_changes_are_done_as_they_were_planned(desk: Desk) -> None:
    """One repository becomes another by change requests that are approved and merged: of each object, what is done is what was planned."""
    field, state = desk.field, desk.forge.state
    last = Repo({}, zone=False, rest=False, clusters={"z": "Delete"})
    write_repo(field, last)
    field.push()
    field.start()
    field.wait(field.cluster("z"))
    wrong: list[str] = []

    @settings(ONE_BY_ONE, max_examples=CHANGES)
    @given(st.builds(_here, REPOS))
    def each(after: Repo) -> None:
        nonlocal last
        if wrong or after == last:
            return
        number = desk.open(lambda: write_repo(field, after))
        plan = json.loads(nidus(field, "plan", "--change", str(number), *internal(field), "-o", "json"))
        said = planned(plan)
        places = {one for _, one in said} | owned(field, {*last.clusters, *after.clusters})
        before = world(field, places)
        state.review(number, "bob")
        commit = desk.merge(number)
        settled(field, after, {one["cluster"] for one in plan["clusters"]}, commit)
        gone = {field.cluster(one) for one in last.clusters.keys() - after.clusters.keys()}
        assert removed(plan) == gone
        did = done(before, world(field, places | owned(field, after.clusters)))
        did = {(what, one) for what, one in did if cluster_of(one) not in gone and one[0] not in unborn(plan)}
        said = {(what, one) for what, one in said if cluster_of(one) not in gone}
        if did != said:
            wrong.append(f"{last} -> {after}: done alone {sorted(did - said)}, planned alone {sorted(said - did)}")
        last = after

    each()
    assert wrong == []


def _here(repo: Repo) -> Repo:
    """Clusters share one API server here, so that none has anything that is not in a namespace; and what is removed goes."""
    return replace(repo, zone=False, clusters=dict.fromkeys(repo.clusters, "Delete"))


def write_repo(field: Field, repo: Repo) -> None:
    for file in field.stage.repository.work.glob("*.yaml"):
        file.unlink()
    for path, text in repo.files(field.cluster, INSIDE).items():
        field.write(path, text)


def internal(field: Field) -> tuple[str, str]:
    return "--address", f"127.0.0.1:{field.stage.internal}"


def settled(field: Field, repo: Repo, touched: set[str], commit: str) -> None:
    """Until what was touched has the commit and is Ready, and nothing else is left."""
    names = {field.cluster(name) for name in repo.clusters}
    for name in sorted(names & touched):
        field.wait_applied(name, commit)
        field.wait(name)
    field.until("the others are gone", lambda: _known(field) == names)


def _known(field: Field) -> set[str]:
    return {one["metadata"]["name"] for one in field.admin.list(API, "NestedCluster", field.account.namespace)["items"]}


def planned(plan: Mapping[str, Any]) -> Done:
    """As `planned` of the property on the server in memory, from what the command prints."""
    found = [(one, each) for one in plan["clusters"] for each in one.get("changes", ())]
    actions = [(each.get("would") or each["action"], _place(each)) for _, each in found]
    return {(SEEN[action], place) for action, place in actions if action in SEEN}


def _place(change: Mapping[str, Any]) -> Place:
    ref, (_, _, nested) = change["object"], change["target"].partition("/")
    return nested or "host", ref["group"], ref["kind"], ref["namespace"], ref["name"]


def removed(plan: Mapping[str, Any]) -> set[str]:
    return {one["cluster"] for one in plan["clusters"] if "removal" in one or ("held" in one and "changes" not in one)}


def unborn(plan: Mapping[str, Any]) -> set[str]:
    return {one["cluster"] for one in plan["clusters"] if any(each["later"] for each in one.get("unknown", ()))}


def cluster_of(where: Place) -> str:
    server, _, _, namespace, name = where
    return (namespace or name).removeprefix("vcluster-") if server == "host" else server


def owned(field: Field, clusters: Any) -> set[Place]:
    entries = [one for name in clusters for one in field.entries(field.cluster(name))]
    return {
        (one.target.nested or "host", one.ref.group, one.ref.kind, one.ref.namespace, one.ref.name) for one in entries
    }


def world(field: Field, places: set[Place]) -> dict[Place, tuple[str, Any]]:
    """What stands at these places, as on the server in memory. The nested clusters share one API server."""
    inside: dict[str, Client | None] = {}
    found: dict[Place, tuple[str, Any]] = {}
    for place in sorted(places):
        server, group, kind, namespace, name = place
        if server not in inside:
            inside[server] = field.admin if server == "host" else nested(field, server)
        client = inside[server]
        live = client.get(f"{group}/v1" if group else "v1", kind, name, namespace) if client else None
        if live is not None and "deletionTimestamp" not in live["metadata"]:
            found[place] = content(live)
    return found


def nested(field: Field, cluster: str) -> Client | None:
    """None of a cluster that is not there."""
    there = field.admin.get("v1", "Secret", f"vc-{cluster}", f"vcluster-{cluster}")
    return field.inside(cluster) if there else None
