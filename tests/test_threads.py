"""Threads that stand outside a pass: a bug in one is told, and the process goes on."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from reconciler.controller import confinement
from reconciler.kube.portforward import carry
from webhook.bounds import USUAL
from webhook.server import Listener


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.ExceptHookArgs]]:
    """The threads that ended by an exception: the controller ends with the first one."""
    found: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    yield found
    assert not found


def joined(thread: threading.Thread) -> None:
    thread.join(60.0)
    assert not thread.is_alive()


class Web(socket.socket):
    """A WebSocket that fails by what no library says it raises, in `recv` or also when it is closed."""

    sock = None

    def recv(self, *given: Any) -> bytes:
        super().recv(1)
        raise KeyError("opcode")

    def close(self, **given: Any) -> None:
        super().close()
        if given:
            raise TypeError("timeout")

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        super().close()


def test_a_port_forward_that_the_other_side_ends_leaves_no_socket_open() -> None:
    import websocket

    ours, theirs = socket.socketpair()
    near, far = socket.socketpair()
    web = websocket.WebSocket()
    web.sock, web.connected = near, True
    with ours, far:
        far.sendall(b"\x88\x02\x03\xe8")  # a frame that closes: 1000, as an API server ends it
        thread = threading.Thread(target=carry, args=(theirs, web, lambda what, error: None))
        thread.start()
        joined(thread)
        assert (near.fileno(), theirs.fileno()) == (-1, -1)


def test_a_bug_in_a_port_forward_is_told_and_closes_both_sides() -> None:
    told: list[Exception] = []
    ours, theirs = socket.socketpair()
    near, far = socket.socketpair()
    web = Web(fileno=near.detach())
    with ours, far:
        far.sendall(b"x")
        thread = threading.Thread(target=carry, args=(theirs, web, lambda what, error: told.append(error)))
        thread.start()
        joined(thread)
        assert [type(error) for error in told] == [KeyError, TypeError]
        assert (ours.recv(1), far.recv(1)) == (b"", b"")


def test_a_bug_in_telling_the_confinement_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    class Renders:
        def confinement(self) -> tuple[str, ...]:
            raise KeyError("seccomp")

    told: list[str] = []
    renderer: Any = Renders()
    reporter: Any = None
    before = set(threading.enumerate())
    confinement.start(renderer, reporter, told.append)
    for thread in set(threading.enumerate()) - before:
        joined(thread)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["error"], line["where"]) == ("Bug", "KeyError", "confinement")
    assert told == []


class Port(socket.socket):
    """A listening socket whose first connection, and whose end, meet a bug."""

    met = False

    def accept(self) -> Any:
        self.met, met = True, self.met
        if not met:
            raise KeyError("a connection")
        return super().accept()

    def close(self) -> None:
        super().close()
        raise TypeError("the end")


def test_a_bug_in_a_listeners_loop_is_logged_and_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    port = Port()
    port.bind(("127.0.0.1", 0))
    port.listen()
    port.setblocking(False)
    listener = Listener(Flask("none"), port, frozenset(), USUAL, {})
    thread = threading.Thread(target=listener.run)
    thread.start()
    try:
        with socket.create_connection(port.getsockname(), timeout=60.0) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 404"
    finally:
        listener.stop()
        joined(thread)
    assert [one.exc_info[0] for one in caplog.records if one.exc_info] == [KeyError, TypeError]
