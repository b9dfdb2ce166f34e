"""A collector of OpenTelemetry on a real socket of this machine: it keeps what it was sent."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(socketserver.ThreadingTCPServer):
    """Takes OTLP by HTTP; `status` is what it answers, with `headers`, once `over` is set; `endless`: with a body that does not end, until
    who asked has `left`."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self) -> None:
        self.status, self.headers, self.over = 200, dict[str, str](), threading.Event()
        self.endless, self.left = False, threading.Event()
        self.over.set()
        self.got: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        super().__init__(("127.0.0.1", 0), Collecting)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Any]:
        return [
            span
            for _, _, one in self.got
            for resource in one.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Collecting(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = ExportTraceServiceRequest()
        found.ParseFromString(body)
        self.server.over.wait(60)
        self.server.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, found))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        if not self.server.endless:
            self.send_header("Content-Length", "0")
        self.end_headers()
        while self.server.endless:
            try:
                self.wfile.write(bytes(1 << 20))
            except OSError:
                self.server.left.set()
                return

    def do_GET(self) -> None:
        self.server.got.append(("led here", {}, ExportTraceServiceRequest()))
        self.send_error(404)

    def log_message(self, *given: object) -> None:
        pass


@contextmanager
def collecting() -> Iterator[Collector]:
    one = Collector()
    threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield one
    finally:
        one.over.set()
        one.shutdown()
        one.server_close()


def about(span: Any) -> dict[str, str]:
    """The attributes of a span."""
    return {one.key: one.value.string_value for one in span.attributes}
