"""Clients that are slow, silent, many or malformed hold up nobody else and cost a bounded amount."""

import contextlib
import os
import select
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask, Response

from tests.waiting import eventually
from tests.webhook.sockets import (
    BODY,
    PATIENT,
    SECRET,
    ask,
    connect,
    delivery,
    everything,
    head,
    hooks,
    listening,
    status,
)
from webhook.app import Route, create_app
from webhook.forges import Delivery
from webhook.server import serve

ADDRESSES = [f"127.0.0.{last}" for last in range(2, 8)]
PROBES = ("/healthz",)
BIG = 32 << 20
UNFINISHED = {
    "nothing": b"",
    "half a header": b"POST /webhook/n HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "half a body": delivery(BODY, length=1000),
}


class Pages:
    """An application whose page /held answers when it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Semaphore(0), threading.Event()
        self.app = Flask("pages", static_folder=None)
        self.app.config["MAX_CONTENT_LENGTH"] = 0
        self.app.add_url_rule("/held", "held", self.held)
        self.app.add_url_rule("/healthz", "health", lambda: "ok")
        self.app.add_url_rule("/big", "big", lambda: Response(b"x" * BIG))

    def held(self) -> str:
        self.entered.release()
        assert self.go.wait(60)
        return "let go"


@pytest.fixture
def pages() -> Iterator[Pages]:
    made = Pages()
    yield made
    made.go.set()


@contextlib.contextmanager
def crowd(port: int, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Connections of several addresses that send `first` and then nothing."""
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(count):
            made.append(stack.enter_context(connect(port, ADDRESSES[number % len(ADDRESSES)])))
            with contextlib.suppress(OSError):
                made[-1].sendall(first)
        yield made


def still_open(crowd: list[socket.socket]) -> int:
    """How many connections the listener has not closed."""
    poll = select.poll()
    for one in crowd:
        poll.register(one, select.POLLIN | select.POLLHUP)
    return len(crowd) - len(poll.poll(0))


@pytest.mark.parametrize("first", UNFINISHED.values(), ids=UNFINISHED.keys())
def test_slow_connections_hold_up_no_delivery(first: bytes) -> None:
    """600 of them, more than there may be, with deadlines far away; deliveries of others and of one of theirs are accepted."""
    with listening(hooks()) as port, crowd(port, 600, first) as slow:
        assert status(ask(port, delivery(), "127.0.0.99")) == 202
        assert status(ask(port, delivery(), ADDRESSES[0])) == 202
        assert 0 < still_open(slow) <= PATIENT.connections


def test_slow_connections_hold_up_no_probe(pages: Pages) -> None:
    with listening(pages.app, probes=PROBES) as port, crowd(port, 600, UNFINISHED["half a header"]) as slow:
        assert status(ask(port, head("GET", "/healthz"))) == 200
        assert 0 < still_open(slow) <= PATIENT.connections


def test_a_burst_of_signed_deliveries_is_not_cut() -> None:
    """More from one address than there may be, while the host takes its time: who is silent gives way, they wait."""
    entered, go = threading.Semaphore(0), threading.Event()

    def mark(source: str, delivery: Delivery) -> int:
        entered.release()
        return go.wait(60)

    app = create_app({"n": Route("n", "generic", lambda: (SECRET,))}, mark)
    bounds = replace(PATIENT, connections=32, share=24, grace=0.5)
    with listening(app, bounds) as port, contextlib.ExitStack() as stack:

        def deliver(count: int) -> list[socket.socket]:
            made = list[socket.socket]()
            for _ in range(count):
                made.append(stack.enter_context(connect(port)))
                made[-1].sendall(delivery())
            return made

        senders = deliver(20)
        for _ in range(PATIENT.threads):
            assert entered.acquire(timeout=30)
        silent = stack.enter_context(connect(port, "127.0.0.2"))
        senders += deliver(60)
        assert everything(silent) == b""  # it had its time, and so had those before it that wait for a thread
        go.set()
        assert [status(everything(one)) for one in senders] == [202] * 80


def test_one_sender_loses_its_own_connections_first() -> None:
    """Beyond its share, and also where there would be room for more."""
    with listening(hooks(), replace(PATIENT, connections=64, share=16)) as port, contextlib.ExitStack() as stack:
        quiet = [stack.enter_context(connect(port, "127.0.0.3")) for _ in range(8)]
        many = [stack.enter_context(connect(port, "127.0.0.2")) for _ in range(16)]
        eventually(lambda: status(ask(port, delivery(), "127.0.0.2")) == 202 and still_open(many) < 16)
        assert still_open(quiet) == 8


