"""A nested API server that hangs, sends single bytes, refuses or is idle: the time it may take and the message (A7)."""

import json
import queue
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import edge, nested_watch
from reconciler.kube.client import Client
from reconciler.kube.nested_watch import BURST, EACH, paced
from reconciler.kube.targets import Targets
from reconciler.model import HostConfig, ObjectRef, Target
from tests.answering import drops, http, kubeconfig
from tests.nested_server import CONFIG as NESTED_CONFIG
from tests.nested_server import NAME, NAMESPACE, Behave, ForwardingHost, NestedServer, is_well, waits
from tests.waiting import eventually

TARGET = Target("local", NAME)
CONFIG = ObjectRef("", "ConfigMap", "default", "a")


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[NestedServer]:
    with closing(NestedServer(tmp_path)) as made:
        yield made


@pytest.fixture
def host(nested: NestedServer) -> Iterator[ForwardingHost]:
    with closing(ForwardingHost(nested)) as made:
        yield made


@contextmanager
def reaching(host: ForwardingHost, folder: Path, *, deadline: float = 10.0, idle: float = 15.0) -> Iterator[Targets]:
    """Targets whose forwards all end with them, whatever the server did: none waits for the collector or for STUCK."""
    before = forwards()
    with closing(edge.host(HostConfig(kubeconfig=str(kubeconfig(folder, host.url))))) as client:
        made = Targets(client, inside=False, deadline=deadline, silence=deadline / 2, idle=idle)
        try:
            yield made
        finally:
            made.forget_all()
    eventually(lambda: not forwards() - before)


def trickles(start: bytes, drop: bytes) -> Behave:
    def behave(peer: socket.socket, request: str) -> None:
        if "configmaps" not in request:
            is_well(peer, request)
            return
        peer.sendall(start)
        for _ in range(2000):  # far longer than any deadline here
            peer.sendall(drop)
            threading.Event().wait(0.02)

    return behave


def says_nothing(peer: socket.socket, request: str) -> None:
    if "configmaps" in request:
        waits(peer)
        raise ConnectionAbortedError  # the client gave up
    is_well(peer, request)


