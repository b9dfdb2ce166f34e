"""Sources, changes, cost, and what a cluster's page tells besides: each for its reader, and nothing of others."""

import re
from collections.abc import Iterator
from fractions import Fraction

import pytest
from flask.testing import FlaskClient

from dashboard import costs, graph, pages
from dashboard.pages import Came
from reconciler.controller.actions import Actions
from reconciler.controller.lookups import Lookups
from reconciler.errors import ApiError, Unavailable
from reconciler.inventory import history
from reconciler.inventory.history import Passage
from reconciler.model import Held, LayerStatus, replace
from reconciler.usage import report
from tests.dashboard.scene import NOW, TOKENS, Known, door, home
from tests.dashboard.scenery import fill
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.shell import client, installed

PAGES = (
    "/", "/?sort=-team&team=shop", "/clusters/payments", "/clusters/payments/workloads", "/sources", "/sources/platform", "/changes",
    "/changes/platform/42", "/cost", "/hosts",
)  # fmt: skip


@pytest.fixture
def known() -> Known:
    return fill(Known())


@pytest.fixture
def server() -> Server:
    return home()


@pytest.fixture
def browser(known: Known, server: Server) -> Iterator[FlaskClient]:
    known.actions = Actions(client(server), "nidus-system", tuple)
    with known.app(door(server)).test_client() as one:
        yield one


def enter(browser: FlaskClient, who: str) -> FlaskClient:
    browser.post("/sign-in", data={"token": TOKENS[who]}, headers={"Origin": "http://localhost"})
    return browser


def text(browser: FlaskClient, path: str) -> str:
    found = browser.get(path)
    assert found.status_code == 200, path
    return found.get_data(as_text=True)


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_small_and_have_nothing_inline(browser: FlaskClient, path: str) -> None:
    shown = text(enter(browser, "ada"), path)
    assert len(shown.encode()) < 100_000
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", shown)


def test_a_source(browser: FlaskClient) -> None:
    shown = text(enter(browser, "ada"), "/sources/platform")
    assert "<code>clusters/landing.yaml:12</code> unknown field quotas; did you mean quota?" in shown
    assert "refs/heads/main" in shown and "3 refused that were not signed" in shown and "0.9 s" in shown
    assert "Not Ready yet" in shown and 'href="/clusters/payments"' in shown
    assert browser.get("/sources/other").status_code == 404


def test_of_a_source_a_reader_sees_only_their_own_clusters(browser: FlaskClient, server: Server) -> None:
    server.rights |= {("eve", "get", "platform"), ("eve", "get", "search")}
    shown = text(enter(browser, "eve"), "/sources/platform")
    assert 'href="/clusters/search"' in shown and "payments" not in shown
    assert browser.get("/changes/platform/42").status_code == 404  # a plan tells of all clusters
    assert "#42" not in text(browser, "/changes")


def test_what_a_source_tells_of_all_its_clusters_is_for_who_may_get_them(
    known: Known, browser: FlaskClient, server: Server
) -> None:
    hold = Held("MassDeletion", "would remove payments", "a" * 64, ("payments delete Namespace/x",))
    known.sources["platform"] = replace(known.sources["platform"], held=hold)
    theirs = ("would remove payments", "landing.yaml", "Remove the old flags", "8 accepted", "3 refused", "1 mistake")
    server.rights |= {("eve", "get", "platform"), ("eve", "get", "search")}
    for who, sees in (("ada", True), ("eve", False), ("ada", True)):  # what is drawn for one is not shown to another
        enter(browser, who)
        shown = {path: text(browser, path) for path in ("/", "/sources", "/sources/platform")}
        assert {told: any(told in page for page in shown.values()) for told in theirs} == dict.fromkeys(theirs, sees)
        assert all((pages.WITHHELD in page) is not sees for page in shown.values())
        assert ("payments" in "".join(shown.values())) is sees
    server.rights |= {("tom", "get", name) for name in ("platform", *known.clusters)}
    assert "would remove payments" in text(enter(browser, "tom"), "/sources/platform")  # all of them, one by one


