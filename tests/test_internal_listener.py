"""The internal listener over real sockets: which names its reports answer to, and what it says of the process."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from reconciler.controller import http, listeners
from reconciler.model import ControllerSpec, EngineConfig, ServerConfig
from reconciler.report import Reporter
from tests.memory.server import Server
from tests.shell import client
from tests.webhook.sockets import ask, connect, head, status

OURS = [
    "localhost", "LocalHost:9293", "localhost.", "localhost.:9293", "127.0.0.1", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:9293",
    "nidus-internal", "nidus-internal.home", "NIDUS-INTERNAL.home.svc:9293", "nidus-internal.home.svc.cluster.local.",
    "nidus.example.com", "Nidus.Example.com:443",
]  # fmt: skip
OTHERS = [
    "", "evil.example.com", "evil.example.com:9293", "localhost.evil.example.com", "evil.localhost", "192.0.2.1", "10.0.0.1:9293",
    "[2001:db8::1]",
    "127.0.0.1.evil.example.com", "nidus-internal.other.svc", "nidus-internal.home.svc.evil.example.com", "xnidus-internal.home.svc",
    "nidus.example.com.evil", "::1", "[::1", "[::1]x", "localhost:", "localhost:99999", "localhost:x", "localhost..", "local host",
    "localhost,evil.example.com", "evil.example.com@localhost", "localhost/", "127.1", "2130706433", "0", "0x7f.0.0.1", "lo\xe7alhost",
]  # fmt: skip


class Process:
    """What a service tells the listener; `problem` is what its heartbeat says."""

    def __init__(self) -> None:
        self.problem = ""
        self.held = threading.Event()
        self.held.set()

    def alive(self) -> str:
        return self.problem

    def depth(self) -> tuple[int, int]:
        assert self.held.wait(60)
        return 0, 0

    def told(self) -> http.Process:
        return http.Process("one", True, "one", "", "none")


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def port(process: Process) -> Iterator[int]:
    server = ServerConfig(internal="127.0.0.1:0", hosts=("Nidus.example.com",))
    config = ControllerSpec((), EngineConfig(versions=()), namespace="home", server=server)
    reporter = Reporter(client(Server()), "home", "one")
    views = http.Views(reporter, process.alive, process.alive, process.depth, process.told)
    served = listeners.internal(views, config, client(Server()))
    yield served.port
    process.held.set()
    served.stop()
    reporter.close()


@pytest.mark.parametrize("host", OURS)
def test_the_reports_answer_to_names_of_their_own(port: int, host: str) -> None:
    assert status(ask(port, head("GET", "/api/v1/process", Host=host))) == 200


@pytest.mark.parametrize("host", OTHERS)
def test_the_reports_answer_to_no_other_name(port: int, host: str) -> None:
    """A page that somebody's browser loads from elsewhere has a name of its own (DNS rebinding)."""
    for path in ("/api/v1/process", "/api/v1/clusters", "/api/v1/sources", "/api/v1/process?x=1"):
        answer = ask(port, head("GET", path, Host=host))
        assert status(answer) in (400, 421)
        assert b"{" not in answer


def test_a_name_is_said_once_and_always(port: int) -> None:
    """Two are refused, and so is an old request without any."""
    for lines in (b"Host: localhost\r\nHost: localhost\r\n", b"Host: localhost\r\nhost: evil.example.com\r\n", b""):
        assert status(ask(port, b"GET /api/v1/process HTTP/1.1\r\n" + lines + b"\r\n")) == 400
    assert status(ask(port, b"GET /api/v1/process HTTP/1.0\r\n\r\n")) == 421
    assert status(ask(port, b"GET http://localhost/api/v1/process HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")) == 404


@pytest.mark.parametrize(
    ("path", "told"), [("//api/v1/process", 421), ("/api/v1//process", 404), ("//api//v1/process", 404)]
)
def test_nobody_is_led_to_another_host(port: int, path: str, told: int) -> None:
    answer = ask(port, head("GET", path, Host="evil.example.com"))
    assert status(answer) == told and b"evil" not in answer


def test_a_refusal_says_what_to_do(port: int) -> None:
    answer = ask(port, head("GET", "/api/v1/process", Host="evil.example.com"))
    assert answer.endswith(b"other names are listed in spec.server.hosts.\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("host", ["10.0.0.1:9293", "evil.example.com", "localhost", "[2001:db8::1]:9293"])
def test_probes_and_metrics_answer_to_any_name(port: int, path: str, host: str) -> None:
    assert status(ask(port, head("GET", path, Host=host))) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(port: int, method: str) -> None:
    assert status(ask(port, head(method, "/api/v1/process", Host="localhost"))) == 405


def test_no_body_is_taken(port: int) -> None:
    assert status(ask(port, head("GET", "/healthz", Content_Length=1))) == 413
    assert status(ask(port, head("GET", "/healthz", Transfer_Encoding="chunked"))) == 411


def test_the_probe_tells_a_loop_that_does_not_move(port: int, process: Process) -> None:
    """Also while every thread of the listener is held by something else."""
    process.held.clear()
    request = head("GET", "/api/v1/clusters", Host="localhost")
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect(port)).sendall(request)
        assert ask(port, head("GET", "/healthz")).endswith(b"ok")
        process.problem = "worker 3 for 200 s"
        answer = ask(port, head("GET", "/healthz"))
        assert (status(answer), answer.endswith(b"worker 3 for 200 s")) == (503, True)
        process.problem = ""
        assert status(ask(port, head("GET", "/healthz"))) == 200
        process.held.set()


def test_a_head_request_has_no_body(port: int) -> None:
    answer = ask(port, head("HEAD", "/metrics"))
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")
