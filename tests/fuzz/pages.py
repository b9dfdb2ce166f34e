"""Requests to the dashboard, over what tenants and repositories may have put into its views."""

from random import Random
from typing import Any
from urllib.parse import quote

from dashboard.app import HEADERS
from reconciler.controller.actions import Actions
from reconciler.model import Violation
from reconciler.report.view import SourceView
from tests.dashboard.scene import TOKENS, Known, door, home, view
from tests.dashboard.scenery import fill
from tests.fuzz import values
from tests.fuzz.harness import Case
from tests.shell import client

STATUSES = frozenset({200, 206, 303, 304, 308, 400, 401, 403, 404, 405, 409, 413, 416, 421, 503})
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
    "/sources",
    "/sources/evil",
    "/changes",
    "/changes/platform/42",
    "/cost",
    "/events",
    "/sign-in",
)
FORMS = (
    "/sign-in",
    "/sign-out",
    "/clusters/evil/suspend",
    "/clusters/evil/approve",
    "/sources/evil/sync",
    "/sources/evil/x",
)
ASKED = ("name", "word", "source", "page", "month", "topic", "next", "done", "x")
FILLED = ("proof", "token", "next", "reason", "lasts", "consent")
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
    known, server = fill(Known()), home()
    known.actions = Actions(client(server), "nidus-system", tuple)
    readers = [known.app().test_client(), known.app(door(server)).test_client(), known.app(door(server)).test_client()]
    readers[1].post("/sign-in", data={"token": TOKENS["ada"]}, headers={"Origin": "http://localhost"})

    def case(draw: Random) -> None:
        mark = f"<b {draw.randrange(10**6)}>"
        texts: dict[str, Any] = {one: mark + draw.choice(values.TEXTS) for one in draw.sample(FIELDS, 4)}
        known.put(view("evil", draw.choice(("Held", "Degraded", mark)), **texts))
        wrong = Violation(texts.get("file", "f"), 3, 1, "NID101", mark)
        known.sources["evil"] = SourceView("evil", violations=(wrong,), violation_count=1, configuration=mark)
        known.feed.changed("sources/evil")
        question = "&".join(f"{draw.choice(ASKED)}={asked(draw)}" for _ in range(draw.randrange(4)))
        headers = {name: header(draw) for name in draw.sample(HEADS, draw.randrange(3))}
        path = draw.choice(PATHS) if draw.random() < 0.8 else f"/clusters/{asked(draw)}"
        reader = draw.choice(readers)
        if draw.random() < 0.3:
            form = {name: draw.choice(values.TEXTS) for name in draw.sample(FILLED, draw.randrange(len(FILLED)))}
            sent = {"Origin": "http://localhost"} | headers
            given = reader.post(draw.choice(FORMS), data=form, headers=sent)
        else:
            method = draw.choice(("GET", "GET", "HEAD", "POST", "PUT"))
            given = reader.open(f"{path}?{question}", method=method, headers=headers)
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
