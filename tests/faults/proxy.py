"""A proxy of requests before a real API server, which misbehaves with those a test chooses.

It ends TLS on both sides, so it sees every request and every event of a watch. `before_host` stands before the host's API server,
`before_nested` before a nested one, to which the host's proxy leads the port-forwards of one namespace (`lead`).
"""

import base64
import contextlib
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import yaml

from devhost import certs
from devhost.certs import Pair
from tests.faults import tunnel

HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding"})
UPSTREAM = 300.0  # seconds a watch may be quiet


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2]))

    @property
    def watches(self) -> bool:
        return self.query.get("watch") in ("1", "true", "True")

    @property
    def namespace(self) -> str:
        """The namespace in the path; empty where there is none."""
        parts = self.path.strip("/").split("/")
        return parts[parts.index("namespaces") + 1] if "namespaces" in parts[:-1] else ""


@dataclass(frozen=True)
class Answer:
    """What the server said, whole."""

    status: int
    headers: dict[str, str]
    body: bytes


Matches = Callable[[Request], bool]
Act = Callable[["Exchange"], None]


@dataclass
class Fault:
    """What is done to the next `left` requests that match (None: to all of them)."""

    matches: Callable[[Any], bool]
    act: Act
    left: int | None
    hits: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@dataclass
class Exchange:
    """One request on its way: an act forwards it, answers it, or does neither. Leaving without an answer ends the connection."""

    request: Request
    near: ssl.SSLSocket
    far: HTTPSConnection
    over: threading.Event
    answered: bool = False

    def forward(self) -> Answer:
        """Let it take effect and return the whole answer."""
        response = self.open()
        return Answer(response.status, dict(response.getheaders()), response.read())

    def open(self) -> HTTPResponse:
        kept = {key: value for key, value in self.request.headers.items() if key not in HOP}
        self.far.request(self.request.method, self.request.target, self.request.body or None, kept)
        return self.far.getresponse()

    def say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer the client."""
        self.near.sendall(head(status, {"Content-Type": "application/json", **(headers or {})}, len(body)) + body)
        self.answered = True


# Acts


def loses_the_answer(one: Exchange) -> None:
    """The request takes effect; its sender never learns."""
    one.forward()


def hangs(one: Exchange) -> None:
    """Nothing is answered until the fault is over; then the connection ends."""
    one.over.wait()


def answers(status: int, body: bytes = b"", **headers: str) -> Act:
    """The server never sees the request; this is said instead."""
    failure = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "chosen by a test"}
    text = body or json.dumps(failure).encode()
    return lambda one: one.say(status, text, {key.replace("_", "-"): value for key, value in headers.items()})


def rewrites(change: Callable[[bytes], bytes]) -> Act:
    """The request takes effect; the answer's body is changed on its way back."""

    def act(one: Exchange) -> None:
        found = one.forward()
        one.say(found.status, change(found.body))

    return act


def trickles(pause: float) -> Act:
    """The answer comes byte by byte with `pause` seconds between two."""

    def act(one: Exchange) -> None:
        found = one.forward()
        one.near.sendall(head(found.status, {"Content-Type": "application/json"}, len(found.body)))
        for byte in found.body:
            if one.over.wait(pause):
                return
            one.near.sendall(bytes([byte]))
        one.answered = True

    return act


