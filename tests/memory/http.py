"""The server on a real socket of the loopback, for other processes and for what needs a URL. Plain HTTP/1.1."""

import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.memory.server import Response, Server

PATIENCE = 60.0  # seconds a call that hangs is held at most
LASTS = 1800.0  # seconds of a watch that asks for none


class Front:
    """Serves `server` at `url` until `close`. A call that is to be refused has its connection closed without an answer."""

    def __init__(self, server: Server) -> None:
        self._http = _Http(server)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._server = server
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every connection."""
        self._http.over.set()
        self._server.close()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(60.0)

    def __enter__(self) -> "Front":
        return self

    def __exit__(self, *raised: Any) -> None:
        self.close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server = server
        self.over = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the acknowledgement of its head

    @property
    def memory(self) -> "_Http":
        found: _Http = self.server  # type: ignore[assignment]
        return found

    def answer(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        made = self.memory.server.request(self.command, parts.path, query, dict(self.headers), body)
        if made.failure in ("refused", "lost", "timeout"):
            self._nothing(made.failure)
        elif made.stream is not None:
            self._watch(made, float(query.get("timeoutSeconds", LASTS)))
        else:
            self._whole(made)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 (the names http.server calls)

    def _nothing(self, failure: str) -> None:
        if failure == "timeout":
            self.memory.over.wait(PATIENCE)
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _whole(self, made: Response) -> None:
        self._head(made, ("Content-Length", str(len(made.body))))
        if made.failure == "cut":
            self.wfile.write(made.body[: len(made.body) // 2])
            self._nothing("cut")
        else:
            self.wfile.write(made.body)

    def _watch(self, made: Response, seconds: float) -> None:
        """It ends after the seconds that were asked for, as a real server ends it."""
        stream, ends = made.stream, time.monotonic() + seconds
        self._head(made, ("Transfer-Encoding", "chunked"))
        with suppress(OSError):
            while stream is not None and not self.memory.over.is_set() and (left := ends - time.monotonic()) > 0:
                batch = stream.next(min(0.5, left))
                if stream.hung:
                    self._nothing("timeout")
                    return
                if batch is None:
                    break
                if batch:
                    self._chunk(b"".join(batch))
            self.wfile.write(b"0\r\n\r\n")
        if stream is not None:
            stream.close()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.wfile.flush()

    def _head(self, made: Response, *more: tuple[str, str]) -> None:
        self.send_response(made.status)
        for name, value in (*made.headers.items(), *more):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """The server's own log is enough."""
