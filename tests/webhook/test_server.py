"""The listener over real sockets: limits, slow and broken senders, stopping."""

import contextlib
import gc
import hashlib
import hmac
import http.client
import os
import resource
import socket
import threading
import warnings
from collections.abc import Iterator

import pytest

from webhook.app import Route, create_app
from webhook.bounds import USUAL
from webhook.forges import Delivery
from webhook.server import Listener, serve

SECRET = b"a secret of at least thirty-two bytes"
BODY = b'{"ref": "refs/heads/main"}'


@pytest.fixture
def port() -> Iterator[int]:
    app = create_app({"n": Route("n", "generic", lambda: (SECRET,))}, lambda source, delivery: 1)
    served = serve(app, "127.0.0.1:0")
    yield served.port
    served.stop()


def post(port: int, body: bytes, path: str = "/webhook/n") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    connection.request("POST", path, body, {"X-Nidus-Signature": signature})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_accepts_over_a_socket(port: int) -> None:
    assert post(port, BODY) == (202, b"accepted\n")
    assert post(port, b"{") == (400, b"bad request\n")
    assert post(port, BODY, "/webhook/x") == (404, b"refused\n")


def test_too_large_is_413(port: int) -> None:
    assert post(port, b" " * ((3 << 20) + 1))[0] == 413


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"POST /webhook/n HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"POST  HTTP/1.1\r\n\r\n",
     b"POST /webhook/n HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"POST /webhook/n HTTP/9.9\r\nX: " + b"a" * 70_000],
)  # fmt: skip
def test_garbage_does_not_stop_the_next_delivery(port: int, request_bytes: bytes) -> None:
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as sender,
        contextlib.suppress(ConnectionResetError, BrokenPipeError),  # closed before it read all: what it may do
    ):
        sender.sendall(request_bytes)
        sender.shutdown(socket.SHUT_WR)
        answer = sender.recv(4096)
    assert b" 5" not in answer[:12]
    assert post(port, BODY)[0] == 202


def test_a_process_with_many_open_files_is_answered(port: int) -> None:
    """A controller of some hundred nested clusters has more than 1,024 descriptors open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    with contextlib.ExitStack() as files:
        while files.enter_context(open(os.devnull)).fileno() < 1100:  # noqa: PTH123
            pass
        for _ in range(3):
            assert post(port, BODY)[0] == 202


def test_stop_frees_the_port_and_lets_an_answer_finish() -> None:
    entered, release = threading.Event(), threading.Event()

    def mark(source: str, delivery: Delivery) -> int:
        entered.set()
        return release.wait(60)

    served = serve(create_app({"n": Route("n", "generic", lambda: (SECRET,))}, mark), "127.0.0.1:0")
    port = served.port
    answers: list[tuple[int, bytes]] = []
    sender = threading.Thread(target=lambda: answers.append(post(port, BODY)))
    sender.start()
    assert entered.wait(60)
    stopper = threading.Thread(target=served.stop)
    stopper.start()
    release.set()
    stopper.join(60)
    sender.join(60)
    assert answers == [(202, b"accepted\n")]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=60)


def test_a_client_that_comes_as_it_stops_is_closed() -> None:
    """It asks some turns of the loop after the listener was told to stop: however many, no socket stays open."""
    gc.freeze()  # what tests before left is not of this one, and is not looked through
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for turns in range(10):
            _stopped_as_one_comes(turns)
        gc.collect()
    assert [str(one.message) for one in told] == []


def _stopped_as_one_comes(turns: int) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    listener = Listener(create_app({}, lambda source, delivery: 1), listening, frozenset(), USUAL, {})
    clients: list[socket.socket] = []

    def come(left: int) -> None:
        if left:
            listener._loop.call_soon(come, left - 1)
        else:
            clients.append(socket.create_connection(listening.getsockname(), timeout=60))

    listener._loop.call_later(0.01, lambda: (listener.stop(), come(turns)))
    listener.run()
    clients[0].close()


def test_an_address_in_use_is_an_error(port: int) -> None:
    with pytest.raises(OSError):
        serve(create_app({}, lambda source, delivery: 1), f"127.0.0.1:{port}")
