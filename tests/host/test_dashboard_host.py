"""The dashboard of a running controller in a real Chromium: somebody with Role nidus-operator signs in by their token, sees a push arrive
without asking for it, and what they ask for is done in their name (U7, U8)."""

from collections.abc import Iterator

import pytest
import yaml

from devhost.ports import free_port
from tests.dashboard.scene import sign_in
from tests.dashboard.test_browser import CHROMIUM, playwright
from tests.host.field import Field
from tests.host.promises import standing, write_maps
from tests.host.test_people import grant, token_of

pytestmark = [pytest.mark.host, pytest.mark.skipif(not CHROMIUM, reason="this test needs a Chromium on the PATH")]
SLOWEST = 60_000  # milliseconds


@pytest.fixture
def served(shared_field: Field) -> Iterator[tuple[Field, str]]:
    """A field whose controller serves the dashboard, and where."""
    address = f"127.0.0.1:{free_port()}"
    config = yaml.safe_load(shared_field.stage.config.read_text())
    config["spec"]["server"]["dashboard"] = {"address": address, "auth": "kubernetes"}
    shared_field.stage.config.write_text(yaml.safe_dump(config))
    yield shared_field, f"http://{address}"


def test_a_push_is_seen_and_an_action_is_done(served: tuple[Field, str]) -> None:
    field, url = served
    account = field.account
    name, _ = standing(field, "one")
    person = f"dash-{account.name}"
    token = token_of(account.hosted, account, person)
    who = f"system:serviceaccount:{account.namespace}:{person}"
    grant(account.hosted, account, who, {"kind": "Role", "name": "nidus-operator"})
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(SLOWEST)
        page.goto(f"{url}/clusters/{name}")
        sign_in(page, token)
        page.wait_for_selector("text=Live")
        page.evaluate("window.here = true")  # as long as the page is not loaded anew
        write_maps(field, "one", "two")
        field.push("A second map")
        page.wait_for_selector("dd:has-text('A second map')")
        page.wait_for_selector("h1 .word.Ready")
        assert page.evaluate("window.here") is True
        page.click("summary:text-is('Suspend')")
        page.fill("details[open] input[name=reason]", "the database moves")
        page.click("details[open] button")
        page.wait_for_selector("text=Asked for in your name: Suspend")
        page.wait_for_selector("h1 .word:text-is('Suspended')")
        browser.close()
    (asked,) = account.hosted.client.list("nidus.dev/v1alpha1", "Request", account.namespace)["items"]
    assert (asked["spec"]["who"], asked["spec"]["reason"]) == (who, "the database moves")
