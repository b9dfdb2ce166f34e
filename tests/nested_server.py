"""A nested API server on a real TLS socket whose behaviour a test chooses, and a host that forwards to it as a kubelet does."""

import base64
import hashlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from devhost import certs
from tests.answering import Server, discovered, http

NAME, NAMESPACE = "red", "vcluster-red"
Behave = Callable[[socket.socket, str], None]
"""What to do with a connection whose request line is given."""
CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "default", "uid": "u1", "resourceVersion": "7"},
}


def is_well(peer: socket.socket, request: str) -> None:
    """Answer discovery, /readyz, /version and every GET of an object."""
    path = request.split()[1].split("?")[0]
    bodies = {
        "/readyz": b"ok",
        "/version": b'{"gitVersion":"v1.36.0"}',
        "/api": discovered("/api"),
        "/apis": discovered("/apis"),
    }
    peer.sendall(http(200, bodies.get(path) or json.dumps(CONFIG).encode()))


class NestedServer:
    """`behave` does what the server does with a request; `secret` is what the engine would have written."""

    def __init__(self, folder: Path, name: str = NAME, namespace: str = NAMESPACE) -> None:
        ca = certs.authority("nested")
        own = certs.issue(ca, "server", dns=(f"{name}.{namespace}",))
        user = certs.issue(ca, "nidus")
        chain = folder / f"{name}.pem"
        chain.write_bytes(own.certificate + own.key)
        self._trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._trust.load_cert_chain(chain)
        data = {"certificate-authority": ca.certificate, "client-certificate": user.certificate, "client-key": user.key}
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        meta = {"name": f"vc-{name}", "namespace": namespace, "uid": "s1", "resourceVersion": "1"}
        self.secret: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded}
        self.behave: Behave = is_well
        self.shakes_hands = True
        self.seen: list[str] = []
        self.given_up = threading.Event()  # a client ended a connection that the server had not
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()[:2]
        threading.Thread(target=self._serve, daemon=True).start()

    def dial(self) -> socket.socket:
        """A connected plain socket, as a port-forward gives it."""
        return socket.create_connection(self.address)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, raw: socket.socket) -> None:
        with raw, suppress(OSError):
            if not self.shakes_hands:
                waits(raw)
                self.given_up.set()
                return
            with self._trust.wrap_socket(raw, server_side=True) as peer, peer.makefile("rb") as lines:
                while request := lines.readline().decode():
                    while (header := lines.readline()) not in (b"\r\n", b""):
                        del header
                    self.seen.append(request.split(" HTTP")[0])
                    try:
                        self.behave(peer, request)
                    except OSError:
                        self.given_up.set()
                        return


def waits(peer: socket.socket) -> None:
    """Say nothing until the other side ends the connection."""
    while peer.recv(65536):
        pass


class ForwardingHost(Server):
    """A host whose API server has the Secret and the pod of nested servers and forwards to them over WebSockets."""

    def __init__(self, *nested: NestedServer) -> None:
        self.nested = {one.secret["metadata"]["namespace"]: one for one in nested}
        self.is_ready = True
        self.forwards_to = True
        super().__init__()

    def _one(self, peer: socket.socket) -> None:
        with peer, suppress(OSError), peer.makefile("rb") as lines:
            while request := lines.readline().decode():
                headers = {}
                while (header := lines.readline()) not in (b"\r\n", b""):
                    key, _, value = header.decode().partition(":")
                    headers[key.strip().lower()] = value.strip()
                self.seen.append(request.split(" HTTP")[0])
                parts = request.split()[1].split("?")[0].strip("/").split("/")
                if len(parts) == 1:
                    peer.sendall(http(200, discovered(f"/{parts[0]}")))
                elif parts[-1] == "portforward":
                    self._forward(peer, lines, headers["sec-websocket-key"], self.nested[parts[3]])
                    return
                elif parts[4] == "secrets":
                    peer.sendall(http(200, json.dumps(self.nested[parts[3]].secret).encode()))
                else:
                    peer.sendall(http(200, json.dumps(self._pods(parts[3])).encode()))

    def _pods(self, namespace: str) -> dict[str, Any]:
        condition = {"type": "Ready", "status": "True" if self.is_ready else "False"}
        meta = {"name": "red-0", "namespace": namespace, "uid": "p1", "resourceVersion": "1"}
        pod = {"metadata": meta, "status": {"conditions": [condition]}}
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [pod]}

    def _forward(self, peer: socket.socket, lines: Any, key: str, nested: NestedServer) -> None:
        if not self.forwards_to:
            waits(peer)
            return
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n".encode()
        )
        with socket.create_connection(nested.address) as far:
            for channel in (0, 1):
                peer.sendall(_frame(bytes([channel]) + struct.pack("<H", 8443)))
            threading.Thread(target=_outwards, args=(far, peer), daemon=True).start()
            while (data := _unframed(lines)) is not None:
                far.sendall(data[1:])
            with suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)


def _outwards(far: socket.socket, peer: socket.socket) -> None:
    with suppress(OSError):
        while data := far.recv(8192):
            peer.sendall(_frame(b"\0" + data))
        peer.shutdown(socket.SHUT_RDWR)


def _frame(data: bytes) -> bytes:
    size = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BH", 126, len(data))
    return b"\x82" + size + data


def _unframed(lines: Any) -> bytes | None:
    """The payload of the next binary message of a client; None when it ends."""
    head = lines.read(2)
    if len(head) < 2 or head[0] & 0x0F == 8:
        return None
    size = head[1] & 0x7F
    if size == 126:
        size = struct.unpack("!H", lines.read(2))[0]
    elif size == 127:
        size = struct.unpack("!Q", lines.read(8))[0]
    mask, data = lines.read(4), lines.read(size)
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
