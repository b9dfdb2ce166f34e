"""Notices to channels of people: what is told, once and together; signed, to the address that was named and no other; by a receiver on a
real socket that fails, hangs, redirects and lies."""

import base64
import hashlib
import hmac
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from reconciler import conditions, settings
from reconciler.errors import Unavailable, UsageError
from reconciler.model import (
    WANTING,
    Condition,
    Held,
    NotifyConfig,
    Outward,
    Plan,
    Report,
    Revision,
    SourceReport,
    Violation,
    replace,
)
from reconciler.notices import formats, pending, sending
from reconciler.notices.channel import Channel, Pace, wanted
from reconciler.notices.pending import Batch, Notice, Pending
from reconciler.plan.lines import stamp
from reconciler.report import Reporter, transitions, view
from reconciler.report.view import Place
from reconciler.spec import config as configuration
from tests.house.documents import ROOT
from tests.memory.http import Front
from tests.memory.server import Server
from tests.shell import client, installed
from tests.test_service import House, server
from tests.waiting import eventually

__all__ = ["server"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = "c2VjcmV0IG9mIGEgdGVzdA=="
EVIL = '<!channel> *b* [x](https://evil.example.com) <https://evil.example.com|y> @all \x1b[31m\u202e\n# "{}'


def failed(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} X", *headers, "Content-Length: 0", "", ""]).encode()


class Receiver(socketserver.ThreadingTCPServer):
    """Answers each post with the next of `answers`, the last one for ever; `hang` holds an answer until `over`."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, *answers: bytes, hang: bool = False) -> None:
        self.answers, self.hang, self.over = list(answers or (OK,)), hang, threading.Event()
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.got]


class Answering(socketserver.StreamRequestHandler):
    server: Receiver

    def handle(self) -> None:
        head = self.rfile.readline().decode()
        headers = {}
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        one = self.server
        one.got.append((head, headers, body))
        if one.hang:
            one.over.wait(60)
        self.wfile.write(one.answers.pop(0) if len(one.answers) > 1 else one.answers[0])


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def receiver(*answers: bytes, hang: bool = False) -> Receiver:
        one = Receiver(*answers, hang=hang)
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        made.append(one)
        return one

    yield receiver
    for one in made:
        one.over.set()
        one.shutdown()
        one.server_close()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text(f"whsec_{SECRET}\n")
    return str(file)


class Told:
    """What became of notices."""

    def __init__(self) -> None:
        self.all: list[tuple[str, int, str]] = []
        self.bugs: list[Exception] = []

    def __call__(self, name: str, outcome: str, count: int, why: str) -> None:
        assert name == "people"
        self.all.append((outcome, count, why))

    def outcomes(self) -> list[str]:
        return [one[0] for one in self.all]


QUICK = Pace(deadline=60.0, first=0.01, gathers=0.05, gap=0.0)


def opened(config: NotifyConfig, told: Told, pace: Pace = QUICK) -> Channel:
    return Channel(config, "https://nidus.example.com/clusters/", told, told.bugs.append, pace)


def config(url: str, secret: str, **more: Any) -> NotifyConfig:
    return NotifyConfig(name="people", url=url, secret_file=secret, **more)


def notice(reason: str = "Held", cluster: str = "a", message: str = "waits", **more: Any) -> Notice:
    return Notice(reason, message, 1.0, reason in WANTING, cluster, "platform", **more)


# Posts


def test_a_post_is_signed_as_standard_webhooks_are(receive: Callable[..., Receiver], secret: str) -> None:
    there, told = receive(), Told()
    one = opened(config(there.url, secret), told)
    one.offer(notice(revision="main@sha1:" + "0" * 40, labels={"team": "x"}))
    eventually(lambda: told.outcomes() == ["delivered"])
    ((head, headers, body),) = there.got
    assert head == "POST /hook HTTP/1.1\r\n" and headers["content-type"] == "application/json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    made = base64.b64encode(hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{made}"
    (found,) = there.bodies()[0]["notices"]
    assert found == {
        "reason": "Held", "warning": True, "time": "1970-01-01T00:00:01Z", "cluster": "a", "source": "platform", "message": "waits",
        "revision": "main@sha1:" + "0" * 40, "url": "https://nidus.example.com/clusters/a", "labels": {"team": "x"},
    }  # fmt: skip
    one.end()


@pytest.mark.parametrize(
    "wrong",
    [
        failed(500),
        failed(503, "Retry-After: 0"),
        failed(429),
        b"",
        b"\x00\xff lies\r\n\r\n",
        b"HTTP/1.1 999999 X\r\n\r\n",
    ],
)
def test_what_fails_is_the_same_post_until_it_worked(
    receive: Callable[..., Receiver], secret: str, wrong: bytes
) -> None:
    there, told = receive(wrong, wrong, OK), Told()
    one = opened(config(there.url, secret), told)
    one.offer(notice())
    eventually(lambda: "delivered" in told.outcomes())
    assert told.outcomes() == ["failed", "delivered"] and told.bugs == []
    assert len(there.got) == 3 and len({(headers["webhook-id"], body) for _, headers, body in there.got}) == 1
    one.end()


def test_each_try_is_signed_with_its_own_time(receive: Callable[..., Receiver], secret: str) -> None:
    """Receivers refuse a time that is minutes old, and a post may be tried for an hour."""
    there, now = receive(), int(time.time())
    asked = config(there.url, secret)
    sending.send(asked, sending.post_of(asked, Batch((notice(),), 1, 0), "", now - 3600.0), 60.0)
    ((_, headers, body),) = there.got
    assert int(headers["webhook-timestamp"]) >= now and json.loads(body)["made"] < stamp(now)
    post = sending.Post(headers["webhook-id"], body)
    key = base64.b64decode(SECRET)
    assert (
        sending.signed(post, key, int(headers["webhook-timestamp"]))["webhook-signature"]
        == headers["webhook-signature"]
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_post_is_led_elsewhere(receive: Callable[..., Receiver], secret: str, status: int) -> None:
    other, told = receive(), Told()
    there = receive(failed(status, f"Location: {other.url}"))
    one = opened(config(there.url, secret), told)
    one.offer(notice())
    eventually(lambda: "dropped" in told.outcomes())
    assert other.got == [] and len(there.got) == 1 and "not followed" in told.all[0][2]
    one.end()


@pytest.mark.parametrize("status", [400, 405, 410, 413, 422])
def test_what_is_refused_is_dropped_and_told_with_the_next(
    receive: Callable[..., Receiver], secret: str, status: int
) -> None:
    there, told = receive(failed(status), OK), Told()
    one = opened(config(there.url, secret), told)
    one.offer(notice())
    eventually(lambda: told.outcomes() == ["dropped"])
    one.offer(notice("Degraded"))
    eventually(lambda: told.outcomes() == ["dropped", "delivered"])
    assert [(body["count"], body["lost"]) for body in there.bodies()] == [(1, 0), (1, 1)]
    one.end()


def test_a_receiver_that_hangs_holds_nobody(receive: Callable[..., Receiver], secret: str) -> None:
    """Whoever reports goes on, another channel is told, and what came meanwhile is bounded and one post."""
    there, well, told, other = receive(hang=True), receive(), Told(), Told()
    held, free = opened(config(there.url, secret), told), opened(config(well.url, secret), other)
    for one in (held, free):
        one.offer(notice())
    eventually(lambda: len(there.got) == 1 and other.outcomes() == ["delivered"])
    for number in range(3 * pending.MOST):
        held.offer(notice("Degraded", f"c{number}"))
    assert told.all == [] and len(there.got) == 1
    there.hang = False
    there.over.set()
    eventually(lambda: told.outcomes() == ["delivered", "delivered"])
    last = there.bodies()[-1]
    assert (last["count"], len(last["notices"]), last["lost"]) == (pending.MOST, pending.SHOWN, 2 * pending.MOST)
    assert len(there.got[-1][2]) < 20_000
    for one in (held, free):
        one.end()


def test_an_answer_that_does_not_end_is_cut(receive: Callable[..., Receiver], secret: str) -> None:
    there, told = receive(OK, hang=True), Told()
    one = opened(config(there.url, secret), told, Pace(deadline=0.2, first=0.01, gathers=0.0, gap=0.0))
    one.offer(notice())
    eventually(lambda: told.outcomes() == ["failed"])
    assert "no answer" in told.all[0][2]
    there.hang = False
    eventually(lambda: told.outcomes() == ["failed", "delivered"])
    one.end()


def test_an_endless_answer_is_not_read(receive: Callable[..., Receiver], secret: str) -> None:
    there, told = receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000), Told()
    one = opened(config(there.url, secret), told)
    one.offer(notice())
    eventually(lambda: told.outcomes() == ["delivered"])
    one.end()


def test_a_stop_posts_what_waits_and_does_not_wait_for_who_hangs(receive: Callable[..., Receiver], secret: str) -> None:
    there, told = receive(), Told()
    one = opened(config(there.url, secret), told, Pace(gathers=3600.0))
    one.offer(notice())
    one.end()
    one.join(60)
    assert told.outcomes() == ["delivered"] and len(there.got) == 1
    bad = receive(failed(500))
    retries = opened(config(bad.url, secret), told, Pace(first=3600.0, gathers=0.0))
    retries.offer(notice())
    eventually(lambda: told.outcomes()[-1] == "failed")
    retries.end()
    retries.join(60)
    assert told.outcomes() == ["delivered", "failed", "dropped"]


def test_a_refusal_by_a_wish_to_wait_is_bounded() -> None:
    for told, seconds in (
        ("5", 5.0),
        ("999999", sending.LONGEST),
        ("-1", None),
        ("nan", None),
        ("\u0665", None),
        ("", None),
    ):
        found = sending.refusal(429, {"retry-after": told}, 0.0)
        assert isinstance(found, Unavailable) and found.after == seconds, told
    dated = sending.refusal(503, {"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, 10.0)
    assert isinstance(dated, Unavailable) and dated.after == 20.0


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.1/x", "http://example.com/x", "https://user:pass@example.com/x", "ftp://example.com", "https://", "https:///x",
        "https://example.com/\r\nHost: b", "https://example.com/\u00e9", "file:///etc/passwd", "http://127.0.0.1.example.com/", "",
        "https://a b/",        "http://localhost@evil.example.com/", "https://example.com:x/",
        "https://example.com:99999/", "https://example.com:0/",
    ],
)  # fmt: skip
def test_other_addresses_are_refused_whoever_wrote_the_file(tmp_path: Path, secret: str, address: str) -> None:
    file = tmp_path / "url"
    file.write_bytes(address.encode())
    with pytest.raises(Unavailable, match=r"its address is none|its urlFile"):
        sending.send(NotifyConfig(name="people", url_file=str(file), secret_file=secret), sending.Post("i", b"{}"), 1.0)


def test_no_secret_is_in_what_is_told(receive: Callable[..., Receiver], tmp_path: Path) -> None:
    """The address of Slack is a secret: it stands in a file, which is read anew, and in no text."""
    told, file = Told(), tmp_path / "url"
    file.write_text(receive(failed(400)).url + "/T0/very-secret")
    one = opened(NotifyConfig(name="people", url_file=str(file), format="slack"), told)
    one.offer(notice())
    eventually(lambda: told.outcomes() == ["dropped"])
    file.write_text("very-secret and wrong")
    one.offer(notice("Degraded"))
    eventually(lambda: told.outcomes()[1:] == ["failed"])
    file.write_text(receive().url)
    eventually(lambda: told.outcomes()[2:] == ["delivered"])
    file.write_text("http://127.0.0.1:1/very-secret")
    one.offer(notice("Invalid"))
    eventually(lambda: told.outcomes()[3:] == ["failed"])
    assert "very-secret" not in str(told.all) and "127.0.0.1" not in str(told.all)
    one.end()


def test_a_bug_costs_one_post(receive: Callable[..., Receiver], secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there, told = receive(), Told()
    monkeypatch.setitem(formats.FORMATS, "slack", lambda *given: 1 / 0)  # type: ignore[misc]
    one = opened(NotifyConfig(name="people", url=there.url, format="slack"), told)
    one.offer(notice())
    eventually(lambda: len(told.bugs) == 1)
    monkeypatch.undo()
    one.offer(notice("Degraded"))
    eventually(lambda: told.outcomes() == ["delivered"])
    one.end()


# What waits


def test_what_is_alike_is_one_and_the_newest() -> None:
    held = Pending(3.0, 10.0)
    for number in range(5):
        held.add(notice(message=f"{number}"), float(number))
    held.add(notice("Degraded", "b"), 5.0)
    assert held.due == 3.0
    batch = held.take(6.0)
    assert [(one.cluster, one.message) for one in batch.shown] == [("a", "4"), ("b", "waits")] and held.due is None
    held.add(notice("Held", "c"), 7.0)
    assert held.due == 16.0  # not sooner than a while after the last post


def test_the_same_is_not_told_twice_unless_something_else_was_between() -> None:
    held = Pending(0.0, 0.0)
    held.add(notice(), 0.0)
    held.take(0.0)
    held.add(notice(), 1.0)
    assert held.due is None
    held.add(notice(message="waits for another"), 2.0)
    assert held.take(2.0).count == 1
    held.add(notice("Ready", message="well"), 3.0)
    held.take(3.0)
    held.add(notice(message="waits for another"), 4.0)
    assert held.take(4.0).count == 1
    held.add(notice(message="waits for another"), 4.0 + pending.QUIET)
    assert held.take(700.0).count == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Held", "Ready", "Degraded"]),
            st.sampled_from("abc"),
            st.text(max_size=3),
            st.floats(0, 100),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_what_waits_is_bounded_and_nothing_new_is_lost(story: list[tuple[str, str, str, float, bool]]) -> None:
    """Against a list of all: a batch has the newest of each kind that came since the last one, unless it was told just so a while ago."""
    held, now = Pending(1.0, 5.0), 0.0
    since: dict[tuple[str, str], Notice] = {}
    said: dict[tuple[str, str], str] = {}
    for reason, cluster, message, later, post in story:
        now += later
        one = notice(reason, cluster, message)
        held.add(one, now)
        since[cluster, reason] = one
        if post and held.due is not None:
            batch = held.take(max(now, held.due))
            found = {(each.cluster, each.reason): each for each in batch.shown}
            assert batch.count == len(found) and batch.lost == 0
            assert all(since[key] is each for key, each in found.items())
            left = since.keys() - found.keys()
            assert all(said.get(key) == pending.one_line(since[key].message) for key in left)
            said |= {key: pending.one_line(each.message) for key, each in found.items()}
            since.clear()


def test_a_channel_is_told_what_it_asked_for() -> None:
    asked = NotifyConfig(name="people", events=("Held", "SourceFailed"), sources=("platform",), labels={"team": "x"})
    mine = notice(labels={"team": "x", "stage": "dev"})
    assert wanted(asked, mine) and not wanted(asked, replace(mine, reason="Ready"))
    assert not wanted(asked, replace(mine, source="other")) and not wanted(asked, replace(mine, labels={"team": "y"}))
    of_source = Notice("SourceFailed", "gone", 1.0, source="platform")
    assert not wanted(asked, of_source) and wanted(replace(asked, labels={}), of_source)
    assert not wanted(replace(asked, labels={}), Notice("SourceFailed", "gone", 1.0))


# Formats


def batch(*found: Notice, count: int = 0, lost: int = 0) -> Batch:
    return Batch(found, count or len(found), lost)


@pytest.mark.parametrize("name", sorted(formats.FORMATS))
def test_no_text_of_a_repository_is_markup_or_ends_the_form(name: str) -> None:
    made = formats.FORMATS[name](
        batch(notice(message=EVIL, cluster="a"), count=30, lost=2), "https://n.example.com/clusters/", "now"
    )
    body = json.loads(made)
    shown = made.decode()
    assert "\\u001b" not in shown.replace("\\\\u001b", "") and "\u202e" not in shown
    if name == "slack":
        assert (
            "<" not in body["text"]
            and "&lt;!channel&gt;" in body["text"]
            and (body["mrkdwn"], body["link_names"]) == (False, False)
        )
        assert (
            "https://n.example.com/clusters/a" in body["text"]
            and "and 29 more" in body["text"]
            and "2 before this" in body["text"]
        )
    if name == "teams":
        card = body["attachments"][0]["content"]
        assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
        assert {run["type"] for block in card["body"] for run in block["inlines"]} == {"TextRun"}
        assert card["actions"] == [{"type": "Action.OpenUrl", "title": "a", "url": "https://n.example.com/clusters/a"}]
    if name == "generic":
        assert (body["count"], body["lost"], body["kind"]) == (30, 2, "Notices")


@pytest.mark.parametrize("name", sorted(formats.FORMATS))
@given(st.lists(st.text(max_size=600), max_size=pending.SHOWN), st.integers(0, 10**6))
def test_any_text_is_a_small_post(name: str, texts: list[str], more: int) -> None:
    found = [notice(message=text, cluster=f"c{n}", revision=text) for n, text in enumerate(texts)]
    made = formats.FORMATS[name](batch(*found, count=len(found) + more), "", "now")
    json.loads(made)
    assert len(made) < 100_000


# From a report to a channel


def test_what_happens_is_told_and_a_restart_tells_nothing_again(receive: Callable[..., Receiver], secret: str) -> None:
    server, there = installed("nidus-system"), receive()
    channel = config(there.url, secret, events=("Held", "Ready", "SourceFailed", "SourceInvalid", "TooManyRequests"))
    revision = Revision("main", "c" * 40)

    def report(word: str) -> Report:
        ready = Condition("Ready", "True" if word == "Ready" else "False", word, "")
        held = Held("ObjectBudget", "2 over the budget", "d" * 64) if word == "Held" else None
        return Report("a", revision, Plan("a", revision, ()), (), (), (ready,), word, held)

    def life(happens: Callable[[Reporter], None]) -> None:
        made = Reporter(client(server), "nidus-system", "test", outward=Outward((channel,)))
        made.load()
        happens(made)
        made.close()

    def first(made: Reporter) -> None:
        made.cluster(report("Held"), Place("platform", "a.yaml", labels={"team": "x"}))
        made.source(SourceReport("platform", None, (), error="NetworkError: no route"), {})
        made.requests("ann has too many")

    def again(made: Reporter) -> None:
        made.cluster(report("Held"), Place("platform", "a.yaml"))
        made.source(SourceReport("platform", None, (), error="NetworkError: no route"), {})

    life(first)
    found = {
        (one["reason"], one.get("cluster", ""), one["message"]) for body in there.bodies() for one in body["notices"]
    }
    assert found == {
        ("Held", "a", "2 over the budget"), ("SourceFailed", "", "NetworkError: no route"), ("TooManyRequests", "", "ann has too many"),
    }  # fmt: skip
    posts = len(there.got)
    life(again)
    assert len(there.got) == posts
    life(lambda made: made.cluster(report("Ready"), Place("platform", "a.yaml")))
    assert [one["reason"] for one in there.bodies()[-1]["notices"]] == ["Ready"]


def test_without_channels_nothing_is_begun() -> None:
    before = threading.active_count()
    made = Reporter(client(installed("nidus-system")), "nidus-system", "test")
    assert (
        not [one for one in threading.enumerate() if one.name.startswith("notices")]
        and threading.active_count() > before
    )
    made.close()


def test_what_a_source_tells() -> None:
    wrong = (Violation("x.yaml", 3, 1, "NID101", "unknown field"),)
    calm = view.SourceView("platform", revision="main@sha1:1")
    bad = replace(calm, violations=wrong, violation_count=1)
    hold = replace(calm, held=Held("MassDeletion", "3 clusters would go", "e" * 64))

    def told(before: view.SourceView | None, after: view.SourceView) -> list[tuple[str, bool]]:
        return [(one.reason, one.warning) for one in transitions.of_source(before, after)]

    mistaken = replace(calm, held=Held("Invalid", "x.yaml:3: unknown field"))
    assert told(calm, mistaken) == [] == told(mistaken, hold)[1:]
    assert told(None, calm) == [] == told(bad, bad) == told(hold, hold) == told(bad, calm)
    assert told(calm, bad) == [("SourceInvalid", True)] == told(bad, replace(bad, revision="main@sha1:2"))
    assert (
        told(calm, hold)
        == [("SourceHeld", True)]
        == told(hold, replace(hold, held=Held("MassDeletion", "4", "f" * 64)))
    )
    assert told(calm, replace(calm, error="gone")) == [("SourceFailed", True)]
    assert told(replace(calm, error="gone"), replace(calm, error="gone: 2")) == []
    assert told(replace(calm, error="gone"), calm) == [("SourceRead", False)]


# Configuration


CONFIG = """\
apiVersion: nidus.dev/v1alpha1
kind: ControllerConfig
spec:
  sources: [{name: platform, url: /srv/p}]
  engine: {versions: [{version: 0.36.1, chart: {path: /charts/vcluster}}]}
  notify:
    - ONE
    - {name: other, format: teams, urlFile: /etc/nidus/teams}
"""


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (
            "{name: a, format: slack, urlFile: /etc/nidus/slack, events: [Held], labels: {team: a}, sources: [platform]}",
            "",
        ),
        ("{name: a, url: 'https://x.example.com/a?b=c', secretFile: /etc/nidus/s}", ""),
        ("{name: a, url: 'https://x.example.com'}", "is signed, so that its receiver knows"),
        ("{name: other, format: slack, urlFile: /etc/nidus/slack}", "another channel has this name"),
        ("{name: a, format: slack, urlFile: /etc/nidus/slack, secretFile: /etc/nidus/s}", "nothing is signed with it"),
        ("{name: a, format: slack, urlFile: /etc/nidus/slack, sources: [none]}", "there is no source none"),
        ("{name: a, format: slack, urlFile: /etc/nidus/slack, events: []}", "events"),
        ("{name: a, format: slack}", "url"),
        ("{name: a, format: slack, url: 'https://a.example.com', urlFile: /etc/nidus/slack}", "url"),
        ("{name: a, url: 'http://10.0.0.1/a', secretFile: /etc/nidus/s}", "not the address of an API"),
        ("{name: a, url: 'https://a:b@x.example.com/a', secretFile: /etc/nidus/s}", "not the address of an API"),
    ],
)
def test_a_channel_that_could_not_be_trusted_is_refused(one: str, told: str) -> None:
    found, wrong = configuration.read(CONFIG.replace("ONE", one).encode(), "nidus.yaml")
    assert [told in f"{each.message} {each.hint} {each.pointer}" for each in wrong] == [True] * bool(told), wrong
    assert (found is None) is bool(told)


def test_files_of_channels_lie_below_the_folder_of_credentials(tmp_path: Path) -> None:
    file = tmp_path / "nidus.yaml"
    file.write_text(CONFIG.replace("ONE", "{name: a, format: slack, urlFile: /var/run/secrets/token, caFile: /x}"))
    with pytest.raises(UsageError) as raised:
        settings.load(str(file))
    assert "notify a: urlFile" in str(raised.value) and "notify a: caFile" in str(raised.value)


def test_formats_and_events_are_those_of_the_schema() -> None:
    found = schemas.load("ControllerConfig")["definitions"]["notify"]["properties"]
    assert set(found["format"]["enum"]) == formats.FORMATS.keys()
    events = set(found["events"]["items"]["enum"])
    assert tuple(found["events"]["default"]) == WANTING
    rooms = [ROOT / "reconciler" / "report", ROOT / "reconciler" / "controller"]
    code = "".join(file.read_text() for room in rooms for file in room.rglob("*.py"))
    said = {one for one in events if f'"{one}"' in code} | conditions.WORDS - {"Pending"}
    assert events == said


def test_a_controller_tells_at_its_stop_at_the_latest(
    server: Server, receive: Callable[..., Receiver], secret: str, tmp_path: Path
) -> None:
    """From a commit with a mistake, by a whole controller, to the channel."""
    there = receive()
    with Front(server) as front:
        house = House(server, front.url, tmp_path)
        wrong = "apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\nmetadata: {name: a}\nspec: {quota: 7}\n"
        house.work.commit({"clusters/a.yaml": wrong})
        service = house.leads(outward=Outward((config(there.url, secret),)))
        assert service.reporter.sources["platform"].violation_count == 1
        house.end()
    found = {one["reason"]: one for body in there.bodies() for one in body["notices"]}
    assert {reason: (one.get("cluster"), one["source"]) for reason, one in found.items()} == {
        "Invalid": ("a", "platform"), "SourceInvalid": (None, "platform"),
    }  # fmt: skip
    assert found["SourceInvalid"]["message"].startswith("1 mistake, the first at clusters/a.yaml:4: ")