class FaultProxy:
    """Listens on 127.0.0.1 with TLS. Everything passes that no fault matches; the newest fault that matches counts."""

    def __init__(self, upstream: tuple[str, int], trust: ssl.SSLContext, name: str, chain: Path) -> None:
        self._upstream, self._trust, self._name = upstream, trust, name
        self._own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._own.load_cert_chain(chain)
        self._faults: list[Fault] = []
        self._swallowed: list[Fault] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._held: set[str] = set()
        self._led: dict[str, tuple[str, int]] = {}
        self._open: set[socket.socket] = set()
        self._watching: set[socket.socket] = set()
        self._forwards: dict[socket.socket, str] = {}
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.kubeconfig = Path()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listening.getsockname()
        return str(host), int(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._flowing.set()
        for fault in (*self._faults, *self._swallowed):
            fault.over.set()
        end(self._listening)
        self._listening.close()
        for one in tuple(self._open):
            end(one)

    # Faults

    @contextlib.contextmanager
    def fault(self, matches: Matches, act: Act, times: int | None = None) -> Iterator[Fault]:
        """Do `act` with the next `times` requests that match, until the block ends."""
        made = Fault(matches, act, times)
        with self._lock:
            self._faults.insert(0, made)
        try:
            yield made
        finally:
            with self._lock:
                self._faults.remove(made)
            made.over.set()

    @contextlib.contextmanager
    def swallowed(self, matches: Callable[[dict[str, Any]], bool]) -> Iterator[Fault]:
        """Keep the next event of a watch that matches from its watcher."""
        made = Fault(matches, hangs, 1)
        with self._lock:
            self._swallowed.append(made)
        try:
            yield made
        finally:
            with self._lock:
                self._swallowed.remove(made)

    @contextlib.contextmanager
    def watches_held(self) -> Iterator[None]:
        """Hold every byte of every watch back; the connections stay open."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    @contextlib.contextmanager
    def silent(self, *namespaces: str) -> Iterator[None]:
        """Accept port-forwards into these namespaces and carry not a byte, also of those that are open."""
        self._held |= set(namespaces)
        try:
            yield
        finally:
            self._held -= set(namespaces)

    @contextlib.contextmanager
    def led(self, namespace: str, to: "FaultProxy") -> Iterator[None]:
        """Lead new port-forwards into a namespace to another proxy; those that are open end, before and after."""
        self._led[namespace] = to.address
        self._cut_forwards(namespace)
        try:
            yield
        finally:
            del self._led[namespace]
            to.cut()

    def cut_watches(self) -> None:
        """End every open watch in the middle of whatever it is."""
        for one in tuple(self._watching):
            end(one)

    def cut(self) -> None:
        """End every open connection."""
        for one in tuple(self._open):
            end(one)

    def _cut_forwards(self, namespace: str) -> None:
        for one, into in tuple(self._forwards.items()):
            if into == namespace:
                end(one)

    # Connections

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError, HTTPException, ValueError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            near = self._own.wrap_socket(raw, server_side=True)
            far = _Far(self._upstream, self._trust, self._name)
            self._open.add(near)
            try:
                self._requests(near, far)
            finally:
                self._open.discard(near)
                far.close()
                near.close()
        raw.close()

    def _requests(self, near: ssl.SSLSocket, far: HTTPSConnection) -> None:
        lines = near.makefile("rb")
        while _asks(near, far) and not self._closed.is_set() and (request := _read(lines)) is not None:
            if request.headers.get("upgrade"):
                self._forwards[near] = request.namespace
                try:
                    self._forward_port(request, near)
                finally:
                    del self._forwards[near]
                return
            fault = self._taken(request)
            one = Exchange(request, near, far, fault.over if fault else self._closed)
            if fault is not None:
                fault.act(one)
            elif request.watches:
                self._watch(one)
            else:
                found = one.forward()
                one.say(found.status, found.body, {k: v for k, v in found.headers.items() if k.lower() not in HOP})
            if not one.answered:
                return

    def _taken(self, request: Request) -> Fault | None:
        with self._lock:
            for one in self._faults:
                if one.left != 0 and one.matches(request):
                    one.left = None if one.left is None else one.left - 1
                    one.hits.append(request)
                    return one
        return None

    def _watch(self, one: Exchange) -> None:
        response = one.open()
        if response.status != 200:
            one.say(response.status, response.read())
            return
        self._watching.add(one.near)
        try:
            one.near.sendall(head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, None))
            while line := response.readline():
                self._flowing.wait()
                if not self._is_swallowed(line):
                    one.near.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            one.near.sendall(b"0\r\n\r\n")
            one.answered = True
        finally:
            self._watching.discard(one.near)

    def _is_swallowed(self, line: bytes) -> bool:
        with self._lock:
            if not self._swallowed:
                return False
            event = json.loads(line)
            for one in self._swallowed:
                if one.left and one.matches(event):
                    one.left = 0
                    one.over.set()
                    return True
        return False

    # Port-forwards

    def _forward_port(self, request: Request, near: ssl.SSLSocket) -> None:
        namespace = request.namespace
        led = self._led.get(namespace)
        if led is not None:
            with socket.create_connection(led) as far:
                tunnel.serve(near, far, request.headers["sec-websocket-key"])
            return
        if namespace in self._held:
            near.sendall(tunnel.accepted(request.headers["sec-websocket-key"]))
        else:
            with (
                socket.create_connection(self._upstream) as plain,
                self._trust.wrap_socket(plain, server_hostname=self._name) as far,
            ):
                far.sendall(_again(request))
                self._pump(namespace, near, far)
        while namespace in self._held and not self._closed.is_set():
            time.sleep(0.05)

    def _pump(self, namespace: str, near: ssl.SSLSocket, far: ssl.SSLSocket) -> None:
        """Carry bytes until one side ends; one thread, since a TLS socket is not for two."""
        pairs = {near: far, far: near}
        while not self._closed.is_set():
            ready = [one for one in pairs if one.pending()] or select.select(list(pairs), [], [], 0.5)[0]
            if namespace in self._held:
                return
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                pairs[one].sendall(data)


class _Far(HTTPSConnection):
    """A connection to an address whose certificate carries another name."""

    def __init__(self, address: tuple[str, int], trust: ssl.SSLContext, name: str) -> None:
        super().__init__(*address, timeout=UPSTREAM)
        self._trust, self._name = trust, name

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), 10)
        plain.settimeout(UPSTREAM)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._trust.wrap_socket(plain, server_hostname=self._name)


def before_host(kubeconfig: Path, folder: Path) -> FaultProxy:
    """A proxy before the server of a kubeconfig whose user has a token; its own `kubeconfig` leads through it."""
    folder.mkdir(parents=True, exist_ok=True)
    config: Any = yaml.safe_load(kubeconfig.read_text())
    (entry,) = config["clusters"]
    server = urlsplit(entry["cluster"]["server"])
    trust = ssl.create_default_context(cadata=_text(entry["cluster"]["certificate-authority-data"]))
    ca = certs.authority("proxy")
    made = FaultProxy((str(server.hostname), int(server.port or 443)), trust, str(server.hostname), _chain(folder, ca))
    host, port = made.address
    authority = base64.b64encode(ca.certificate).decode()
    entry["cluster"] = {"server": f"https://{host}:{port}", "certificate-authority-data": authority}
    made.kubeconfig = folder / "through-proxy.kubeconfig"
    made.kubeconfig.touch(mode=0o600)
    made.kubeconfig.write_text(json.dumps(config))
    return made


def before_nested(secret: dict[str, Any], ca: Pair, address: tuple[str, int], folder: Path) -> FaultProxy:
    """A proxy before a nested API server: `secret` is the engine's Secret vc-NAME, `ca` the authority behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {key: base64.b64decode(value) for key, value in secret["data"].items()}
    trust = ssl.create_default_context(cadata=data["certificate-authority"].decode())
    client = folder / "client.pem"
    client.write_bytes(data["client-certificate"] + b"\n" + data["client-key"])
    trust.load_cert_chain(client)
    meta = secret["metadata"]
    name = f"{meta['name'].removeprefix('vc-')}.{meta['namespace']}"
    return FaultProxy(address, trust, name, _chain(folder, ca, name))


def _chain(folder: Path, ca: Pair, name: str = "localhost") -> Path:
    own = certs.issue(ca, "server", dns=(name,))
    file = folder / "proxy.pem"
    file.write_bytes(own.certificate + own.key)
    return file


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def _asks(near: ssl.SSLSocket, far: HTTPSConnection) -> bool:
    """Wait for the next request; False where the server ended its connection first, which ends the client's too."""
    waiting = [near, *([far.sock] if far.sock else [])]
    return bool(near.pending()) or near in select.select(waiting, [], [])[0]


def _read(lines: Any) -> Request | None:
    first = lines.readline().decode().split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := lines.readline()) not in (b"\r\n", b""):
        key, _, value = line.decode().partition(":")
        headers[key.strip().lower()] = value.strip()
    return Request(first[0], first[1], headers, lines.read(int(headers.get("content-length", 0))))


def _again(request: Request) -> bytes:
    lines = [
        f"{request.method} {request.target} HTTP/1.1",
        *(f"{key}: {value}" for key, value in request.headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def head(status: int, headers: dict[str, str], length: int | None) -> bytes:
    """The head of an answer."""
    sized = headers if length is None else {**headers, "Content-Length": str(length)}
    return ("\r\n".join([f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in sized.items())]) + "\r\n\r\n").encode()


def end(one: socket.socket) -> None:
    """End a connection that another thread may be reading."""
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