def test_probes_are_answered_while_every_thread_is_held(pages: Pages) -> None:
    """And while every connection but the ones in a thread waits for one; those in a thread are answered in the end."""
    bounds = replace(PATIENT, threads=2, connections=8)
    with listening(pages.app, bounds, PROBES) as port, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(port)) for _ in range(2)]
        for one in held:
            one.sendall(head("GET", "/held"))
            assert pages.entered.acquire(timeout=30)
        waiting = [stack.enter_context(connect(port, "127.0.0.2")) for _ in range(20)]
        for one in waiting:
            with contextlib.suppress(OSError):
                one.sendall(head("GET", "/held"))
        for _ in range(3):
            assert status(ask(port, head("GET", "/healthz"), "127.0.0.3")) == 200
        assert not pages.go.is_set()
        pages.go.set()
        assert [everything(one)[-6:] for one in held] == [b"let go", b"let go"]


def test_who_waits_for_a_thread_too_long_is_told_to_come_again(pages: Pages) -> None:
    with listening(pages.app, replace(PATIENT, threads=1, queue=0.1)) as port, connect(port) as held:
        held.sendall(head("GET", "/held"))
        assert pages.entered.acquire(timeout=30)
        answer = ask(port, head("GET", "/held"))
        assert status(answer) == 503
        assert b"\r\nRetry-After: " in answer
        pages.go.set()


@pytest.mark.parametrize("first", list(UNFINISHED.values())[1:], ids=list(UNFINISHED.keys())[1:])
def test_a_deadline_is_for_the_whole_header_and_the_whole_body(first: bytes) -> None:
    """A byte now and then gains no time."""
    with listening(hooks(), replace(PATIENT, header=0.3, body=0.3)) as port, connect(port) as slow:
        slow.sendall(first)
        sent = 0
        while not select.select([slow], [], [], 0.02)[0]:
            slow.sendall(b"a")
            sent += 1
        assert sent < 900
        assert status(everything(slow)) == 408


def test_an_answer_that_is_not_read_is_given_up(pages: Pages) -> None:
    with listening(pages.app, replace(PATIENT, answer=0.2)) as port, connect(port) as slow:
        slow.sendall(head("GET", "/big"))
        poll = select.poll()
        poll.register(slow, 0)  # nothing but the end of the connection
        assert poll.poll(30_000)
        assert len(everything(slow)) < BIG


def test_slow_readers_hold_no_thread_and_bounded_memory(pages: Pages) -> None:
    """More answers than fit: the oldest that is not read gives way, and a probe needs no room."""
    bounds = replace(PATIENT, threads=2, memory=2 * BIG)
    with listening(pages.app, bounds, PROBES) as port, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(port, ADDRESSES[number % 3])) for number in range(6)]
        for one in slow:
            one.sendall(head("GET", "/big"))
        assert len(ask(port, head("GET", "/big"), "127.0.0.99")) > BIG
        assert status(ask(port, head("GET", "/healthz"))) == 200


def test_half_bodies_make_no_files_and_cost_bounded_memory() -> None:
    """60 senders without the secret send 1 MB each of a longer body; small deliveries are accepted meanwhile."""
    bounds = replace(PATIENT, memory=4 << 20)
    blob = b"x" * (1 << 20)
    before = files()
    with listening(hooks(), bounds) as port, crowd(port, 60, delivery(b"", length=2 << 20)) as slow:
        tracemalloc.start()
        try:
            for one in slow:
                one.setblocking(False)
                with contextlib.suppress(OSError):
                    one.send(blob)
            for source in ("127.0.0.99", ADDRESSES[0]):
                assert status(ask(port, delivery(), source)) == 202
            for one in slow:
                with contextlib.suppress(OSError):
                    one.send(blob)
            assert status(ask(port, delivery(BODY + b" " * 200_000), "127.0.0.99")) == 202
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 24 << 20
        assert files() == before


