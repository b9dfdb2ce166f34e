"""The pages as the server makes them: attention first, everything escaped, closed to other names, small and quick enough."""

import re
import time

import pytest
from flask.testing import FlaskClient

from dashboard import fleet, pages
from dashboard.door import HEADERS
from tests.dashboard.scene import NOW, Known, view

EVIL = "<script>alert(1)</script>\"'{{7*7}}\x1b[31m"


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def browser(known: Known) -> FlaskClient:
    return known.app().test_client()


def text(browser: FlaskClient, path: str = "/") -> str:
    answer = browser.get(path)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_what_needs_somebody_comes_first(browser: FlaskClient) -> None:
    shown = text(browser)
    first, rest = shown.split('id="all"')
    assert (
        first.index("platform</a>: 1 mistake, first clusters/x.yaml:3")
        < first.index(">stuck<")
        < first.index(">broken<")
    )
    assert ">calm<" not in first and ">calm<" in rest
    assert "1 object over the budget" in first and "main@sha1:0123456" in first


def test_a_cluster(browser: FlaskClient) -> None:
    shown = text(browser, "/clusters/stuck")
    assert f"nidus approve {'d' * 64}" in shown and "no longer in Git" in shown and "nidus why stuck" in shown
    assert "remove &lt;b&gt;, by Ada &lt;ada@example.com&gt;" in shown
    assert browser.get("/clusters/none").status_code == 404 == browser.get("/x").status_code


def test_clusters_are_chosen_without_a_script(browser: FlaskClient) -> None:
    assert "1 of 3 clusters" in text(browser, "/?text=CAL")
    assert "1 of 3 clusters" in text(browser, "/?word=Held&source=platform")
    assert "0 of 3 clusters" in text(browser, "/?source=other")
    assert "3 of 3 clusters" in text(browser, f"/?page=99999999999&text={'a' * 0}")


def test_nothing_of_a_repository_or_a_tenant_is_markup(known: Known, browser: FlaskClient) -> None:
    known.clusters["evil"] = view("evil", "Degraded", EVIL, endpoint=EVIL, attempted=EVIL, file=EVIL)
    for path in ("/", "/clusters/evil", f"/?text={EVIL}"):
        shown = text(browser, path)
        assert "<script>alert" not in shown and "49" not in re.findall(r"\{\{.*?\}\}|49", shown)


SIGNS = "\u202e\u2066\u200b\x9b\u3164\u2800\ufe0f"


def test_nothing_on_a_page_hides_or_turns_round_what_stands_beside_it(known: Known, browser: FlaskClient) -> None:
    """Whoever wrote it, such as the name of an account at a forge: the pages themselves make it printable."""
    told = f"by mal{SIGNS}yda"
    known.clusters["odd"] = view("odd", "Degraded", told, endpoint=told, attempted=told, file=told)
    for path in ("/", "/clusters/odd", f"/?text={told}"):
        shown = text(browser, path)
        assert not set(SIGNS) & set(shown) and "mal\\u202e\\u2066\\u200b\\u009b\\u3164\\u2800\\ufe0fyda" in shown


def test_every_answer_is_guarded_and_no_page_has_anything_inline(browser: FlaskClient) -> None:
    for path in ("/", "/clusters/stuck", "/none", "/static/live.js", "/static/style.css"):
        answer = browser.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        if answer.mimetype == "text/html":
            shown = answer.get_data(as_text=True)
            assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://", shown)
            assert re.findall(r"<script[^>]*>[^<]", shown) == []
        answer.close()
    assert "'unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:9294", "localhost.evil.example.com", ""])
def test_other_names_get_nothing(browser: FlaskClient, host: str) -> None:
    for path in ("/", "/static/live.js"):
        answer = browser.get(path, headers={"Host": host})
        assert answer.status_code == 421 and b"calm" not in answer.data
        answer.close()


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_it_only_reads(browser: FlaskClient, method: str) -> None:
    assert getattr(browser, method)("/").status_code == 405


def test_a_page_that_did_not_change_is_not_sent_again(known: Known, browser: FlaskClient) -> None:
    first = browser.get("/")
    tag = {"If-None-Match": first.headers["ETag"]}
    known.now += 10
    assert browser.get("/", headers=tag).status_code == 304
    known.put(view("calm", "Held"))
    assert browser.get("/", headers=tag).status_code == 200


def test_a_standby_says_what_it_waits_for(known: Known, browser: FlaskClient) -> None:
    known.waits = "the Lease"
    assert "This replica does not lead" in text(browser)
    known.waits = "not read yet: platform"
    assert "it waits for not read yet: platform" in text(browser)


def test_a_thousand_clusters_are_small_pages(known: Known, browser: FlaskClient) -> None:
    words = ("Ready", "Ready", "Held", "Progressing")
    known.clusters = {
        f"c{n:04}": view(f"c{n:04}", words[n % 4], "m" * 1000, labels={"team": f"team-{n % 400}"}, host=f"h{n % 90}")
        for n in range(1000)
    }
    began = time.process_time()
    shown = text(browser)
    print(f"{len(shown)} bytes, {time.process_time() - began:.3f} s")
    assert len(shown) < 100_000
    assert "page 1 of 10" in shown and "c0000" in shown and shown.count('scope="row"') == fleet.URGENT + fleet.EACH
    assert "page 10 of 10" in text(browser, "/?page=12")


def test_ages_are_no_finer_than_a_minute() -> None:
    assert [pages.age(one) for one in (0, 59, 60, 7199, 7200, 172_800)] == ["now", "now", "1m", "119m", "2h", "2d"]
    assert pages.ago("yesterday", NOW) == "" == pages.ago("", NOW)