def floods(start: bytes, part: bytes) -> Behave:
    """As fast as it is read, until the client gives up."""

    def behave(peer: socket.socket, request: str) -> None:
        if "configmaps" not in request:
            is_well(peer, request)
            return
        peer.sendall(start)
        while True:
            peer.sendall(part)

    return behave


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HANGS = {
    "says nothing": says_nothing,
    "headers come byte by byte": trickles(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "one header after the other": trickles(OK, b"X-More: 1\r\n"),
    "the body comes byte by byte": trickles(OK + b"Content-Length: 100000\r\n\r\n{", b" "),
    "the size of a chunk comes byte by byte": trickles(CHUNKED + b"1;x=", b"x"),
    "one 100 Continue after the other": trickles(b"", CONTINUE),
    "a flood of 100 Continue": floods(b"", 1000 * CONTINUE),
    "a flood of 100 Continue with headers": floods(b"", b"HTTP/1.1 100 Continue\r\n" + 90 * b"A: b\r\n" + b"\r\n"),
    "a trailer line after the other": trickles(CHUNKED + b"0\r\n", b"A: b\r\n"),
    "a flood of trailers": floods(CHUNKED + b"0\r\n", 1000 * b"A: b\r\n"),
    "a flood of extensions of chunks": floods(CHUNKED, b"1;" + 4000 * b"x" + b"\r\n \r\n"),
    "the last connection, byte by byte": trickles(OK + b"Connection: close\r\n\r\n{", b" "),
    "headers, then nothing": lambda peer, request: (
        (peer.sendall(OK + b"Content-Length: 10\r\n\r\n"), waits(peer), None)[2]
        if "configmaps" in request
        else is_well(peer, request)
    ),
}


@pytest.mark.parametrize("behave", HANGS.values(), ids=HANGS.keys())
def test_a_hung_server_is_given_up_by_the_deadline(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path, behave: Behave
) -> None:
    nested.behave = behave
    with reaching(host, tmp_path, deadline=1.0) as targets:
        client = targets.client(TARGET, NAMESPACE)
        with pytest.raises(ApiError) as error:
            client.get(CONFIG)
        assert error.value.kind is ErrorClass.TRANSIENT
        assert error.value.message in (
            "the API server of red did not answer within 1 s",
            "the API server of red did not answer within 0.5 s",
        )


UNENDING = {
    "100 Continue that never ends": (b"HTTP/1.1 100 Continue\r\nA: ", b"x" * 65536),
    "one header without end": (OK + b"A: ", b"x" * 65536),
    "headers without end": (OK, 1000 * b"A: b\r\n"),
    "another word before the answer": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "the size of a chunk": (CHUNKED, b"0" * 65536),
    "the extension of a chunk": (CHUNKED + b"1;x=", b"x" * 65536),
    "one trailer without end": (CHUNKED + b"0\r\nA: ", b"x" * 65536),
    "one line of a status": (b"HTTP/1.1 200 ", b"x" * 65536),
}


@pytest.mark.parametrize("sent", UNENDING.values(), ids=UNENDING.keys())
@pytest.mark.parametrize("watching", [False, True], ids=["get", "watch"])
def test_what_has_no_end_is_refused_and_never_collected(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path, sent: tuple[bytes, bytes], watching: bool
) -> None:
    """Long before the deadline: what is refused is not kept in memory until then."""
    nested.behave = floods(*sent)
    with reaching(host, tmp_path, deadline=30.0) as targets:
        client = targets.client(TARGET, NAMESPACE)
        client.resource("", "ConfigMap")
        tracemalloc.start()
        with pytest.raises(ApiError) as error:
            if watching:
                list(client.watch("", "ConfigMap", since="1", seconds=30, silence=30))
            else:
                client.get(CONFIG)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert error.value.kind is ErrorClass.TRANSIENT
        assert "did not answer within" not in error.value.message
        assert peak < 8 << 20


@pytest.mark.parametrize("kept", [b"A: b\r\n", 1000 * b"A: b\r\n"], ids=["slow", "fast"])
def test_a_watch_is_silent_while_nothing_of_it_is_an_event(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path, kept: bytes
) -> None:
    """Trailers are no events: they end no silence."""
    behave = trickles if len(kept) < 100 else floods
    nested.behave = behave(CHUNKED + b"0\r\n", kept)
    with reaching(host, tmp_path) as targets:
        watch = targets.client(TARGET, NAMESPACE).watch("", "ConfigMap", since="1", seconds=30, silence=1)
        with pytest.raises(ApiError) as error:
            list(watch)
        assert error.value.kind is ErrorClass.TRANSIENT
        assert "1 s" in error.value.message


def test_a_list_of_a_nested_server_has_its_deadline_too(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path
) -> None:
    nested.behave = HANGS["the body comes byte by byte"]
    with reaching(host, tmp_path, deadline=1.0) as targets:
        with pytest.raises(ApiError) as error:
            targets.client(TARGET, NAMESPACE).list("", "ConfigMap", namespace="default")
        assert error.value.message == "the API server of red did not answer within 1 s"


@pytest.mark.parametrize("hung", ["handshake", "port-forward"])
def test_setting_up_the_connection_counts(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path, hung: str
) -> None:
    nested.shakes_hands = hung != "handshake"
    host.forwards_to = hung != "port-forward"
    with reaching(host, tmp_path, deadline=1.0) as targets:
        with pytest.raises(ApiError) as error:
            targets.client(TARGET, NAMESPACE).apply(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
            )
        assert error.value.kind is ErrorClass.TRANSIENT  # nothing was sent
        assert "red did not answer within" in error.value.message


def test_a_look_has_one_deadline_for_all_its_calls(host: ForwardingHost, nested: NestedServer, tmp_path: Path) -> None:
    calls = []

    def slow(peer: socket.socket, request: str) -> None:
        calls.append(request)
        threading.Event().wait(0.1)
        is_well(peer, request)

    nested.behave = slow
    with reaching(host, tmp_path) as targets:
        look = targets.client(TARGET, NAMESPACE).budgeted(1.0)
        with pytest.raises(ApiError) as error:
            for _ in range(1000):
                look.get(CONFIG)
        assert error.value.kind is ErrorClass.TRANSIENT
        assert error.value.message == "the API server of red did not answer within 1 s"
        assert len(calls) < 20
        assert targets.client(TARGET, NAMESPACE).get(CONFIG)  # the budget is that of the look alone


def test_what_is_closed_ends_though_an_error_is_kept(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path
) -> None:
    def fails(peer: socket.socket, request: str) -> None:
        peer.sendall(http(500, b"{}")) if "configmaps" in request else is_well(peer, request)

    nested.behave = fails
    with reaching(host, tmp_path) as targets, pytest.raises(ApiError) as error:
        targets.client(TARGET, NAMESPACE).get(CONFIG)
    assert error.value.kind is ErrorClass.TRANSIENT


def test_the_true_cause_is_named(host: ForwardingHost, nested: NestedServer, tmp_path: Path) -> None:
    direct = edge.nested(nested.secret, NAME, NAMESPACE, dial=nested.dial)
    nested.behave = lambda peer, request: drops(peer)
    assert said(direct) == "the API server of red closed the connection"
    nested.close()
    assert said(direct) == "the API server of red refused the connection"
    stranger = NestedServer(tmp_path, "other", "ns")
    with closing(stranger), closing(edge.nested(nested.secret, NAME, NAMESPACE, dial=stranger.dial)) as wrong:
        assert said(wrong).startswith("the API server of red could not prove its name: ")
    host.is_ready = False
    with reaching(host, tmp_path) as targets:
        assert "is not ready" in said(targets.client(TARGET, NAMESPACE))


def said(client: Client) -> str:
    with pytest.raises(ApiError) as error:
        client.readyz()
    return error.value.message


def test_an_open_breaker_says_why_and_for_how_long(host: ForwardingHost, nested: NestedServer, tmp_path: Path) -> None:
    nested.behave = lambda peer, request: drops(peer)
    with reaching(host, tmp_path) as targets:
        client = targets.client(TARGET, NAMESPACE)
        first = said(client)
        said(client)
        assert targets.is_open(TARGET)
        for act in (client.readyz, lambda: targets.client(TARGET, NAMESPACE)):
            with pytest.raises(ApiError) as error:
                act()
            assert (error.value.kind, error.value.after is not None) == (ErrorClass.TRANSIENT, True)
            assert error.value.message.startswith(f"{first}; ")
        targets.forget(TARGET)  # the cluster is over: so is what was known of it
        assert not targets.is_open(TARGET)


def test_a_server_that_answers_again_has_no_failure(host: ForwardingHost, nested: NestedServer, tmp_path: Path) -> None:
    nested.behave = lambda peer, request: drops(peer)
    with reaching(host, tmp_path) as targets:
        said(targets.client(TARGET, NAMESPACE))
        nested.behave = is_well
        assert targets.client(TARGET, NAMESPACE).readyz()
        nested.behave = lambda peer, request: drops(peer)
        said(targets.client(TARGET, NAMESPACE))
        assert not targets.is_open(TARGET)  # one failure since the answer


def test_idle_forwards_cost_neither_thread_nor_file(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(5)]
    servers = [NestedServer(tmp_path, name, f"vcluster-{name}") for name in names]
    others = forwards()
    with closing(ForwardingHost(*servers)) as host, reaching(host, tmp_path, idle=0.5) as targets:
        first = targets.client(Target("local", "n0"), "vcluster-n0")
        assert first.readyz()
        eventually(lambda: not forwards() - others)
        files = open_files()
        for name in names:
            assert targets.client(Target("local", name), f"vcluster-{name}").readyz()
        assert forwards() - others
        eventually(lambda: not forwards() - others)
        eventually(lambda: open_files() <= files)
        assert targets.client(Target("local", "n0"), "vcluster-n0") is first  # what was learned of it is kept
        assert first.readyz()
    eventually(lambda: not [one for one in threading.enumerate() if one.name == "idle-connections"])
    for server in servers:
        server.close()


def test_a_connection_in_use_is_not_idle(host: ForwardingHost, nested: NestedServer, tmp_path: Path) -> None:
    """A quiet watch outlives the idle time and the deadline of calls."""
    line = b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"9"}}}\n'

    def behave(peer: socket.socket, request: str) -> None:
        if "watch=1" not in request:
            is_well(peer, request)
            return
        peer.sendall(http(200, b"x" * 0).replace(b"Content-Length: 0\r\n", b"Connection: close\r\n"))
        for _ in range(2):
            threading.Event().wait(1.2)
            peer.sendall(line)
        peer.shutdown(socket.SHUT_RDWR)

    nested.behave = behave
    with reaching(host, tmp_path, deadline=1.0, idle=0.2) as targets:
        watch = targets.client(TARGET, NAMESPACE).watch("", "ConfigMap", since="1", seconds=10, silence=5)
        assert [event.version for event in watch] == ["9"] * 2


