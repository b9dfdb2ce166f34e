"""The webhook application: signatures, routes, answers and marks (W1 to W3, M19)."""

import hashlib
import hmac
import json
import time
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from webhook.app import MarkFailed, Route, create_app
from webhook.attempts import Attempts
from webhook.forges import FORGES, Delivery

PAYLOADS = Path(__file__).parent / "payloads"
PUSH = (PAYLOADS / "github_push.json").read_bytes()
PING = (PAYLOADS / "github_ping.json").read_bytes()
OLD, NEW = b"old secret of thirty-two bytes..", b"new secret of thirty-two bytes.."


class Marks:
    """Where marks go in these tests; `broken` makes storing them fail."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, tuple[str, ...]]] = []
        self.broken = False

    def __call__(self, source: str, delivery: Delivery) -> int:
        if self.broken:
            raise MarkFailed
        self.stored.append((source, delivery.refs))
        return len(self.stored)


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
def client(marks: Marks) -> FlaskClient:
    return create_app(
        {
            "platform": Route("platform", "github", lambda: (OLD, NEW)),
            "hook": Route("local", "generic", lambda: (NEW,)),
            "none": Route("none", "github", lambda: ()),
            "empty": Route("empty", "github", lambda: (b"",)),
        },
        marks,
        limit=100_000,
    ).test_client()


def sign(body: bytes, secret: bytes = NEW) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def deliver(
    client: FlaskClient, body: bytes, *, event: str = "push", key: str = "platform", **headers: str
) -> TestResponse:
    given = {"X-GitHub-Event": event, "Content-Type": "application/json", "X-Hub-Signature-256": sign(body)}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/webhook/{key}", data=body, headers=given)


def test_push_is_marked_then_accepted(client: FlaskClient, marks: Marks) -> None:
    assert deliver(client, PUSH).status_code == 202
    assert marks.stored == [("platform", ("refs/heads/main",))]


def test_both_secrets_are_valid_at_once(client: FlaskClient) -> None:
    assert deliver(client, PUSH, X_Hub_Signature_256=sign(PUSH, OLD)).status_code == 202
    assert deliver(client, PUSH, X_Hub_Signature_256=sign(PUSH, NEW)).status_code == 202


def test_rotation_is_seen_without_a_restart(marks: Marks) -> None:
    valid = [OLD]
    client = create_app({"platform": Route("p", "github", lambda: tuple(valid))}, marks).test_client()
    assert deliver(client, PUSH).status_code == 401
    valid.append(NEW)
    assert deliver(client, PUSH).status_code == 202
    valid.clear()
    assert deliver(client, PUSH).status_code == 404


@pytest.mark.parametrize("event", ["ping", "workflow_run", "issues", "", "PUSH", "release"])
def test_ping_and_uninteresting_events_mark_nothing(client: FlaskClient, marks: Marks, event: str) -> None:
    assert deliver(client, PING, event=event).status_code == 200
    assert marks.stored == []


@pytest.mark.parametrize(
    "signature",
    ["", "sha256=", "sha256=00", "sha1=" + "0" * 40, "sha256=" + "0" * 64, "sha256=" + "é" * 64, sign(PUSH) + "0", sign(PUSH)[7:],
     "sha256=" + "٣" * 64, sign(PUSH, b""), sign(PUSH, b"guess"), sign(PUSH + b" ")],
)  # fmt: skip
def test_bad_signatures_are_refused_alike(client: FlaskClient, marks: Marks, signature: str) -> None:
    response = deliver(client, PUSH, X_Hub_Signature_256=signature.encode().decode("latin-1"))
    assert response.status_code == 401
    assert response.data == deliver(client, PUSH, key="nowhere").data
    assert marks.stored == []


@pytest.mark.parametrize("forge", FORGES)
def test_a_missing_signature_and_a_wrong_one_are_answered_alike(forge: str, marks: Marks) -> None:
    """To the byte, whichever it is, also for malformed ones and where nobody may know that the route exists: only 404 differs by its
    number."""
    client = create_app({"x": Route("x", forge, lambda: (NEW,))}, marks, attempts=Attempts(1000)).test_client()
    headers, body = FORGES[forge].compose(Delivery("push", ("refs/heads/main",)))
    wrong = FORGES[forge].sign(body, b"another secret of thirty-two bytes", 0)
    name, told = next(iter(wrong.items()))
    tried: list[dict[str, str]] = [
        {},
        wrong,
        {name: ""},
        {name: "x"},
        {name: told[:-1]},
        {name: told + "x"},
        {name: "é" + told},
    ]
    answers = [client.post("/webhook/x", data=body, headers=headers | one) for one in tried]
    assert [one.status_code for one in answers] == [401] * len(tried)
    assert len({(one.data, str(one.headers)) for one in answers}) == 1
    assert client.post("/webhook/nowhere", data=body, headers=headers).data == answers[0].data
    assert (
        client.post("/webhook/x", data=body, headers=headers | FORGES[forge].sign(body, NEW, time.time())).status_code
        == 202
    )


def test_change_requests_and_comments_are_marked_by_their_number(marks: Marks) -> None:
    asked: list[Delivery] = []

    def mark(source: str, delivery: Delivery) -> int:
        asked.append(delivery)
        return 0 if delivery.number == 8 else 1

    client = create_app({"platform": Route("p", "github", lambda: (NEW,))}, mark).test_client()
    for event, body, expected in (
        ("pull_request", b'{"pull_request": {"number": 7}}', 202),
        ("issue_comment", b'{"issue": {"number": 7, "pull_request": {}}}', 202),
        ("pull_request", b'{"pull_request": {"number": 8}}', 200),
    ):
        assert deliver(client, body, event=event).status_code == expected
    assert asked == [Delivery("change", number=7), Delivery("comment", number=7), Delivery("change", number=8)]


def test_signature_is_checked_before_anything_is_parsed(client: FlaskClient) -> None:
    assert deliver(client, b"{", X_Hub_Signature_256="sha256=" + "0" * 64).status_code == 401
    assert deliver(client, b"{", event="ping", X_Hub_Signature_256="").status_code == 401


@pytest.mark.parametrize("key", ["none", "empty", "nowhere", "platform/x", "", "..", "%00", "platform%2Fx"])
def test_routes_without_a_secret_do_not_exist(client: FlaskClient, key: str) -> None:
    response = deliver(client, PUSH, key=key, X_Hub_Signature_256=sign(PUSH, b""))
    assert (response.status_code, response.data) == (404, b"refused\n")


def test_nobody_is_led_to_another_host(client: FlaskClient) -> None:
    for path in ("//webhook/n", "/webhook//n"):
        answer = client.get(path, headers={"Host": "evil.example.com"})
        assert answer.status_code == 404 and "Location" not in answer.headers


def test_other_methods_and_paths(client: FlaskClient) -> None:
    assert client.get("/webhook/platform").status_code == 405
    assert client.get("/webhook/nowhere").status_code == 405
    assert client.get("/metrics").status_code == 404


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"refs/heads/main"', b"{}", b'{"ref": null}', b'{"ref": 1}', b'{"ref": "main"}', b"\xff\xfe",
     b'{"ref": "refs/heads/a\\nb"}', b"[" * 90_000, b'{"ref": ' + b"9" * 5000 + b"}", b'{"ref": "refs/' + b"a" * 2000 + b'"}'],
)  # fmt: skip
def test_malformed_payloads_are_400(client: FlaskClient, marks: Marks, body: bytes) -> None:
    assert deliver(client, body).status_code == 400
    assert marks.stored == []


def test_too_large_is_413_even_unsigned(client: FlaskClient) -> None:
    assert deliver(client, b"x" * 100_001, X_Hub_Signature_256="").status_code == 413
    assert deliver(client, b"x" * 100_001, key="nowhere").status_code == 413


def test_not_stored_is_503_with_a_time_to_come_again(client: FlaskClient, marks: Marks) -> None:
    marks.broken = True
    response = deliver(client, PUSH)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    marks.broken = False
    assert deliver(client, PUSH).status_code == 202


def test_form_encoded_delivery(client: FlaskClient, marks: Marks) -> None:
    body = b"payload=" + quote_plus(PUSH).encode()
    assert deliver(client, body, Content_Type="application/x-www-form-urlencoded").status_code == 202
    assert marks.stored == [("platform", ("refs/heads/main",))]
    assert deliver(client, b"other=1", Content_Type="application/x-www-form-urlencoded").status_code == 400


def test_nothing_but_the_ref_is_used(client: FlaskClient, marks: Marks) -> None:
    body = json.dumps(
        {"ref": "refs/heads/x", "repository": {"clone_url": "https://evil.example/"}, "after": "0" * 40}
    ).encode()
    assert deliver(client, body).status_code == 202
    assert marks.stored == [("platform", ("refs/heads/x",))]


def test_generic_names_every_ref(client: FlaskClient, marks: Marks) -> None:
    for body in ({"ref": "refs/heads/main"}, {"refs": ["refs/heads/a", "refs/tags/b", "refs/heads/a"]}):
        data = json.dumps(body).encode()
        assert client.post("/webhook/hook", data=data, headers={"X-Nidus-Signature": sign(data)}).status_code == 202
    assert marks.stored == [("local", ("refs/heads/main",)), ("local", ("refs/heads/a", "refs/tags/b"))]
    data = b'{"ping": true}'
    assert client.post("/webhook/hook", data=data, headers={"X-Nidus-Signature": sign(data)}).status_code == 200
    assert client.post("/webhook/hook", data=data, headers={"X-Hub-Signature-256": sign(data)}).status_code == 401


def test_unknown_provider_is_refused_at_the_start(marks: Marks) -> None:
    with pytest.raises(ValueError, match="nosuch"):
        create_app({"x": Route("x", "nosuch", lambda: (NEW,))}, marks)
