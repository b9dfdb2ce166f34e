"""Pages that are told of changes: over real sockets, with an end, a bound, and nobody else who waits for them (U7)."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from dashboard import feed as feeds
from dashboard.feed import Feed
from reconciler.controller import dashboard as listener
from reconciler.controller import http as internal
from reconciler.model import LayerStatus, Report, Revision
from reconciler.model import Plan as Planned
from reconciler.report import Reporter
from reconciler.report.view import Place
from tests.dashboard.scene import TOKENS, Known, door, home, view
from tests.shell import client
from tests.waiting import until
from webhook.app import Route, create_app
from webhook.forges import FORGES, Delivery
from webhook.server import serve

SECONDS = 60.0


class Stream:
    """One open connection to /events. Reads what comes."""

    def __init__(self, url: str, topic: str = "", last: str = "", more: str = "") -> None:
        parts = urlsplit(url)
        self.sock = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=SECONDS)
        resumed = f"Last-Event-ID: {last}\r\n" if last else ""
        head = f"GET /events?topic={topic} HTTP/1.1\r\nHost: {parts.netloc}\r\n{resumed}{more}\r\n"
        self.sock.sendall(head.encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.head = "".join(iter(lambda: self.file.readline().decode().strip("\r\n"), ""))

    def event(self) -> str:
        """The id of the next event."""
        for line in self.file:
            if line.startswith(b"id: "):
                return line[4:].decode().strip()
        return ""

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@contextmanager
def following(url: str, topic: str = "", last: str = "") -> Iterator[Stream]:
    one = Stream(url, topic, last)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def url(known: Known) -> Iterator[str]:
    with known.served() as found:
        yield found


def test_a_change_is_told_and_holds_no_content(known: Known, url: str) -> None:
    with following(url) as one:
        assert "text/event-stream" in one.head and "no-store" in one.head
        first = one.event()
        known.put(view("calm", "Held", "secret words"))
        assert one.event() != first


def test_a_topic_hears_of_itself_only(known: Known, url: str) -> None:
    with following(url, "clusters/calm") as one:
        first = one.event()
        known.put(view("stuck"))
        known.put(view("calm", "Held"))
        boot, _, number = one.event().partition("-")
        assert (boot, number) == (first.partition("-")[0], "2")


def test_who_comes_again_is_told_only_what_they_missed(known: Known, url: str) -> None:
    known.put(view("calm"))
    with following(url) as one:
        last = one.event()
    with following(url, last=last) as one:
        known.put(view("stuck"))
        assert one.event() == last.replace("-1", "-2")  # not the first one again


@pytest.mark.parametrize("last", ["x", "0000-1", "-", "9" * 500, "a-b", "\u0661"])
def test_an_id_of_somebody_else_is_none(known: Known, url: str, last: str) -> None:
    with following(url, last=last) as one:
        assert one.event().endswith("-0")


@pytest.mark.parametrize("topic", ["x", "clusters/", "clusters/../x", "pods/a", "clusters/A", "clusters/none/x"])
def test_other_topics_there_are_none(url: str, topic: str) -> None:
    with following(url, topic) as one:
        assert one.status == 404


def test_a_head_is_no_follower(known: Known, url: str) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    connection.request("HEAD", "/events?topic=")
    assert connection.getresponse().status == 503 and known.feed.count() == 0
    connection.close()


def test_there_are_so_many_and_whoever_leaves_makes_room(known: Known) -> None:
    known.feed = Feed(most=2)
    with known.served() as url:
        first, second, third = Stream(url), Stream(url), Stream(url)
        assert (first.status, second.status, third.status) == (200, 200, 503)
        third.close()
        first.close()
        assert until(lambda: known.feed.count() == 1)  # without a word being sent to it
        with following(url) as fourth:
            assert fourth.status == 200
        second.close()
        assert until(lambda: known.feed.count() == 0)


def test_no_reader_takes_the_places_of_all(known: Known) -> None:
    mine = [known.feed.follow("", "", "eve") for _ in range(feeds.MOST)]
    assert sum(one is not None for one in mine) == feeds.EACH < feeds.MOST
    assert known.feed.follow("", "", "tom") is not None
    for one in mine:
        if one is not None:
            one.close()
    assert known.feed.follow("", "", "eve") is not None


def test_whoever_may_not_get_a_cluster_hears_nothing_of_it(known: Known) -> None:
    server = home()
    app = known.app(door(server))
    signed = app.test_client()
    signed.post("/sign-in", data={"token": TOKENS["tom"]}, headers={"Origin": "http://localhost"})
    assert signed.get("/events?topic=clusters/stuck").status_code == 404
    assert signed.get("/events?topic=clusters/calm").status_code == 503  # Flask's client can follow nothing
    assert app.test_client().get("/events").status_code == 303


def test_a_stop_ends_every_connection(known: Known) -> None:
    with known.served() as url:
        one = Stream(url)
        one.event()
    with suppress(ConnectionResetError):
        one.file.read()  # ends
    one.close()
    assert known.feed.count() == 0


@pytest.mark.parametrize("turns", range(6))
def test_a_viewer_that_leaves_as_something_changes_is_followed_no_longer(turns: int) -> None:
    """However far the loop is with what changed: what is cancelled ends as that, and holds no connection."""

    async def run() -> bool:
        made = Feed()
        one = made.follow("", made.event(made.newest()).split()[1].decode())
        assert one is not None
        pieces = one.pieces()
        assert await anext(pieces) == b"retry: 2000\n\n"
        waits = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        made.changed("clusters/a")
        for _ in range(turns):
            await asyncio.sleep(0)
        asked = waits.cancel()
        await asyncio.wait([waits])
        return asked == waits.cancelled()

    assert asyncio.run(run())


def test_a_connection_has_an_end(known: Known, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LASTS", 0.2)
    with following(url) as one:
        one.event()
        assert one.file.readlines()[-2:] == [b"0\r\n", b"\r\n"]  # ended, and said so
    assert until(lambda: known.feed.count() == 0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "TOPICS", 3)
    made = Feed()
    for name in "abcd":
        made.changed(f"clusters/{name}")
    assert (
        made.newest("clusters/a") >= 1 and made.newest() == 4 and made.newest("clusters/e") >= 4
    )  # too many are told, never too few


def test_many_changes_are_few_events(known: Known, url: str) -> None:
    with following(url) as one:
        one.event()
        for _ in range(500):
            known.put(view("calm"))
        seen = 0
        while not one.event().endswith("-500"):
            seen += 1
        assert seen < 50


def test_viewers_hold_up_neither_health_nor_webhooks(known: Known) -> None:
    """300 viewers, of whom 200 are told and all look again at each change: the probes and the webhook go on answering."""
    reporter = Reporter(client(home()), "nidus-system", "test")
    views = internal.Views(
        reporter, lambda: "", lambda: "", lambda: (0, 0), lambda: internal.Process("", True, "", "", "")
    )
    known.clusters = {f"c{n:03}": view(f"c{n:03}") for n in range(300)}
    secret, marked = b"known", []
    routes = {"platform": Route("platform", "github", lambda: (secret,))}
    hooks = serve(create_app(routes, lambda source, delivery: len(marked.append(source) or marked)), "127.0.0.1:0")
    health = serve(internal.create_app(views, {"localhost"}), "127.0.0.1:0", probes=internal.PROBES)
    dash = serve(known.app(), "127.0.0.1:0", bounds=listener.BOUNDS)
    url, over = f"http://127.0.0.1:{dash.port}", threading.Event()

    def look() -> None:
        while not over.is_set():
            get(dash.port, "/")
            known.put(view("c000", "Held"))

    lookers = [threading.Thread(target=look, daemon=True) for _ in range(4)]
    with ExitStack() as opened:
        streams = [opened.enter_context(following(url)) for _ in range(300)]
        assert [one.status for one in streams].count(200) == feeds.MOST
        for one in lookers:
            one.start()
        headers, body = FORGES["github"].compose(Delivery("push", ("refs/heads/main",)))
        signed = headers | FORGES["github"].sign(body, secret, 0.0)
        for _ in range(20):
            assert get(health.port, "/healthz") == 200
            assert get(hooks.port, "/webhook/platform", body, signed) == 202
        over.set()
    for one in lookers:
        one.join(SECONDS)
    for each in (hooks, health, dash):
        each.stop()
    reporter.close()


def get(port: int, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("GET" if body is None else "POST", path, body, headers or {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_a_reporter_tells_of_what_changed_only() -> None:
    heard: list[str] = []
    reporter = Reporter(client(home()), "nidus-system", "test")
    reporter.heard = heard.append
    revision = Revision("main", "a" * 40)
    layers = (LayerStatus("engine", "local", "Current"),)
    report = Report("calm", revision, Planned("calm", revision, ()), (), layers, (), "Ready")
    for _ in range(3):
        reporter.cluster(report, Place("platform", "calm.yaml"), 0.1)
    assert heard == ["clusters/calm"]
    reporter.place("calm", "platform", "other.yaml")
    reporter.gone("calm")
    assert heard == ["clusters/calm"] * 3
    reporter.close()