def forwards() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("forward-")}


def watching() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith(f"watch-{TARGET}")}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_bug_met_by_a_nested_watch_is_told_and_the_watch_goes_on(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path
) -> None:
    told: queue.Queue[tuple[str, Exception]] = queue.Queue()
    woken: queue.Queue[int] = queue.Queue()

    def wake() -> None:
        woken.put(1)
        if woken.qsize() == 1:
            raise KeyError("a bug")

    with closing(edge.host(HostConfig(kubeconfig=str(kubeconfig(tmp_path, host.url))))) as client:
        targets = Targets(client, inside=False, failed=lambda what, error: told.put((what, error)))
        stop = targets.nested_watch(TARGET, NAMESPACE, [("", "ConfigMap")], wake)
        assert stop is not None
        what, error = told.get(timeout=60)
        assert str(TARGET) in what
        assert isinstance(error, KeyError)
        eventually(lambda: woken.qsize() > 1)
        assert watching()
        stop()
        eventually(lambda: not watching())  # it ends with its cluster
        targets.forget_all()


def test_a_flood_of_events_is_read_no_faster_than_it_may_wake(
    host: ForwardingHost, nested: NestedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The burst and then no more; what is not read stays with the server."""
    monkeypatch.setattr(nested_watch, "EACH", 1.0)
    line = json.dumps({"type": "MODIFIED", "object": NESTED_CONFIG}).encode() + b"\n"
    chunk = f"{len(line) * 1000:x}\r\n".encode() + line * 1000 + b"\r\n"

    def behave(peer: socket.socket, request: str) -> None:
        if "watch=" not in request:
            is_well(peer, request)
            return
        peer.sendall(CHUNKED)
        while True:
            peer.sendall(chunk)

    nested.behave = behave
    woken: queue.Queue[int] = queue.Queue()
    began = time.monotonic()
    with closing(edge.host(HostConfig(kubeconfig=str(kubeconfig(tmp_path, host.url))))) as client:
        targets = Targets(client, inside=False)
        stop = targets.nested_watch(TARGET, NAMESPACE, [("", "ConfigMap")], lambda: woken.put(1))
        assert stop is not None
        eventually(lambda: woken.qsize() > BURST)  # each event of the burst, and the watch that opened
        read, seconds = woken.qsize(), time.monotonic() - began
        stop()
        targets.forget_all()
    assert read <= BURST + 2 + seconds


def test_a_burst_of_events_passes_and_a_flood_does_not() -> None:
    due, waited = 0.0, 0.0
    for count in range(1, 1001):
        due, pause = paced(due, 50.0 + waited)
        waited += pause
        assert count > BURST or pause < 1e-6
    assert waited == pytest.approx((1000 - BURST) * EACH)
    due, pause = paced(due, 500.0)
    assert not pause
