"""What people ask for in the dashboard: requests in their own names, as the verbs write them, and nothing without the right to it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboard.actions import ACTIONS
from reconciler.controller import sync_requests
from reconciler.controller.actions import Actions
from reconciler.inventory import requests
from reconciler.model import Held, Object, Request, replace
from reconciler.report.life import BackupsView, Life, SleepView
from reconciler.verbs import asking
from tests.dashboard.scene import NOW, TOKENS, VERBS, Known, door, held, home, view
from tests.memory.failures import answer
from tests.shell import client

NAMESPACE = "nidus-system"
RBAC = Path(__file__).parents[2] / "deploy" / "rbac.yaml"


class Desk:
    """One dashboard, what it knows, and a browser of it."""

    def __init__(self) -> None:
        self.server, self.known = home(), Known()
        self.standing: list[Request] = []
        self.known.actions = Actions(client(self.server), NAMESPACE, lambda: self.standing)
        self.browser: FlaskClient = self.known.app(door(self.server)).test_client()

    def enter(self, who: str) -> None:
        self.post("/sign-in", token=TOKENS[who])

    def page(self, name: str) -> str:
        return self.browser.get(f"/clusters/{name}").get_data(as_text=True)

    def post(self, path: str, **form: str) -> TestResponse:
        return self.browser.post(path, data=form, headers={"Origin": "http://localhost"})

    def do(self, name: str, verb: str, **form: str) -> TestResponse:
        """Send the form of a page, as its reader has it."""
        proof = re.search(r'name="proof" value="([0-9a-f]+)"', self.page(name))
        return self.post(f"/clusters/{name}/{verb}", proof=proof[1] if proof else "", **form)

    def written(self) -> list[Object]:
        return self.server.objects("nidus.dev", "Request", NAMESPACE)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    made.enter("ada")
    yield made


def test_a_request_is_in_the_name_of_who_signed_in(desk: Desk) -> None:
    before = time.time()
    answered = desk.do("calm", "suspend", lasts="8h", reason="database <moves>")
    assert answered.status_code == 303 and answered.location == "/clusters/calm?done=suspend"
    (item,) = desk.written()
    found = requests.parse(item)
    assert found is not None and (found.kind, found.who, found.cluster) == ("suspend", "ada", "calm")
    assert found.reason == "database <moves>" and before <= found.expires - 8 * 3600 <= time.time() + 1
    desk.standing = [replace(found, created=NOW - 120, expires=NOW + 3600)]
    shown = desk.browser.get(answered.location).get_data(as_text=True)
    assert (
        "suspend</strong> by ada, 2m ago, for 60m more: database &lt;moves&gt;" in shown
        and "Asked for in your name" in shown
    )


@pytest.mark.parametrize("verb", ["suspend", "sleep", "wake", "extend", "backup"])
def test_it_is_written_as_the_verb_writes_it(desk: Desk, verb: str) -> None:
    life = Life("2026-11-20T00:00:00Z", sleep=SleepView(asleep=verb == "wake"), backups=BackupsView(list=()))
    desk.known.clusters["calm"] = view("calm", life=life)
    assert desk.do("calm", verb, lasts="1d" if ACTIONS[verb].time else "").status_code == 303
    seconds = {"extend": 86400.0 + 100, "backup": 86400.0}.get(verb, 86400.0)
    asking.ask(client(desk.server), NAMESPACE, verb, cluster="calm", seconds=seconds)
    ours, theirs = sorted((one["spec"] for one in desk.written()), key=lambda one: one["who"] != "ada")
    assert {**ours, "who": "", "expires": ""} == {**theirs, "who": "", "expires": ""}


def test_an_approval_is_of_what_was_seen(desk: Desk) -> None:
    desk.known.clusters["stuck"] = replace(
        held("stuck"), held=Held("ObjectBudget", "1 object", "d" * 64, ("delete a",))
    )
    assert "Approve exactly this" in desk.page("stuck")
    assert desk.do("stuck", "approve", consent="e" * 64).status_code == 409 and desk.written() == []
    assert desk.do("stuck", "approve", consent="d" * 64).status_code == 303
    (item,) = desk.written()
    assert item["spec"]["consent"] == "d" * 64 and item["spec"]["items"] == ["delete a"] and item["spec"]["expires"]
    desk.known.clusters["stuck"] = view("stuck")
    assert desk.do("stuck", "approve", consent="d" * 64).status_code == 409


def test_an_approval_of_several_clusters_takes_the_right_on_all(desk: Desk) -> None:
    """As `nidus approve` stores it: a request that names no cluster."""
    about = ("one", "two")
    hold = Held("RemovalBudget", "removes 2 clusters: one, two", "d" * 64, ("remove one", "remove two"), about=about)
    desk.known.clusters["one"] = view("one", "Held", held=hold)
    desk.known.clusters["two"] = view("two", "Held", held=Held("Unparsed", "its file cannot be read"))
    desk.server.rights |= {("tom", "get", "one"), ("tom", "approve", "one"), ("tom", "suspend", "one")}
    desk.enter("tom")
    assert "Approve exactly this" not in desk.page("one")
    refused = desk.do("one", "approve", consent="d" * 64)
    assert refused.status_code == 403 and "all nested clusters" in refused.get_data(as_text=True)
    desk.enter("ada")
    assert desk.do("one", "approve", consent="d" * 64).status_code == 303
    (item,) = desk.written()
    assert "cluster" not in item["spec"] and item["spec"]["items"] == ["remove one", "remove two"]


def test_an_approval_of_the_last_cluster_takes_the_right_on_it_alone(desk: Desk) -> None:
    hold = Held("RemovalBudget", "the last cluster of the source: one", "d" * 64, ("remove one",), about=("one",))
    desk.known.clusters["one"] = view("one", "Held", held=hold)
    desk.known.sources["platform"] = replace(desk.known.sources["platform"], held=hold)
    desk.server.rights |= {("tom", "get", "one"), ("tom", "approve", "one")}
    desk.enter("tom")
    assert "Approve exactly this" in desk.page("one")
    assert desk.do("one", "approve", consent="d" * 64).status_code == 303
    (item,) = desk.written()
    assert item["spec"]["cluster"] == "one"


def test_a_sync_marks_the_source(desk: Desk) -> None:
    source = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source"}
    desk.server.put(
        {
            **source,
            "metadata": {"name": "platform", "namespace": NAMESPACE},
            "spec": {"url": "u", "branch": "b", "path": "."},
        }
    )
    assert desk.do("calm", "sync").status_code == 303
    (item,) = desk.server.objects("nidus.dev", "Source", NAMESPACE)
    mark = item["metadata"]["annotations"][sync_requests.RESYNC]
    assert int(mark) > 0 and desk.written() == []
    assert desk.do("calm", "sync").status_code == 409  # each compares all objects
    (item,) = desk.server.objects("nidus.dev", "Source", NAMESPACE)
    assert item["metadata"]["annotations"][sync_requests.RESYNC] == mark


def test_a_sync_takes_the_right_on_all_clusters_of_its_source(desk: Desk) -> None:
    desk.server.rights |= {("tom", "sync", "calm")}
    desk.known.clusters["alone"] = view("alone", source="elsewhere")
    desk.enter("tom")
    assert "/clusters/calm/sync" not in desk.page("calm")
    refused = desk.do("calm", "sync")
    assert refused.status_code == 403 and "all nested clusters of source platform" in refused.get_data(as_text=True)
    assert desk.server.objects("nidus.dev", "Source", NAMESPACE) == []
    desk.server.rights |= {("eve", verb, name) for verb in ("get", "sync") for name in ("calm", "stuck", "broken")}
    desk.enter("eve")
    assert "/clusters/calm/sync" in desk.page("calm") and desk.do("calm", "sync").status_code == 303


@pytest.mark.parametrize("verb", sorted(ACTIONS))
def test_without_the_right_nothing_is_offered_and_nothing_is_done(desk: Desk, verb: str) -> None:
    life = Life("2026-11-20T00:00:00Z", sleep=SleepView(asleep=verb == "wake"), backups=BackupsView(list=()))
    word = {"approve": "Held", "resume": "Suspended"}.get(verb, "Ready")
    desk.known.clusters["calm"] = replace(held("calm"), word=word, life=life)
    assert f'action="/clusters/calm/{verb}"' in desk.page("calm")
    desk.server.rights.discard(("ada", verb, ""))
    other = Desk()
    other.server.rights = desk.server.rights
    other.known.clusters = desk.known.clusters
    other.enter("ada")
    assert f'action="/clusters/calm/{verb}"' not in other.page("calm")
    refused = other.do("calm", verb, consent="d" * 64, lasts="1d")
    assert refused.status_code == 403 and f"no right to {verb}" in refused.get_data(as_text=True)
    assert other.written() == []


def test_a_cluster_that_one_may_not_get_cannot_be_asked_about(desk: Desk) -> None:
    desk.enter("tom")
    desk.server.rights.add(("tom", "suspend", "stuck"))
    proof = re.search(r'name="proof" value="([0-9a-f]+)"', desk.page("calm"))
    assert proof is not None
    assert desk.post("/clusters/stuck/suspend", proof=proof[1]).status_code == 404 and desk.written() == []


def test_a_form_needs_its_proof_and_its_own_page(desk: Desk) -> None:
    assert desk.post("/clusters/calm/suspend").status_code == 403
    assert desk.post("/clusters/calm/suspend", proof="0" * 64).status_code == 403
    proof = re.search(r'name="proof" value="([0-9a-f]+)"', desk.page("calm"))
    assert proof is not None
    sent = {"data": {"proof": proof[1]}, "headers": {"Origin": "https://evil.example.com"}}
    assert desk.browser.post("/clusters/calm/suspend", **sent).status_code == 403
    desk.known.now += 13 * 3600
    assert desk.post("/clusters/calm/suspend", proof=proof[1]).status_code == 403
    assert desk.browser.get("/clusters/calm/suspend").status_code == 405
    assert desk.written() == []


def test_nobody_asks_without_a_sign_in(desk: Desk) -> None:
    closed = desk.known.app().test_client()
    assert closed.post("/clusters/calm/suspend", headers={"Origin": "http://localhost"}).status_code == 404
    assert 'method="post"' not in closed.get("/clusters/calm").get_data(as_text=True)
    fresh = desk.known.app(door(desk.server)).test_client()
    assert fresh.post("/clusters/calm/suspend", headers={"Origin": "http://localhost"}).status_code == 401


@pytest.mark.parametrize("lasts", ["1", "400d", "-1h", "8h8h", "x" * 5000])
def test_a_time_is_one_of_those_offered(desk: Desk, lasts: str) -> None:
    assert desk.do("calm", "suspend", lasts=lasts).status_code == 409 and desk.written() == []


def test_only_what_a_request_suspended_is_resumed(desk: Desk) -> None:
    desk.known.clusters["calm"] = view("calm", "Suspended")
    refused = desk.do("calm", "resume")
    assert refused.status_code == 409 and "ends by a commit" in refused.get_data(as_text=True)
    desk.standing = [Request("suspend", "", "calm", "eve", NOW)]
    assert desk.do("calm", "resume").status_code == 303
    assert [one["spec"]["kind"] for one in desk.written()] == ["resume"]


def test_a_failure_is_told_and_nothing_of_it_shown(desk: Desk) -> None:
    desk.server.fail(answer(500), lambda call: call.kind == "Request" and call.verb == "create")
    failed = desk.do("calm", "suspend")
    assert failed.status_code == 503 and "chosen by the test" not in failed.get_data(as_text=True)


def test_every_action_is_a_verb_of_the_shipped_role() -> None:
    documents = [one for one in yaml.safe_load_all(RBAC.read_text()) if one]
    (role,) = (one for one in documents if (one["kind"], one["metadata"]["name"]) == ("Role", "nidus-operator"))
    given = {verb for rule in role["rules"] if "nestedclusters" in rule["resources"] for verb in rule["verbs"]}
    assert set(ACTIONS) <= given and set(VERBS) == {"get", *ACTIONS}
