"""A proxy of bytes before a real API server that can hold everything back or reset every connection (F10, F11)."""

import contextlib
import json
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import yaml


class Proxy:
    """Listens on 127.0.0.1; `kubeconfig` is the given one, led through it (its certificates stay valid there)."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config: Any = yaml.safe_load(kubeconfig.read_text())
        server = urlsplit(config["clusters"][0]["cluster"]["server"])
        self._upstream = (str(server.hostname), int(server.port or 443))
        self._flows = threading.Event()
        self._flows.set()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        for entry in config["clusters"]:
            entry["cluster"]["server"] = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self.kubeconfig = folder / "through-proxy"
        self.kubeconfig.write_text(json.dumps(config))
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._flows.set()
        self.reset()

    def hold(self) -> None:
        """Let no byte through any more, as a half-open connection does."""
        self._flows.clear()

    def resume(self) -> None:
        """Let bytes through again."""
        self._flows.set()

    def reset(self) -> None:
        """End every open connection."""
        for one in tuple(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self.connections += 1
                try:
                    far = socket.create_connection(self._upstream)
                except OSError:  # the server is away: so is this connection, and the next may find it again
                    near.close()
                    continue
                self._open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()
