"""`dashboard` (U7, U9): the overview of many clusters, how soon open pages are told of a change, and what 300 viewers cost health and
the webhook. The three listeners run in one process, as in the controller; the viewers in another.

A viewer is an open page: it follows `/events` or, where 200 do already, asks every five seconds; at each event it asks for the page.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing import get_context
from threading import Event, Thread
from typing import Final

from flask import Response

from bench.report import Outcome, Row, Size, percentile
from dashboard.app import create_app
from dashboard.door import Door
from dashboard.feed import Feed
from dashboard.views import Views
from reconciler.controller.dashboard import BOUNDS
from reconciler.model import LayerStatus
from reconciler.report.life import stamp
from reconciler.report.view import ClusterView, ConditionView
from webhook import app as hooks
from webhook.forges import FORGES, Delivery
from webhook.server import Served, serve

VIEWERS: Final = 300
ASKED: Final = 200  # answers of each kind that are timed
EVERY: Final = 5.0  # seconds between two questions of a page that is not told
CHANGES: Final = 1.0  # seconds between two changes of the fleet
PAGE: Final = 100_000
SECRET: Final = b"known"


class Fleet:
    """Clusters that change, a dashboard over them, and a webhook beside it."""

    def __init__(self, count: int) -> None:
        self.clusters = {name: _view(name, "Ready") for name in (f"cluster-{n:05}" for n in range(count))}
        self.feed = Feed()
        views = Views(clusters=self.clusters.copy, sources=dict, waits=lambda: "", feed=self.feed)
        self.app = create_app(views, Door(lambda host: True))
        self.asked = 0  # pages
        self.app.after_request(self._count)

    def _count(self, answer: Response) -> Response:
        self.asked += answer.mimetype == "text/html"
        return answer

    def change(self, number: int) -> None:
        name = f"cluster-{number % len(self.clusters):05}"
        self.clusters[name] = _view(name, ("Held", "Ready")[number % 2])
        self.feed.changed(f"clusters/{name}")


def run(size: Size) -> Outcome:
    """Everything at `size.clusters`."""
    fleet = Fleet(max(2, size.clusters))
    drawn, kept, length = _overview(fleet, size.rounds)
    with _served(fleet) as (dash, hook):
        told = _told(fleet, dash.port, size.rounds)
        alone = _beside(hook.port, ASKED if size.rounds > 1 else 5)
        with _viewers(fleet, dash.port, VIEWERS if size.rounds > 1 else 5):
            began, before = time.monotonic(), fleet.asked
            crowded = _beside(hook.port, ASKED if size.rounds > 1 else 5)
            _until("the viewers did not look", lambda: fleet.asked > before)  # a few answers take less than CHANGES
            rate = (fleet.asked - before) / (time.monotonic() - began)
    rows = [
        Row("overview, drawn anew, CPU p50", percentile(drawn, 0.5) * 1000, "ms", 200),
        Row("overview, drawn for somebody before, CPU p50", percentile(kept, 0.5) * 1000, "ms"),
        Row("overview", float(length), "bytes", PAGE),
        Row("from a change to its event, p50", percentile(told, 0.5) * 1000, "ms"),
        Row("from a change to its event, slowest", max(told) * 1000, "ms", 1000),
    ]
    rows.append(Row(f"pages that {VIEWERS} viewers got meanwhile", rate, "/s"))
    for what in ("health", "webhook"):
        rows += [
            Row(f"{what} p99, nobody looks", percentile(alone[what], 0.99) * 1000, "ms"),
            Row(f"{what} p99, {VIEWERS} viewers", percentile(crowded[what], 0.99) * 1000, "ms"),
        ]
    remarks = [
        f"{len(fleet.clusters)} clusters; one changes every {CHANGES:g} s while viewers look, and each of them asks for the overview then.",
        "Listeners, application and what they serve are in one process; viewers and who asks for health are in others.",
    ]
    return Outcome("dashboard", "U9", rows, remarks)


def _view(name: str, word: str) -> ClusterView:
    since = stamp(time.time())
    layers = tuple(LayerStatus(f"layer-{n}", "local", "Current", "", 5) for n in range(5))
    ready = ConditionView("Ready", "True" if word == "Ready" else "False", word, "Deployment web/shop 0/1", since)
    revision = "main@sha1:" + "0" * 40
    labels = {"team": f"team-{int(name[-2:]) % 40}"}
    place = ("platform", f"clusters/{name}.yaml", revision, revision)
    return ClusterView(name, word, *place, (ready,), layers, since=since, host="local", labels=labels)


def _overview(fleet: Fleet, rounds: int) -> tuple[list[float], list[float], int]:
    """CPU seconds of the first page after a change, and of the next one; bytes."""
    browser = fleet.app.test_client()
    drawn: list[float] = []
    kept: list[float] = []
    length = 0
    for number in range(rounds + 1):  # the first compiles the templates
        fleet.change(number)
        for found in (drawn, kept):
            began = time.process_time()
            length = len(browser.get("/").data)
            found.append(time.process_time() - began)
    return drawn[1:], kept[1:], length


@contextmanager
def _served(fleet: Fleet) -> Iterator[tuple[Served, Served]]:
    routes = {"platform": hooks.Route("platform", "github", lambda: (SECRET,))}
    dash = serve(fleet.app, "127.0.0.1:0", bounds=BOUNDS)
    hook = serve(hooks.create_app(routes, lambda source, delivery: 1), "127.0.0.1:0", probes=("/healthz",))
    try:
        yield dash, hook
    finally:
        hook.stop()
        dash.stop()


def _told(fleet: Fleet, port: int, rounds: int) -> list[float]:
    """Seconds from a change to the event of an open page."""
    took = []
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as sock:
        sock.sendall(b"GET /events?topic= HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with sock.makefile("rb") as file:
            _event(file)
            for number in range(rounds):
                time.sleep(0.5)  # beyond the rest between two events
                began = time.monotonic()
                fleet.change(number)
                _event(file)
                took.append(time.monotonic() - began)
    return took


def _event(file: Iterator[bytes]) -> None:
    if not any(line.startswith(b"id: ") for line in file):
        raise SystemExit("the connection ended: this run measures nothing")


def _beside(port: int, count: int) -> dict[str, list[float]]:
    """Seconds of answers of the webhook's listener, asked for by another process one after another."""
    with get_context("spawn").Pool(1) as other:
        return other.apply(_asked, (port, count))


