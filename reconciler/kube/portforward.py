"""A port of a pod, through the host's API server: how nested API servers are reached from outside the host (A8).

The WebSocket protocol `v4.channel.k8s.io`: the first byte of a message is its channel, 0 data and 1 errors, and each channel
first says which port it is for (two bytes). The host's account needs `get` and `create` on pods/portforward.
"""

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from reconciler.errors import ApiError, ErrorClass
from reconciler.health.reading import condition
from reconciler.kube import edge, timed
from reconciler.kube.client import Client
from reconciler.model import Object

PROTOCOL = "v4.channel.k8s.io"
CHUNK = 32 << 10
IDLE = 120.0  # seconds without a byte before a connection is given up; the next request opens another
DIAL = 5.0  # seconds for one port-forward to be there
STUCK = 30.0  # seconds one side may refuse to take bytes
DATA, ERROR = 0, 1


Failed = Callable[[str, Exception], None]
"""Hears of an exception that is none of ours, and where it was met."""


def connect(
    client: Client, namespace: str, pod: str, port: int, failed: Failed = lambda what, error: None
) -> socket.socket:
    """Return a connected socket to `port` of `pod`; it is a plain one, so TLS goes over it.

    Raises ApiError TRANSIENT when the host or the pod cannot be reached within DIAL seconds. `failed` is called for bugs.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/portforward?ports={int(port)}"
    left = min(DIAL, timed.current().left)
    if not left:
        raise ApiError(ErrorClass.TRANSIENT, "no port-forward: there is no time left for one")
    web = edge.websocket(client.transport.api, path, PROTOCOL, left)
    ours, theirs = socket.socketpair()
    web.settimeout(STUCK)
    theirs.settimeout(STUCK)
    threading.Thread(target=carry, args=(theirs, web, failed), name=f"forward-{pod}", daemon=True).start()
    return ours


class Dialer:
    """Connects to a port of the ready pod that `selector` finds in `namespace`, and remembers the pod while it can
    connect.

    `cached` is asked before the API server is: a pod that a live cache shows, or None. `failed` is called for bugs.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        selector: str,
        port: int,
        cached: Callable[[], Object | None] = lambda: None,
        failed: Failed = lambda what, error: None,
    ) -> None:
        self._client = client
        self._failed = failed
        self._namespace = namespace
        self._selector = selector
        self._port = port
        self._cached = cached
        self._pod = ""

    def __call__(self) -> socket.socket:
        """Return a connected socket; ApiError TRANSIENT when there is no ready pod or it does not answer."""
        for known in dict.fromkeys(filter(None, (self._pod, self._shown()))):
            with suppress(ApiError):  # it may be gone since
                return self._connected(known)
        return self._connected(self._find())

    def _connected(self, pod: str) -> socket.socket:
        self._pod = ""
        made = connect(self._client, self._namespace, pod, self._port, self._failed)
        self._pod = pod
        return made

    def _shown(self) -> str:
        pod = self._cached()
        return str(pod["metadata"]["name"]) if pod is not None and _is_ready(pod) else ""

    def _find(self) -> str:
        pods, _ = self._client.list("", "Pod", namespace=self._namespace, labels=self._selector)
        ready = sorted(str(pod["metadata"]["name"]) for pod in pods if _is_ready(pod))
        if not ready:
            what = "the pod of the control plane is not ready" if pods else "the control plane has no pod"
            raise ApiError(ErrorClass.TRANSIENT, f"{what} ({self._selector} in namespace {self._namespace})")
        return ready[0]


class Listener:
    """A port of 127.0.0.1 whose connections end at what `dial` reaches; `idle_since` is a monotonic time, inf while in use."""

    def __init__(self, dial: Callable[[], socket.socket], port: int = 0) -> None:
        self._dial = dial
        self._server = socket.create_server(("127.0.0.1", port))
        self._open = 0
        self._last = time.monotonic()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, name="listener", daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        host, port = self._server.getsockname()
        return str(host), int(port)

    @property
    def idle_since(self) -> float:
        """When the last connection ended (monotonic seconds), or infinity while one is open."""
        return self._last if not self._open else float("inf")

    def close(self) -> None:
        """Stop listening; open connections live on until one side ends them."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                local, _ = self._server.accept()
                threading.Thread(target=self._join, args=(local,), name="listener-connection", daemon=True).start()

    def _join(self, local: socket.socket) -> None:
        self._count(1)
        try:
            with local, self._dial() as remote:
                local.settimeout(STUCK)
                remote.settimeout(STUCK)
                _copy(local, remote)
        except (ApiError, OSError):
            pass  # the client sees its connection end
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._open += change
            self._last = time.monotonic()


def listen(client: Client, namespace: str, selector: str, port: int, *, local_port: int = 0) -> Listener:
    """Open a Listener for `port` of the ready pod that `selector` finds, for `nidus kubeconfig`."""
    return Listener(Dialer(client, namespace, selector, port), local_port)


# Bytes


def _copy(one: socket.socket, two: socket.socket) -> None:
    """Copy bytes both ways until one side ends."""
    peers = {one.fileno(): (one, two), two.fileno(): (two, one)}
    poll = select.poll()
    for number in peers:
        poll.register(number, select.POLLIN)
    while ready := poll.poll(IDLE * 1000):
        for number, _ in ready:
            source, sink = peers[number]
            data = source.recv(CHUNK)
            if not data:
                return
            sink.sendall(data)


def carry(local: socket.socket, web: Any, failed: Failed) -> None:
    """Copy bytes between a socket and a port-forward until one side ends, takes no bytes or sends none for IDLE
    seconds. Whatever happens, both are closed; `failed` is called for bugs."""
    from websocket import WebSocketException  # loaded already: `web` is one of its sockets

    # `close` leaves the socket of a connection open that the other side ended first; `shutdown` does not.
    for step in (lambda: _exchange(local, web), local.close, lambda: web.close(timeout=1), web.shutdown):
        try:
            step()
        except (WebSocketException, OSError):
            pass  # whichever side failed, the connection is over for both
        except Exception as error:
            failed("forwarding to a pod", error)


def _exchange(local: socket.socket, web: Any) -> None:
    opened: set[int] = set()
    poll = select.poll()
    poll.register(local.fileno(), select.POLLIN)
    poll.register(web.fileno(), select.POLLIN)
    while True:
        held = _pending(web)  # decrypted bytes that poll cannot see
        ready = {number for number, _ in poll.poll(0 if held else IDLE * 1000)}
        if not ready and not held:
            return
        if local.fileno() in ready:
            data = local.recv(CHUNK)
            if not data:
                return
            web.send_binary(bytes([DATA]) + data)
        if (held or web.fileno() in ready) and not _deliver(web.recv(), opened, local):
            return


def _deliver(message: Any, opened: set[int], local: socket.socket) -> bool:
    """Pass one message on; False when it ends the connection."""
    if not isinstance(message, bytes) or not message:
        return False
    channel, data = message[0], message[1:]
    if channel not in opened:
        opened.add(channel)  # its first message only says the port
        data = data[2:]
    if channel == ERROR and data:
        return False
    if channel == DATA and data:
        local.sendall(data)
    return True


def _pending(web: Any) -> bool:
    pending = getattr(web.sock, "pending", None)
    return bool(pending and pending())


def _is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True" and not pod["metadata"].get("deletionTimestamp")
