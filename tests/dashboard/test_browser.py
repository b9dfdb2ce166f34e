"""The dashboard in a real Chromium: it follows what changes, works without a script, breaks no rule of axe in light and dark, and
fits a narrow screen (U9)."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from dashboard.actions import ACTIONS
from dashboard.feed import Feed
from reconciler.controller.actions import Actions
from reconciler.model import Request, replace
from reconciler.report.life import BackupsView, Life, SleepView
from tests.dashboard import pictures
from tests.dashboard.scene import NOW, TOKENS, Known, door, held, home, sign_in, view
from tests.dashboard.scenery import fill
from tests.dashboard.test_more import PAGES
from tests.shell import client
from tests.waiting import until
from webhook.server import serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need the package playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="they need axe-playwright-python")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="the browser tests need a Chromium on the PATH")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def site(known: Known) -> Iterator[str]:
    with known.served() as url:
        yield url


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page; what the browser complains of, refusals of the content policy among it, fails the test."""
    with heard(chromium) as (made, told):
        yield made
    assert told == []


@pytest.fixture(scope="module")
def reader(chromium: Any) -> Iterator[tuple[Any, str, list[str]]]:
    """One page for tests that look at a whole fleet and change nothing: a page of its own costs each a process of the browser."""
    with fill(Known()).served() as url, heard(chromium) as (made, told):
        yield made, url, told


@pytest.fixture
def reading(reader: tuple[Any, str, list[str]]) -> Iterator[tuple[Any, str]]:
    """That page and its site, the page as wide and light as a new one."""
    page, url, told = reader
    page.set_viewport_size({"width": 1280, "height": 720})
    page.emulate_media(media="screen", color_scheme="light")
    yield page, url
    assert told == []