def _asked(port: int, count: int) -> dict[str, list[float]]:
    headers, body = FORGES["github"].compose(Delivery("push", ("refs/heads/main",)))
    signed = headers | FORGES["github"].sign(body, SECRET, 0.0)
    found: dict[str, list[float]] = {"health": [], "webhook": []}
    for _ in range(count):
        found["health"].append(_one(port, "GET", "/healthz", None, {}))
        found["webhook"].append(_one(port, "POST", "/webhook/platform", body, signed))
    return found


def _one(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> float:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, headers)
    connection.getresponse().read()
    connection.close()
    return time.monotonic() - began


@contextmanager
def _viewers(fleet: Fleet, port: int, count: int) -> Iterator[None]:
    """So many open pages, while the fleet changes."""
    other, over = get_context("spawn").Process(target=_look, args=(port, count), daemon=True), Event()
    changing = Thread(target=_changes, args=(fleet, over), daemon=True)
    other.start()
    _until("the viewers did not come", lambda: fleet.feed.count() >= min(count, 200))
    changing.start()
    try:
        yield
    finally:
        over.set()
        changing.join()
        other.terminate()
        other.join()
        _until("the viewers did not leave", lambda: not fleet.feed.count())


def _until(otherwise: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{otherwise}: this run measures nothing")
        time.sleep(0.1)


def _changes(fleet: Fleet, over: Event) -> None:
    number = 0
    while not over.wait(CHANGES):
        number += 1
        fleet.change(number)


def _look(port: int, count: int) -> None:
    async def everybody() -> None:
        await asyncio.gather(*(_viewer(port) for _ in range(count)))

    asyncio.run(everybody())


async def _viewer(port: int) -> None:
    """One open page."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /events?topic= HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async for line in reader:
                if line.startswith(b"id: "):
                    await _page(port)
            writer.close()
        await _page(port)
        await asyncio.sleep(EVERY)


async def _page(port: int) -> None:
    with suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.read()
        writer.close()
