"""Requests to the dashboard, over what tenants and repositories may have put into its views."""

from random import Random
from typing import Any
from urllib.parse import quote

from dashboard.app import HEADERS
from reconciler.model import Violation
from reconciler.report.view import SourceView
from tests.dashboard.scene import Known, view
from tests.fuzz import values
from tests.fuzz.harness import Case

STATUSES = frozenset({200, 206, 304, 308, 400, 404, 405, 413, 416, 421})
PATHS = (
    "/",
    "/",
    "/clusters/calm",
    "/clusters/evil",
    "/clusters/",
    "/static/style.css",
    "/static/../app.py",
    "//x",
    "/clusters/%00",
)
HEADS = (
    "Host",
    "If-None-Match",
    "Cookie",
    "Accept",
    "Range",
    "X-Forwarded-Host",
    "If-Modified-Since",
    "Content-Length",
    "Origin",
)
FIELDS = ("message", "endpoint", "attempted", "applied", "file", "source", "since")


def pages() -> Case:
    """Any path, question and header; what is shown has the guards of every page, and no text of others as markup."""
    known = Known()
    client = known.app().test_client()

    def case(draw: Random) -> None:
        mark = f"<b {draw.randrange(10**6)}>"
        texts: dict[str, Any] = {one: mark + draw.choice(values.TEXTS) for one in draw.sample(FIELDS, 4)}
        known.clusters["evil"] = view("evil", draw.choice(("Held", "Degraded", mark)), **texts)
        wrong = Violation(texts.get("file", "f"), 3, 1, "NID101", mark)
        known.sources["evil"] = SourceView("evil", violations=(wrong,), violation_count=1, configuration=mark)
        question = "&".join(
            f"{draw.choice(('name', 'word', 'source', 'page', 'x'))}={asked(draw)}" for _ in range(draw.randrange(4))
        )
        headers = {name: header(draw) for name in draw.sample(HEADS, draw.randrange(3))}
        path = draw.choice(PATHS) if draw.random() < 0.8 else f"/clusters/{asked(draw)}"
        given = client.open(
            f"{path}?{question}", method=draw.choice(("GET", "GET", "HEAD", "POST", "PUT")), headers=headers
        )
        assert given.status_code in STATUSES, given.status_code
        assert all(given.headers.get(name) == value for name, value in HEADERS.items())
        assert mark not in given.get_data(as_text=True)

    return case


def asked(draw: Random) -> str:
    text = draw.choice(values.TEXTS)
    return quote(text) if draw.random() < 0.8 else draw.choice(("%ff", "%", "+", "1", "99999", "²", "a" * 3000))


def header(draw: Random) -> str:
    text = draw.choice(("localhost", "evil.example.com", "127.0.0.1:80", '"abc"', "*", "bytes=0-", *values.TEXTS))
    return "".join(one for one in text if 31 < ord(one) < 256 and one != "\x7f")