def files() -> set[str]:
    """The regular files this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
            found |= {name} if name.startswith("/") and not name.startswith("/proc/") else set()
    return found


BEFORE_THE_BODY = {
    "unknown key": (head("POST", "/webhook/other", Content_Length=1000, X_Nidus_Signature="sha256=" + "0" * 64), 404),
    "unknown path": (head("POST", "/other", Content_Length=1000), 404),
    "other method": (head("PUT", "/webhook/n", Content_Length=1000), 405),
    "no signature": (head("POST", "/webhook/n", Content_Length=1000), 401),
    "no digest": (head("POST", "/webhook/n", Content_Length=1000, X_Nidus_Signature="sha256=0"), 401),
    "other forge": (head("POST", "/webhook/n", Content_Length=9, X_Hub_Signature_256="sha256=" + "0" * 64), 401),
    "underscores": (head("POST", "/webhook/n", Content_Length=9) [:-2] + b"X_Nidus_Signature: sha256=" + b"0" * 64 + b"\r\n\r\n", 401),
    "other content": (delivery(b"", length=1000, Content_Type="multipart/form-data; boundary=x"), 415),
    "too large": (delivery(b"", length=(3 << 20) + 1), 413),
    "absurdly large": (delivery(b"", length=10**19), 413),
    "negative": (delivery(b"", length=-1), 400),
    "two lengths": (delivery(b"", length=5)[:-2] + b"Content-Length: 6\r\n\r\n", 400),
    "no length": (head("POST", "/webhook/n", Transfer_Encoding="chunked"), 411),
    "two framings": (delivery(b"", length=1000, Transfer_Encoding="chunked"), 400),
    "other framing": (head("POST", "/webhook/n", Transfer_Encoding="gzip, chunked"), 501),
    "too many headers": (head("GET", "/", **{f"X{number}": "" for number in range(101)}), 431),
    "no host": (b"POST /webhook/n HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"POST /webhook/n HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "other targets": (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "no text": (b"POST //[%00\xff%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
}  # fmt: skip


@pytest.mark.parametrize(("request_head", "expected"), BEFORE_THE_BODY.values(), ids=BEFORE_THE_BODY.keys())
def test_what_needs_no_body_is_refused_without_one(request_head: bytes, expected: int) -> None:
    """No byte of the body is ever sent, and the deadlines are far away; the connection is closed."""
    with listening(hooks(), replace(PATIENT, goodbye=0.05)) as port:
        assert status(ask(port, request_head)) == expected


def test_a_refused_body_is_not_asked_for() -> None:
    with listening(hooks()) as port, connect(port) as polite:
        polite.sendall(delivery(b"", length=len(BODY), Expect="100-continue", X_Nidus_Signature="none"))
        assert status(polite.recv(1 << 16)) == 401
    with listening(hooks()) as port, connect(port) as polite:
        whole = delivery(Expect="100-continue")
        polite.sendall(whole[: -len(BODY)])
        assert status(polite.recv(1 << 16)) == 100
        polite.sendall(BODY)
        assert status(everything(polite)) == 202


def test_an_answer_outlives_the_rest_of_a_refused_body() -> None:
    """A forge that sends the whole body whatever is said still reads why it was refused."""
    with listening(hooks()) as port, connect(port) as sender:
        sender.sendall(head("POST", "/webhook/other", Content_Length=3 << 20))
        for _ in range(3 << 4):
            sender.sendall(b"x" * (1 << 16))
        assert status(everything(sender)) == 404


@pytest.mark.parametrize(
    "first",
    [delivery(), head("GET", "/webhook/n"), delivery(b"0\r\n\r\n", length=5, Transfer_Encoding="chunked")],
    ids=["accepted", "refused", "two framings"],
)
def test_nothing_after_the_first_request_is_answered(first: bytes) -> None:
    with listening(hooks()) as port, connect(port) as sender:
        sender.sendall(first + delivery() * 5)
        sender.shutdown(socket.SHUT_WR)
        answer = everything(sender)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n" + b"X:\r\n" * 4000])
def test_a_header_without_end_is_refused(start: bytes) -> None:
    with listening(hooks()) as port, connect(port) as sender, contextlib.suppress(OSError):
        sender.sendall(start)
        for _ in range(2000):  # far more than what is read, thrown away, and lies in buffers
            sender.sendall(b"a" * (1 << 16))
        pytest.fail("all of it was taken")
    with listening(hooks()) as port:
        assert status(ask(port, start + b"a" * 50_000)) == 431


def test_stopping_waits_for_no_client(pages: Pages) -> None:
    """Neither for those who send nor for those who do not read; the answer under way is finished."""
    served = serve(pages.app, "127.0.0.1:0", bounds=PATIENT)
    with contextlib.ExitStack() as stack:
        quiet = [stack.enter_context(connect(served.port)) for _ in range(3)]
        quiet[1].sendall(b"GET /held")
        quiet[2].sendall(head("GET", "/big"))
        held = stack.enter_context(connect(served.port))
        held.sendall(head("GET", "/held"))
        assert pages.entered.acquire(timeout=30)
        stopper = threading.Thread(target=served.stop)
        stopper.start()
        assert everything(quiet[0]) == b""
        assert everything(quiet[1]) == b""
        assert len(everything(quiet[2])) < BIG
        assert stopper.is_alive()
        pages.go.set()
        assert everything(held).endswith(b"let go")
        stopper.join(30)
        assert not stopper.is_alive()
        with pytest.raises(ConnectionRefusedError):
            connect(served.port)