def test_who_may_not_get_a_source_sees_none(browser: FlaskClient) -> None:
    enter(browser, "tom")
    assert "There is no source" in text(browser, "/sources")
    assert browser.get("/sources/platform").status_code == 404


@pytest.mark.parametrize("verb", ["sync", "approve"])
def test_a_source_is_asked_by_who_may_ask_all_clusters(
    known: Known, browser: FlaskClient, server: Server, verb: str
) -> None:
    hold = Held("ClusterBudget", "2 clusters over the budget", "e" * 64, ("remove a", "remove b"))
    known.sources["platform"] = replace(known.sources["platform"], held=hold)
    source = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "spec": {"url": "u", "branch": "b", "path": "."}}
    server.put({**source, "metadata": {"name": "platform", "namespace": "nidus-system"}})
    server.rights.discard(("tom", "get", "calm"))
    server.rights |= {("tom", "get", ""), ("tom", verb, "payments")}  # not all
    for who, status in (("tom", 403), ("ada", 303)):
        shown = text(enter(browser, who), "/sources/platform")
        assert (f'action="/sources/platform/{verb}"' in shown) is (who == "ada")
        proof = re.search(r'name="proof" value="([0-9a-f]+)"', shown)
        form = {"proof": proof[1] if proof else "", "consent": "e" * 64}
        sent = browser.post(f"/sources/platform/{verb}", data=form, headers={"Origin": "http://localhost"})
        assert sent.status_code == status
    items = server.objects("nidus.dev", "Request", "nidus-system")
    assert [(one["spec"]["who"], one["spec"]["items"]) for one in items] == (
        [("ada", ["remove a", "remove b"])] if verb == "approve" else []
    )


def test_a_plan_of_any_length_is_a_small_page(known: Known, browser: FlaskClient) -> None:
    enter(browser, "ada")
    assert "delete ConfigMap web/old-flags" in text(browser, "/changes/platform/42")
    known.plans = {("platform", 42): {"text": "<b>&" * 100_000}}
    shown = text(browser, "/changes/platform/42")
    assert len(shown.encode()) < 100_000 and "<b>&" not in shown and "nidus plan --change 42 --source platform" in shown
    known.plans = {}
    assert "not made yet" in text(browser, "/changes/platform/42")


# Cost


def test_cost_is_the_sum_of_its_lines(known: Known, browser: FlaskClient) -> None:
    shown = text(enter(browser, "ada"), "/cost?month=2026-11")
    lines = [line for day in known.days for line in report.lines(day)]
    whole = sum(line.cost for line in lines)
    of_shop = sum(line.cost for line in lines if line.labels["team"] == "shop")
    for millionths in (whole, of_shop):
        assert (
            f">{float(round(Fraction(millionths, 10_000))) / 100:.2f}<" in shown or f"{millionths / 1e6:.2f}" in shown
        )
    assert shown.count("<rect") == len(known.days)


def test_what_sleep_saved_is_told_beside_the_sums(known: Known, browser: FlaskClient) -> None:
    lines = [line for day in known.days for line in report.lines(day)]
    whole, saved = sum(line.cost for line in lines), sum(line.saved for line in lines)
    shown = text(enter(browser, "ada"), "/cost?month=2026-11")
    assert f"<h2>{whole / 1e6:.2f} EUR</h2>" in shown and f"Sleep saved {saved / 1e6:.2f} EUR" in shown
    assert shown.count(f"<td>{saved / 1e6:.2f}</td>") == 3  # of its team, of the only one that slept, and of all
    assert f"<td>{saved / 1e6:.2f}</td>" in text(browser, "/clusters/landing")
    assert "Sleep saved" not in text(browser, "/clusters/payments")


