"""A small HTTP server on a real socket whose answers a test chooses, and a kubeconfig that leads to it."""

import json
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Answer = Callable[[socket.socket], None]
DISCOVERY: dict[str, Any] = {
    "kind": "APIGroupDiscoveryList",
    "apiVersion": "apidiscovery.k8s.io/v2",
    "items": [{"versions": [{"version": "v1", "resources": [
        {"resource": "configmaps", "scope": "Namespaced", "responseKind": {"kind": "ConfigMap"}},
        {"resource": "pods", "scope": "Namespaced", "responseKind": {"kind": "Pod"}},
        {"resource": "secrets", "scope": "Namespaced", "responseKind": {"kind": "Secret"}},
        {"resource": "namespaces", "scope": "Cluster", "responseKind": {"kind": "Namespace"}}]}]}],
}  # fmt: skip
NO_GROUPS = b'{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[]}'


def http(status: int, body: bytes, *headers: str) -> bytes:
    head = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def sends(answer: bytes) -> Answer:
    return lambda peer: peer.sendall(answer)


def drops(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_RDWR)


class Server:
    """Answers discovery properly and everything else by `answer`; remembers the request lines, and the headers of all requests."""

    def __init__(self) -> None:
        self.answer: Answer = sends(http(200, b"{}"))
        self.discovery: Callable[[str], bytes] = discovered
        self.seen: list[str] = []
        self.heads: list[dict[str, str]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer: socket.socket) -> None:
        with peer, suppress(OSError), peer.makefile("rb") as lines:
            while request := lines.readline().decode():
                told: dict[str, str] = {}
                while (header := lines.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode("latin-1").partition(":")
                    told[name.lower()] = value.strip()
                self.heads.append(told)
                lines.read(int(told.get("content-length", "0")))
                path = request.split()[1]
                if path in ("/api", "/apis"):
                    peer.sendall(http(200, self.discovery(path)))
                    continue
                self.seen.append(request.split(" HTTP")[0])
                self.answer(peer)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def discovered(path: str) -> bytes:
    return json.dumps(DISCOVERY).encode() if path == "/api" else NO_GROUPS


def kubeconfig(folder: Path, url: str, token: str = "t", contexts: Sequence[str] = ("x",)) -> Path:
    """A kubeconfig whose contexts all lead there; the first one is the current one."""
    path = folder / "kubeconfig"
    body: dict[str, object] = {
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "x", "user": "x"}} for name in contexts],
    }
    path.write_text(json.dumps({**body, "current-context": contexts[0], "apiVersion": "v1", "kind": "Config"}))
    return path
