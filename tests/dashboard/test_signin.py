"""Sign-in: who somebody is, and what there is for them. Real forms; the people and rights are those of an API server in memory."""

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboard import sealing
from dashboard.door import Proxy
from tests.dashboard.scene import TOKENS, Known, door, home
from tests.memory.failures import answer
from tests.memory.server import Server

HTTPS = "https://nidus.example.com"
INSIDE = Proxy(("10.0.3.0/24",))


@pytest.fixture
def server() -> Server:
    return home()


@pytest.fixture
def browser(server: Server) -> Iterator[FlaskClient]:
    with Known().app(door(server)).test_client() as one:
        yield one


@pytest.fixture
def outside(server: Server) -> Iterator[FlaskClient]:
    """The same behind a server that ends TLS."""
    with Known().app(door(server, url=HTTPS)).test_client() as one:
        yield one


def post(browser: FlaskClient, path: str, origin: str = "http://localhost", **form: str) -> TestResponse:
    host = origin.partition("://")[2]
    return browser.post(path, data=form, headers={"Origin": origin}, base_url=f"{origin.partition(':')[0]}://{host}")


def enter(browser: FlaskClient, who: str, **more: Any) -> TestResponse:
    return post(browser, "/sign-in", token=TOKENS[who], **more)


def proof(browser: FlaskClient, path: str = "/") -> str:
    (found,) = set(re.findall(r'name="proof" value="([0-9a-f]+)"', browser.get(path).get_data(as_text=True)))
    return found


def test_nobody_sees_anything_before_they_sign_in(browser: FlaskClient) -> None:
    for path in ("/", "/clusters/calm?x=1"):
        found = browser.get(path)
        assert (
            found.status_code == 303 and found.location.startswith("/sign-in?next=/") and b"calm" not in found.data[:0]
        )
    assert b"calm" not in browser.get("/sign-in").data


def test_who_signs_in_sees_what_they_may_get(browser: FlaskClient) -> None:
    assert enter(browser, "ada").location == "/"
    shown = browser.get("/").get_data(as_text=True)
    assert "3 of 3 clusters" in shown and ">ada<" in shown and "platform" in shown


def test_what_one_may_not_get_is_not_there(browser: FlaskClient) -> None:
    enter(browser, "tom")
    shown = browser.get("/").get_data(as_text=True)
    assert "1 of 1 clusters" in shown and "stuck" not in shown and ">platform</a>: " not in shown
    assert browser.get("/clusters/calm").status_code == 200
    assert browser.get("/clusters/stuck").status_code == 404
    enter(browser, "eve")
    assert "0 of 0 clusters" in browser.get("/").get_data(as_text=True)


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 5000, "nobody-has-this-token", "a b c d e f g h", "t\u00f6ken-token"]
)
def test_no_other_token_signs_in(browser: FlaskClient, token: str) -> None:
    found = post(browser, "/sign-in", token=token)
    assert found.status_code == 401 and "Set-Cookie" not in found.headers and browser.get("/").status_code == 303


def test_a_token_that_ends_ends_the_sign_in(server: Server, browser: FlaskClient) -> None:
    enter(browser, "ada")
    server.tokens.clear()
    with Known().app(door(server)).test_client() as later:  # half a minute later, or at another replica
        later._cookies = browser._cookies
        assert later.get("/").status_code == 303


def test_the_cookie_is_sealed_and_stays_with_the_browser(browser: FlaskClient, outside: FlaskClient) -> None:
    told = enter(browser, "ada").headers["Set-Cookie"]
    assert told.startswith("nidus=") and "HttpOnly" in told and "SameSite=Strict" in told and "Domain" not in told
    assert TOKENS["ada"] not in told
    told = enter(outside, "ada", origin=HTTPS).headers["Set-Cookie"]
    assert told.startswith("__Host-nidus=") and "; Secure" in told and "HttpOnly" in told and "SameSite=Strict" in told