def test_cost_of_others_is_in_no_sum(known: Known, browser: FlaskClient, server: Server) -> None:
    server.rights = {("tom", "get", "docs")}
    shown = text(enter(browser, "tom"), "/cost?month=2026-11")
    mine = sum(line.cost for day in known.days for line in report.lines(day) if line.cluster == "docs")
    assert f"<h2>{mine / 1e6:.2f} EUR</h2>" in shown and "shop" not in shown and "search" not in shown
    server.rights = set()
    assert "Nothing was measured" in text(enter(browser, "eve"), "/cost?month=2026-11")


@pytest.mark.parametrize(
    "month", ["2026-13", "0000-00", "x", "2026-11-01", "9999-12", "0001-01", "\u0662\u0660\u0662\u0666-\u0661\u0661"]
)
def test_a_month_that_is_none(browser: FlaskClient, month: str) -> None:
    assert enter(browser, "ada").get("/cost", query_string={"month": month}).status_code == 404


def test_what_cannot_be_read_is_told() -> None:
    found = costs.spent("2026-11", [], ("ConfigMap nidus-usage-2026-11-02-0 is missing",))
    known = Known()
    known.spent = lambda month: found  # type: ignore[method-assign]
    assert "nidus-usage-2026-11-02-0 is missing" in known.app().test_client().get("/cost").get_data(as_text=True)


# A cluster's page


def test_a_cluster_tells_what_came_to_it_and_what_it_costs(browser: FlaskClient) -> None:
    shown = text(enter(browser, "ada"), "/clusters/payments")
    assert "main@sha1:1f3c2ab" in shown and "21.5 s" in shown and "#40" in shown and "Cost this month" in shown
    assert shown.count("<rect") == 7 and shown.count('class="edge"') == 7
    assert "History" not in text(browser, "/clusters/docs")


def test_a_cluster_is_shown_while_its_history_cannot_be_read(known: Known) -> None:
    def fails(name: str) -> list[Came]:
        raise Unavailable("no answer")

    known.history = fails  # type: ignore[method-assign]
    shown = text(known.app().test_client(), "/clusters/payments")
    assert "cannot be read now" in shown and "web-stack/smoke" in shown


def layer(name: str, *after: str) -> LayerStatus:
    return LayerStatus(name, "local", "Current", depends_on=after)


def test_a_graph_goes_to_the_right() -> None:
    found = graph.of([layer("a"), layer("b", "a"), layer("c", "a"), layer("d", "b", "c", "gone"), layer("e")])
    assert found is not None
    columns = {box.name: box.x // (graph.WIDE + graph.GAP) for box in found.boxes}
    assert columns == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 0} and len(found.lines) == 4
    assert len({(box.x, box.y) for box in found.boxes}) == 5
    assert all(box.x + graph.WIDE <= found.width and box.y + graph.HIGH <= found.height for box in found.boxes)


def test_a_circle_ends_and_too_many_are_no_graph() -> None:
    assert graph.of([layer("a", "b"), layer("b", "a")]) is not None
    assert graph.of([layer(str(n), "0") for n in range(graph.MOST + 1)]) is None
    assert graph.of([layer("a")]) is None


# What is read from the API server


def test_lookups_are_remembered_for_a_while_and_failures_are_not() -> None:
    server = installed("nidus-system")
    now = [100.0]
    kept = Lookups(client(server), "nidus-system", lambda: now[0])
    history.add(client(server), "nidus-system", "a", [Passage("main@sha1:1", NOW), Passage("main@sha1:2", NOW + 1)])
    assert [one.revision for one in kept.history("a")] == ["main@sha1:2", "main@sha1:1"]
    server.log.clear()
    assert len(kept.history("a")) == 2 and kept.history("b") == [] and len(server.log) == 1
    now[0] += 60
    server.fail(answer(500), on("list"))
    with pytest.raises(ApiError):
        kept.history("a")
    assert len(kept.history("a")) == 2
    assert kept.spent("2026-11").rows == {}
    with pytest.raises(ValueError):
        kept.spent("2026-13")
