"""Two replicas behind one Service that gives each request to the other one: whoever asks gets the same answers (T1, U2)."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from flask import Flask

from dashboard.app import create_app
from dashboard.door import Door
from reconciler.controller import http, listeners
from reconciler.controller.dashboard import _views, access
from reconciler.controller.rights import Rights
from reconciler.inventory.salt import salt
from reconciler.model import (
    Authored,
    Condition,
    ControllerSpec,
    EngineConfig,
    Held,
    LayerStatus,
    Plan,
    Report,
    Revision,
    ServerConfig,
    SourceReport,
    Violation,
)
from reconciler.report import Reporter
from reconciler.report.view import Place, RunningView
from tests.dashboard.scene import TOKENS, home, trusted
from tests.memory.failures import answer
from tests.memory.server import Server
from tests.shell import client

HOME = "nidus-system"
REVISION = Revision("main", "c" * 40)
PAGES = ("/", "/?team=shop&sort=-since", "/clusters/a", "/sources", "/sources/platform", "/hosts", "/cost")


class Replicas:
    """The first one leads and has reported; the other one knows nothing but what that wrote."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reporters = [Reporter(client(server), HOME, name) for name in ("one", "two")]
        self.views = [self._internal(number) for number in (0, 1)]
        self._report(self.reporters[0])
        assert self.reporters[0].statuses.settle(60)

    def _internal(self, number: int) -> http.Views:
        name, leads = ("one", "two")[number], number == 0
        process = http.Process(name, leads, "one", "" if leads else "the Lease", "none")
        return http.Views(self.reporters[number], lambda: "", lambda: "", lambda: (0, 0), lambda: process)

    def _report(self, reporter: Reporter) -> None:
        by = Authored("Ada <ada@example.com>", "Scale the shop", 1_795_000_000.0)
        wrong = (Violation("x.yaml", 3, 1, "NID121", "unknown field", "/spec/x"),)
        reporter.source(
            SourceReport("platform", REVISION, wrong, accepted=2, authored=by),
            {"url": "u", "branch": "main", "path": "."},
        )
        for name, word in (("a", "Held"), ("b", "Ready")):
            layers = (LayerStatus("web", f"local/{name}", "Current", "", 2),)
            ready = Condition("Ready", "True" if word == "Ready" else "False", word, "waits" * (word == "Held"))
            held = Held("ObjectBudget", "2 over the budget", "d" * 64, ("delete x",)) if word == "Held" else None
            report = Report(name, REVISION, Plan(name, REVISION, ()), (), layers, (ready,), word, held)
            place = Place(
                "platform", f"{name}.yaml", "local", {"team": "shop"}, RunningView("0.36.1", "v1.36.0"), ("web@1.0.0",)
            )
            reporter.cluster(report, place)

    def app(self, number: int) -> Flask:
        views = _views(self.views[number], client(self.server), HOME, tuple)
        people = access(
            "kubernetes",
            Rights(client(self.server), HOME),
            lambda: salt(client(self.server), HOME),
            Door(trusted).access.proxy,
        )
        return create_app(views, Door(trusted, access=people))

    def close(self) -> None:
        for one in self.reporters:
            one.close()


@pytest.fixture
def replicas() -> Iterator[Replicas]:
    one = Replicas(home())
    yield one
    one.close()


def content(page: str) -> str:
    """A page without what tells the replicas apart: the note of the one that does not lead, and deliveries and versions that only the
    leading one has; and without the proof of forms, which is of a time."""
    page = re.sub(r'<p class="note">This replica.*?</p>\n', "", page)
    page = re.sub(r'name="proof" value="[0-9a-f]+"', "", page)
    return re.sub(r"<td>(v1\.36\.0|not known here)</td>", "", page)


def test_pages_and_the_sign_in_are_the_same_behind_a_round_robin(replicas: Replicas) -> None:
    browsers = [replicas.app(number).test_client() for number in (0, 1)]
    form = {"token": TOKENS["ada"]}
    browsers[0].post("/sign-in", data=form, headers={"Origin": "http://localhost"})
    cookie = browsers[0].get_cookie("nidus")
    assert cookie is not None
    browsers[1].set_cookie("nidus", cookie.value)
    shown: dict[str, list[str]] = {}
    turns = itertools.cycle(browsers)
    for path in (*PAGES, *PAGES, PAGES[0]):  # an odd number of pages: each is asked of both
        found = next(turns).get(path)
        assert found.status_code == 200, path
        shown.setdefault(path, []).append(content(found.get_data(as_text=True)))
    assert len(PAGES) % 2 == 1
    for path, (one, other, *_) in shown.items():
        assert one == other, path
    assert "2 over the budget" in shown["/"][0] and "Scale the shop" in shown["/sources/platform"][0]


def test_a_form_of_one_replica_is_taken_by_the_other(replicas: Replicas) -> None:
    browsers = [replicas.app(number).test_client() for number in (0, 1)]
    browsers[1].post("/sign-in", data={"token": TOKENS["ada"]}, headers={"Origin": "http://localhost"})
    cookie = browsers[1].get_cookie("nidus")
    assert cookie is not None
    browsers[0].set_cookie("nidus", cookie.value)
    proof = re.search(r'name="proof" value="([0-9a-f]+)"', browsers[0].get("/clusters/a").get_data(as_text=True))
    assert proof is not None
    form = {"proof": proof[1], "consent": "d" * 64}
    sent = browsers[1].post("/clusters/a/approve", data=form, headers={"Origin": "http://localhost"})
    assert sent.status_code == 303
    (item,) = replicas.server.objects("nidus.dev", "Request", HOME)
    assert (item["spec"]["kind"], item["spec"]["who"], item["spec"]["items"]) == ("approve", "ada", ["delete x"])


def test_reports_as_json_are_the_same_of_both(replicas: Replicas) -> None:
    config = ControllerSpec((), EngineConfig(versions=()), namespace=HOME, server=ServerConfig(internal="127.0.0.1:0"))
    served = [listeners.internal(one, config, client(replicas.server)) for one in replicas.views]
    try:
        for path, key in (("/api/v1/clusters", "clusters"), ("/api/v1/sources", "sources")):
            found = [[kept(one) for one in asked(each.port, path)[key]] for each in served]
            assert found[0] == found[1] and len(found[0]) == {"clusters": 2, "sources": 1}[key]
        replicas.server.fail(answer(500), times=None)
        assert asked(served[0].port, "/api/v1/clusters")["clusters"]
    finally:
        for one in served:
            one.stop()


def test_where_nobody_answers_a_part_is_not_told_for_the_whole(replicas: Replicas) -> None:
    config = ControllerSpec((), EngineConfig(versions=()), namespace=HOME, server=ServerConfig(internal="127.0.0.1:0"))
    replicas.server.fail(answer(500), times=None)
    served = listeners.internal(replicas.views[1], config, client(replicas.server))
    try:
        with pytest.raises(HTTPError) as raised:
            asked(served.port, "/api/v1/clusters")
        assert raised.value.code == 503 and b"does not lead" in raised.value.read()
    finally:
        served.stop()


def asked(port: int, path: str) -> dict[str, list[dict[str, Any]]]:
    """What a listener answers."""
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as found:
        told: dict[str, list[dict[str, Any]]] = json.load(found)
    return told


def kept(one: dict[str, Any]) -> dict[str, Any]:
    """What a status object keeps of a report: neither what was looked at when, nor the plan."""
    lost = {"looked", "plan", "violations", "fetched"}
    return {key: value for key, value in one.items() if key not in lost}