def test_a_cookie_of_another_scheme_or_name_opens_nothing(outside: FlaskClient) -> None:
    value = enter(outside, "ada", origin=HTTPS).headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    for base in ("http://localhost", "http://127.0.0.1"):
        outside.set_cookie("nidus", value, domain=base.partition("//")[2])
        outside.set_cookie("__Host-nidus", value, domain=base.partition("//")[2])
        assert outside.get("/", base_url=base).status_code == 303
    assert outside.get("/", base_url=HTTPS).status_code == 200


def test_a_cookie_of_another_installation_opens_nothing(browser: FlaskClient) -> None:
    for value in (sealing.sealed(TOKENS["ada"], "http://localhost", b"other"), TOKENS["ada"], "\u00e9", "x" * 4000):
        browser.set_cookie("nidus", value)
        assert browser.get("/").status_code == 303


def test_a_long_token_is_told(server: Server, browser: FlaskClient) -> None:
    import secrets

    token = secrets.token_urlsafe(2990)[:3990]
    server.tokens[token] = {"username": "long"}
    found = post(browser, "/sign-in", token=token)
    assert found.status_code == 401 and b"too long for a cookie" in found.data


@pytest.mark.parametrize(
    "given", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com", "/x\r\nY: z", "javascript:x"]
)
def test_nobody_is_led_elsewhere(browser: FlaskClient, given: str) -> None:
    assert post(browser, "/sign-in", token=TOKENS["ada"], next=given).location == "/"
    assert given not in browser.get("/sign-in", query_string={"next": given}).get_data(as_text=True)


def test_one_goes_where_one_wanted(browser: FlaskClient) -> None:
    there = browser.get("/clusters/calm?name=x").location
    assert there == "/sign-in?next=/clusters/calm%3Fname%3Dx"
    assert 'value="/clusters/calm?name=x"' in browser.get(there).get_data(as_text=True)
    assert (
        post(browser, "/sign-in", token=TOKENS["ada"], next="/clusters/calm?name=x").location == "/clusters/calm?name=x"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(browser: FlaskClient, headers: dict[str, str]) -> None:
    found = browser.post("/sign-in", data={"token": TOKENS["ada"]}, headers=headers)
    assert found.status_code == 403 and "Set-Cookie" not in found.headers


def test_signing_out_takes_the_cookie_and_a_proof(browser: FlaskClient) -> None:
    enter(browser, "ada")
    assert post(browser, "/sign-out").status_code == 403 == post(browser, "/sign-out", proof="\u00e9").status_code
    assert post(browser, "/sign-out", proof=proof(browser)).location == "/sign-in"
    assert browser.get("/").status_code == 303


def test_a_proof_is_of_one_reader_and_one_sign_in(server: Server, browser: FlaskClient) -> None:
    enter(browser, "tom")
    of_tom = proof(browser)
    enter(browser, "ada")
    assert post(browser, "/sign-out", proof=of_tom).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "evil.example.com", ""])
def test_a_path_that_there_is_not_asks_nobody(server: Server, browser: FlaskClient, host: str) -> None:
    """The thread that waits for all clients answers it, so it must wait for nobody."""
    enter(browser, "ada")
    server.log.clear()
    found = browser.get("/none", headers={"Host": host})
    assert found.status_code == 404 and server.log == [] and b"ada" not in found.data


def test_no_answer_is_no_permission(server: Server, browser: FlaskClient) -> None:
    enter(browser, "ada")
    server.fail(answer(500), lambda call: "subjectaccessreviews" in call.verb, times=None)
    found = browser.get("/")
    assert found.status_code == 503 and b"calm" not in found.data
    server.heal()
    assert browser.get("/").status_code == 200


def test_an_answer_of_another_shape_is_no_permission(server: Server, browser: FlaskClient) -> None:
    from tests.memory.failures import Failure

    server.fail(Failure("raw", 201, body=b'{"status": {"authenticated": "yes", "user": {"username": ["ada"]}}}'))
    assert enter(browser, "ada").status_code == 503


