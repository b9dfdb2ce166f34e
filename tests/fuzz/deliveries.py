"""Deliveries to the webhook, signed or not, as any sender may make them."""

import hashlib
import hmac
import json
from random import Random
from urllib.parse import quote

from tests.fuzz import values
from tests.fuzz.harness import Case
from webhook.app import Route, create_app
from webhook.forges import FORGES, Delivery

SECRET = b"a secret of at least thirty-two bytes"
STATUSES = frozenset({200, 202, 308, 400, 401, 404, 405, 413, 415, 429})
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "text/plain; charset=\x00",
)
EVENTS = ("push", "ping", "pull_request")
NAMES = (
    "X-GitHub-Event",
    "X-Hub-Signature-256",
    "X-Nidus-Signature",
    "X-Hub-Signature",
    "Content-Type",
    "Content-Encoding",
    "Transfer-Encoding",
)


def deliveries() -> Case:
    """Every provider, any header, any body; half of them signed."""
    marked: list[tuple[str, ...]] = []

    def mark(source: str, delivery: Delivery) -> bool:
        marked.append(delivery.refs)
        return True

    routes = {name: Route(name, name, lambda: (SECRET,)) for name in FORGES}
    app = create_app(routes, mark, limit=100_000)
    client = app.test_client()
    keys = (*FORGES, *FORGES, "x", "%ff", "..", "a/", "%00")

    def case(draw: Random) -> None:
        marked.clear()
        body, sign = payload(draw), draw.random() < 0.6
        headers = {name: header(draw) for name in draw.sample(NAMES, draw.randrange(4))}
        if draw.random() < 0.8:
            headers |= {"X-GitHub-Event": draw.choice(EVENTS), "Content-Type": draw.choice(TYPES[:2])}
        if sign:
            told = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
            headers |= {"X-Hub-Signature-256": told, "X-Nidus-Signature": told}
        given = client.open(
            f"/webhook/{draw.choice(keys)}",
            method=draw.choice(("POST", "POST", "POST", "PUT")),
            data=body,
            headers=headers,
            environ_base={"REMOTE_ADDR": draw.choice((f"10.0.{draw.randrange(256)}.{draw.randrange(256)}", "::1", ""))},
        )
        assert given.status_code in STATUSES, given.status_code
        assert bool(marked) == (given.status_code == 202) and (sign or not marked)
        assert all(ref.startswith("refs/") and ref.isprintable() for refs in marked for ref in refs)

    return case


def payload(draw: Random) -> bytes:
    told = {"ref": "refs/heads/main", "refs": ["refs/heads/a"], "ping": False, "repository": {"full_name": "a/b"}}
    if draw.random() < 0.8:
        told = values.change(draw, told)
    body = json.dumps(told).encode()
    how = draw.random()
    if how < 0.15:
        return values.damage(draw, body)
    if how < 0.25:
        return b"[" * draw.randrange(50_000)
    return b"payload=" + quote(body).encode() if how < 0.4 else body


def header(draw: Random) -> str:
    text = draw.choice(
        ("sha256=" + "0" * 64, "sha256=" + "²" * 64, "sha256=", "sha1=x", "chunked", "gzip", *values.TEXTS)
    )
    return "".join(one for one in text if 31 < ord(one) < 256 and one != "\x7f")
