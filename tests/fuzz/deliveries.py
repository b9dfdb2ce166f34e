"""Deliveries to the webhook of every forge, signed or not, as any sender may make them."""

import base64
import json
import time
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from tests.fuzz import values
from tests.fuzz.harness import Case
from webhook.app import Route, create_app
from webhook.deliveries import LAST, Deliveries
from webhook.forges import FORGES, Delivery

SECRET = b"a secret of at least thirty-two bytes"
KEY = b"whsec_" + base64.b64encode(SECRET)
STATUSES = frozenset({200, 202, 308, 400, 401, 404, 405, 413, 415, 429})
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "text/plain; charset=\x00",
)
PAYLOADS = {
    name: json.loads((Path(__file__).parents[1] / f"webhook/payloads/{name}.json").read_text()) for name in FORGES
}
NAMES = (
    "X-GitHub-Event", "X-Hub-Signature-256", "X-Nidus-Signature", "X-Hub-Signature", "X-Gitea-Event", "X-Gitea-Signature",
    "X-Forgejo-Event", "X-Forgejo-Signature", "X-Gogs-Event", "X-Gogs-Signature", "X-Gitlab-Event", "X-Gitlab-Token", "X-Event-Key",
    "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Authorization", "Content-Type", "Content-Encoding", "Transfer-Encoding",
)  # fmt: skip
MARK = "STRANGER"
"""In every delivery that is not signed; nothing that is kept may hold it."""


def deliveries() -> Case:
    """Every provider, any header, any body; half of them signed."""
    marked: list[Delivery] = []

    def mark(source: str, delivery: Delivery) -> int:
        marked.append(delivery)
        return 1

    log = Deliveries(FORGES)
    routes = {name: Route(name, name, lambda: (SECRET, KEY)) for name in FORGES}
    client = create_app(routes, mark, limit=100_000, log=log).test_client()
    keys = (*FORGES, *FORGES, "x", "%ff", "..", "a/", "%00")

    def case(draw: Random) -> None:
        marked.clear()
        forge = draw.choice(list(FORGES))
        told, body = payload(draw, forge)
        is_signed = draw.random() < 0.6
        headers = {name: header(draw) for name in draw.sample(NAMES, draw.randrange(4))}
        if draw.random() < 0.8:
            headers |= told | ({"Content-Type": draw.choice(TYPES[:2])} if draw.random() < 0.3 else {})
        if is_signed:
            secret = KEY if forge == "gitlab" and draw.random() < 0.5 else SECRET
            headers |= FORGES[forge].sign(body, secret, time.time())
        else:
            body += MARK.encode()
        given = client.open(
            f"/webhook/{forge if draw.random() < 0.7 else draw.choice(keys)}",
            method=draw.choice(("POST", "POST", "POST", "PUT")),
            data=body,
            headers=headers,
            environ_base={"REMOTE_ADDR": draw.choice((f"10.0.{draw.randrange(256)}.{draw.randrange(256)}", "::1", ""))},
        )
        assert given.status_code in STATUSES, given.status_code
        assert bool(marked) == (given.status_code == 202) and (is_signed or not marked)
        for one in marked:
            assert all(ref.startswith("refs/") for ref in one.refs)
            assert (one.kind == "push") == bool(one.refs) and (one.kind in ("change", "comment")) == bool(one.number)
        entries = log.told()[forge].entries
        assert len(entries) <= LAST and MARK not in repr(entries[-1:])
        assert all(ref.isprintable() for one in entries[-1:] for ref in one.refs)

    return case


def payload(draw: Random, forge: str) -> tuple[dict[str, str], bytes]:
    """A documented payload with its header, changed or damaged."""
    chosen = draw.choice(PAYLOADS[forge])
    told: Any = chosen["body"]
    if draw.random() < 0.8:
        told = values.change(draw, told)
    body = json.dumps(told).encode()
    how = draw.random()
    if how < 0.15:
        body = values.damage(draw, body)
    elif how < 0.25:
        body = b"[" * draw.randrange(50_000)
    elif how < 0.4:
        body = b"payload=" + quote(body).encode()
    return chosen["headers"], body


def header(draw: Random) -> str:
    text = draw.choice(
        (
            "sha256=" + "0" * 64,
            "sha256=" + "²" * 64,
            "sha256=",
            "sha1=x",
            "chunked",
            "gzip",
            "Basic " + "A" * 40,
            "v1,AAAA",
            *values.TEXTS,
        )
    )
    return "".join(one for one in text if 31 < ord(one) < 256 and one != "\x7f")