# A proxy that signs people in


@pytest.fixture
def behind(server: Server) -> Iterator[FlaskClient]:
    with Known().app(door(server, "proxy", HTTPS, INSIDE)).test_client() as one:
        yield one


def by(browser: FlaskClient, address: str = "10.0.3.7", **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.get("/", headers=given, base_url=HTTPS, environ_overrides={"REMOTE_ADDR": address})


def test_a_proxy_says_who_somebody_is(behind: FlaskClient, server: Server) -> None:
    assert b"3 of 3 clusters" in by(behind, X_Forwarded_User="ada").data
    assert b"1 of 1 clusters" in by(behind, X_Forwarded_User="tom").data
    server.rights.add(("leads", "get", ""))
    assert b"3 of 3 clusters" in by(behind, X_Forwarded_User="eve", X_Forwarded_Groups="x, leads").data


@pytest.mark.parametrize("address", ["10.0.4.1", "127.0.0.1", "::1", "", "::ffff:10.0.4.1"])
def test_others_are_not_the_proxy(behind: FlaskClient, address: str) -> None:
    assert by(behind, address, X_Forwarded_User="ada").status_code == 403


def test_the_proxy_by_another_family_of_addresses(behind: FlaskClient) -> None:
    assert by(behind, "::ffff:10.0.3.7", X_Forwarded_User="ada").status_code == 200


@pytest.mark.parametrize(
    "name", ["", "eve,ada", "system:masters", "system:serviceaccount:nidus-system:nidus", "x" * 300]
)
def test_a_proxy_names_nobody_of_kubernetes_itself(behind: FlaskClient, name: str) -> None:
    assert by(behind, X_Forwarded_User=name).status_code == 401


def test_a_proxy_gives_no_group_of_kubernetes_itself(behind: FlaskClient, server: Server) -> None:
    server.rights.add(("system:masters", "get", ""))
    assert b"0 of 0 clusters" in by(behind, X_Forwarded_User="eve", X_Forwarded_Groups="system:masters").data


def test_names_of_a_proxy_are_told_apart_by_their_last_letter(behind: FlaskClient, server: Server) -> None:
    """As bytes, \u00e0 and \u00c5 end in what Latin-1 reads as space."""
    server.rights |= {("jos\u00e0", "get", ""), ("team\u00e0", "get", "")}
    seen = {
        (user, group): b"0 of 0 clusters"
        not in by(behind, X_Forwarded_User=latin(user), X_Forwarded_Groups=latin(group)).data
        for user in ("jos\u00e0", "jos\u00c5")
        for group in ("team\u00e0", "team\u00c5")
    }
    assert [asked for asked, clusters in seen.items() if not clusters] == [("jos\u00c5", "team\u00c5")]
    assert by(behind, X_Forwarded_User="jos\u00e0").status_code == 401  # no UTF-8


def latin(text: str) -> str:
    """A header as WSGI gives it."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize("twice", ["X-Forwarded-User: ada", "x-forwarded-groups: people", ""])
def test_a_header_of_the_proxy_that_came_twice_is_refused(server: Server, twice: str) -> None:
    """The one of a browser beside that of the proxy: over a real socket, since the environment holds both as one."""
    with Known().served(door(server, "proxy", proxy=Proxy(("127.0.0.1",)))) as url:
        host = url.removeprefix("http://")
        name, _, port = host.partition(":")
        lines = ["GET / HTTP/1.1", f"Host: {host}", "X-Forwarded-User: ada", "X-Forwarded-Groups: people", twice]
        with socket.create_connection((name, int(port)), timeout=60) as sock:
            sock.sendall("\r\n".join([*filter(None, lines), "", ""]).encode())
            found = sock.makefile("rb").read()
        assert found.startswith(b"HTTP/1.1 400" if twice else b"HTTP/1.1 200")
