"""Clients of a listener over real sockets: well-behaved ones and others."""

import contextlib
import hashlib
import hmac
import socket
from collections.abc import Iterator
from dataclasses import replace

from flask import Flask

from webhook.app import Route, create_app
from webhook.bounds import USUAL, Bounds
from webhook.server import serve

SECRET = b"a secret of at least thirty-two bytes"
BODY = b'{"ref": "refs/heads/main"}'
PATIENT = replace(USUAL, header=60.0, body=60.0, queue=60.0, answer=60.0, grace=0.05)
"""Deadlines no test waits for: who is ended is ended by others who want room."""


def sign(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def head(method: str, path: str, **headers: object) -> bytes:
    """A request line and header; names are written with an underscore for each hyphen."""
    given = {"Host": "x"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def delivery(body: bytes = BODY, *, length: int | None = None, **headers: object) -> bytes:
    """A signed delivery; `length` declares more than is there."""
    given = {"Content_Length": len(body) if length is None else length, "X_Nidus_Signature": sign(body)} | headers
    return head("POST", "/webhook/n", **given) + body


def hooks() -> Flask:
    """The webhook with one route."""
    return create_app({"n": Route("n", "generic", lambda: (SECRET,))}, lambda source, delivery: 1)


@contextlib.contextmanager
def listening(app: Flask, bounds: Bounds = PATIENT, probes: tuple[str, ...] = ()) -> Iterator[int]:
    served = serve(app, "127.0.0.1:0", probes=probes, bounds=bounds)
    try:
        yield served.port
    finally:
        served.stop()


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))


def everything(sender: socket.socket) -> bytes:
    """All that is answered until the listener closes the connection."""
    found = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := sender.recv(1 << 16):
            found += data
    return bytes(found)


def ask(port: int, request: bytes, source: str = "127.0.0.1") -> bytes:
    with connect(port, source) as sender:
        sender.sendall(request)
        return everything(sender)


def status(answer: bytes) -> int:
    """The status code of an answer, 0 where there is none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