@contextmanager
def heard(chromium: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page, and what the browser complains of."""
    context = chromium.new_context()
    page, told = context.new_page(), list[str]()

    def hear(said: str) -> None:
        if "404" not in said:
            told.append(said)

    page.on("console", lambda message: hear(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: hear(str(error)))
    yield page, told
    context.close()


def test_it_follows_what_changes(site: str, page: Any, known: Known) -> None:
    page.goto(site)
    page.wait_for_selector("text=Live")
    page.focus("a:text('stuck')")
    known.put(view("late", "Invalid", "late.yaml is wrong"))
    page.wait_for_selector("text=late.yaml is wrong", timeout=60_000)
    assert page.evaluate("document.activeElement.textContent") == "stuck"  # whoever stood on a link stands on it


def test_it_follows_by_asking_where_it_is_not_told(chromium: Any, known: Known) -> None:
    known.feed = Feed(most=0)
    page = chromium.new_page()
    with known.served() as url, page.expect_response(lambda one: "/events" in one.url) as refused:
        page.goto(url)
        assert refused.value.status == 503
        page.wait_for_selector("text=Live")
        known.clusters["late"] = view("late", "Invalid", "late.yaml is wrong")
        page.wait_for_selector("text=late.yaml is wrong", timeout=60_000)
    page.close()


def test_a_page_is_told_again_after_its_connection_broke(site: str, page: Any, known: Known) -> None:
    """What changed while nobody was told is seen as soon as it is connected again."""
    page.goto(f"{site}/clusters/calm")
    page.wait_for_selector("text=Live")
    assert until(lambda: known.feed.count() == 1)
    page.evaluate("dispatchEvent(new Event('pagehide'))")  # ends its connection, as a network that breaks does
    assert until(lambda: known.feed.count() == 0)
    known.put(view("calm", "Degraded", "it broke meanwhile"))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("text=it broke meanwhile", timeout=60_000)
    assert until(lambda: known.feed.count() == 1)


def test_it_works_without_a_script(site: str, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    page.fill("input[name=text]", "calm")
    page.click("section.all button")
    assert page.locator("text=1 of 3 clusters").count() == 1
    page.click("section.all th a:text('Status')")
    assert "text=calm" in page.url and page.locator("text=1 of 3 clusters").count() == 1
    assert page.locator("th[aria-sort=ascending]").inner_text() == "Status"
    page.click("a:text('Show all')")
    assert page.locator("text=3 of 3 clusters").count() == 1
    page.click("section.all a:text('calm')")
    assert page.locator("h1").inner_text().startswith("calm")
    context.close()


def test_every_page_says_the_same_without_a_script(site: str, chromium: Any, known: Known) -> None:
    fill(known)
    pages = [chromium.new_context(java_script_enabled=script).new_page() for script in (True, False)]
    for path in PAGES:
        for page in pages:
            page.goto(site + path)
        pages[0].wait_for_selector("text=Live")
        said = [page.inner_text("main") for page in pages]
        assert said[0] == said[1] != "", path
    for page in pages:
        page.context.close()


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(reading: tuple[Any, str], path: str) -> None:
    page, site = reading
    page.goto(site + path)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    colours = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}  # all that a scheme changes
    for scheme, rules in (("light", tags), ("dark", colours)):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page, options={"runOnly": rules}).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], scheme


@pytest.mark.parametrize("path", PAGES)
def test_it_fits_a_narrow_screen(reading: tuple[Any, str], path: str) -> None:
    page, site = reading
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(site + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("script", [True, False])
def test_signing_in_and_asking(chromium: Any, script: bool) -> None:
    """With a script and without one: sign in, look, ask for something in one's own name, sign out."""
    server, known = home(), Known()
    known.actions = Actions(client(server), "nidus-system", tuple)
    context = chromium.new_context(java_script_enabled=script)
    page = context.new_page()
    with known.served(door(server)) as url:
        page.goto(f"{url}/clusters/calm")
        sign_in(page)
        page.click("summary:text('Suspend')")
        page.fill("details[open] input[name=reason]", "database moves")
        page.select_option("details[open] select", "8h")
        page.click("details[open] button")
        page.wait_for_selector("text=Asked for in your name: Suspend")
        (asked,) = server.objects("nidus.dev", "Request", "nidus-system")
        assert (asked["spec"]["kind"], asked["spec"]["who"], asked["spec"]["reason"]) == (
            "suspend",
            "ada",
            "database moves",
        )
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        page.click("button:text('Sign out')")
        page.wait_for_selector("h1:text('Sign in')")
        assert context.cookies() == []
    context.close()


def test_a_form_on_another_site_does_nothing(chromium: Any) -> None:
    """Somebody who is signed in opens a page of another site, which sends our form: their cookie stays at home, and the form is refused."""
    server, known = home(), Known()
    known.actions = Actions(client(server), "nidus-system", tuple)
    context = chromium.new_context()
    page = context.new_page()
    with known.served(door(server)) as url, evil(f"{url}/clusters/calm/suspend") as other:
        page.goto(f"{url}/sign-in")
        sign_in(page)
        page.wait_for_selector("h1:text('Clusters')")
        page.goto(other)
        with page.expect_response(f"{url}/clusters/calm/suspend") as sent:
            page.click("button")
        assert sent.value.status == 403 and "cookie" not in sent.value.request.all_headers()
        page.goto(other)
        assert (
            page.evaluate(f"fetch('{url}/', {{credentials: 'include'}}).then(() => 'read', () => 'refused')")
            == "refused"
        )
    assert server.objects("nidus.dev", "Request", "nidus-system") == []
    context.close()


@contextmanager
def evil(target: str) -> Iterator[str]:
    """A page under another name, with a form that leads to us."""
    app = Flask("evil")
    app.add_url_rule(
        "/", "page", lambda: f"<form method=post action='{target}'><input name=reason><button>x</button></form>"
    )
    one = serve(app, "127.0.0.2:0")
    try:
        yield f"http://127.0.0.2:{one.port}/"
    finally:
        one.stop()


def test_the_pictures_of_the_readme_can_be_made(chromium: Any, tmp_path: Path) -> None:
    pictures.make(chromium, tmp_path)
    made = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    kept = {one.name: one.read_bytes() for one in pictures.FOLDER.iterdir()}
    assert made.keys() == kept.keys() == {f"{name}.png" for name in pictures.SHOWN}
    named = re.findall(r"\(docs/pictures/([a-z]+\.png)\)", (pictures.FOLDER.parents[1] / "README.md").read_text())
    assert set(named) == kept.keys()
    for one in (*made.values(), *kept.values()):
        assert one.startswith(b"\x89PNG") and len(one) < 120_000


def test_everything_is_reached_by_the_keyboard(site: str, page: Any) -> None:
    page.goto(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "stuck":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/clusters/stuck")


def test_an_action_by_the_keyboard_alone(chromium: Any) -> None:
    """Signed in, a form opened, filled in and sent, without a pointer; focus is never lost by what changes meanwhile."""
    server, known = home(), Known()
    known.actions = Actions(client(server), "nidus-system", tuple)
    context = chromium.new_context()
    page = context.new_page()
    with known.served(door(server)) as url:
        page.goto(f"{url}/clusters/calm")
        tab_to(page, "document.activeElement.name === 'token'")
        page.keyboard.type(TOKENS["ada"])
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:text('calm')")
        tab_to(page, "document.activeElement.textContent.trim() === 'Suspend'")
        page.keyboard.press("Enter")
        tab_to(page, "document.activeElement.name === 'reason'")
        known.put(view("calm", "Degraded", "it broke meanwhile"))
        page.keyboard.type("database moves")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Asked for in your name: Suspend")
        (asked,) = server.objects("nidus.dev", "Request", "nidus-system")
        assert (asked["spec"]["kind"], asked["spec"]["reason"]) == ("suspend", "database moves")
    context.close()


def tab_to(page: Any, found: str) -> None:
    """Go on until the focus is there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(found):
            return
    raise AssertionError(found)


@pytest.mark.parametrize("script", [pytest.param(True, marks=pytest.mark.long), False])
def test_every_action_is_asked_for_by_its_form(chromium: Any, script: bool) -> None:
    server, known = home(), Known()
    source = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "spec": {"url": "u", "branch": "b", "path": "."}}
    server.put({**source, "metadata": {"name": "platform", "namespace": "nidus-system"}})
    stopped = Request("suspend", "", "calm", "ann", NOW - 60, 0.0, "", (), "")
    known.actions = Actions(client(server), "nidus-system", lambda: [stopped])
    context = chromium.new_context(java_script_enabled=script)
    page = context.new_page()
    with known.served(door(server)) as url:
        page.goto(f"{url}/sign-in")
        sign_in(page)
        page.wait_for_selector("h1:text('Clusters')")
        for verb, action in ACTIONS.items():
            life = Life("2099-11-20T00:00:00Z", sleep=SleepView(asleep=verb == "wake"), backups=BackupsView(list=()))
            word = {"approve": "Held", "resume": "Suspended"}.get(verb, "Ready")
            known.clusters["calm"] = replace(held("calm"), word=word, life=life)
            page.goto(f"{url}/clusters/calm")
            if verb != "approve":
                page.click(f"summary:text-is('{action.label}')")
            if action.time:
                page.select_option(f"form[action$='/{verb}'] select", "1d")
            page.click(f"form[action$='/{verb}'] button")
            page.wait_for_selector(f"text=Asked for in your name: {action.label}")
        asked = {one["spec"]["kind"] for one in server.objects("nidus.dev", "Request", "nidus-system")}
        assert asked == ACTIONS.keys() - {"sync"}
        marked = server.get("nidus.dev", "Source", "nidus-system", "platform")
        assert marked is not None and any("resync" in key for key in marked["metadata"]["annotations"])
    context.close()


PRINTED = """() => ({
    text: getComputedStyle(document.body).color, back: getComputedStyle(document.body).backgroundColor,
    pressed: [...document.querySelectorAll("nav, button, form, summary")].filter((one) => one.checkVisibility()).length,
    cut: [...document.querySelectorAll(".wide, th, td")].filter((one) => getComputedStyle(one).overflowX !== "visible").length,
})"""


def test_a_printed_page_has_all_of_its_content(reading: tuple[Any, str]) -> None:
    """On paper: dark text on white whatever the colours of the screen, nothing to press, and no table or cell that is cut off."""
    page, site = reading
    page.emulate_media(media="print", color_scheme="dark")
    for path in PAGES:
        page.goto(site + path)
        shown = page.evaluate(PRINTED)
        assert shown == {"text": "rgb(0, 0, 0)", "back": "rgb(255, 255, 255)", "pressed": 0, "cut": 0}, path
