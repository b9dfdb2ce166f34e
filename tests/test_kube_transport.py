"""Requests against a server that misbehaves on real sockets: sent once, over by the deadline, never "absent" (M17, M18, F5)."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ApiError, ErrorClass, LeaseLost, UsageError
from reconciler.kube import edge, plain
from reconciler.kube.breaker import Breaker
from reconciler.kube.client import Client
from reconciler.kube.transport import Call, Limits, Transport
from reconciler.model import HostConfig, ObjectRef
from tests.answering import Answer, Server, drops, http, kubeconfig, sends

CONFIG = ObjectRef("", "ConfigMap", "default", "a")
BODY: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
LIVE = json.dumps({**BODY, "metadata": {**BODY["metadata"], "uid": "u", "resourceVersion": "1"}}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server()) as made:
        yield made


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    with closing(edge.host(HostConfig(kubeconfig=str(kubeconfig(tmp_path, server.url))), deadline=0.5)) as made:
        yield made


def is_silent(peer: socket.socket) -> None:
    """Until the other side gives up: without a deadline there this never ends."""
    peer.recv(1)


def cuts(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 90\r\n\r\n{")
    drops(peer)


def drips(peer: socket.socket) -> None:
    """A byte now and then until the other side gives up: no single read is slow."""
    peer.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 10000000\r\n\r\n")
    while True:
        peer.sendall(b" ")
        threading.Event().wait(0.05)


READS = {
    "500": sends(http(500, b"<html>oops</html>")),
    "503": sends(http(503, b"", "Retry-After: 1")),
    "429": sends(http(429, b"", "Retry-After: 1")),
    "html with 200": sends(http(200, b"<html>log in</html>")),
    "a list with 200": sends(http(200, b"[]")),
    "nothing with 200": sends(http(200, b"")),
    "not HTTP": sends(b"SSH-2.0-OpenSSH\r\n"),
    "cut short": cuts,
    "dropped": drops,
    "silent": is_silent,
    "dripping": drips,
    "redirect": sends(http(302, b"", "Location: http://127.0.0.1:1/elsewhere")),
}


@pytest.mark.parametrize("answer", READS.values(), ids=READS.keys())
def test_a_sick_server_is_transient_asked_once_and_in_time(server: Server, client: Client, answer: Answer) -> None:
    """In time: a server that is silent or drips ends only when its client does."""
    client.namespaced("", "ConfigMap")
    server.answer = answer
    with pytest.raises(ApiError) as error:
        client.get(CONFIG)
    assert error.value.kind is ErrorClass.TRANSIENT
    assert server.seen == ["GET /api/v1/namespaces/default/configmaps/a"]


@pytest.mark.parametrize("name", ["500", "html with 200", "cut short", "dropped", "silent"])
def test_a_write_to_it_is_ambiguous_and_sent_once(server: Server, client: Client, name: str) -> None:
    client.namespaced("", "ConfigMap")
    server.answer = READS[name]
    for act in (lambda: client.apply(BODY), lambda: client.delete(CONFIG, "u"), lambda: client.create(BODY)):
        server.seen.clear()
        with pytest.raises(ApiError) as error:
            act()
        assert error.value.kind is ErrorClass.AMBIGUOUS
        assert len(server.seen) == 1


def test_a_server_that_is_not_there_is_transient_even_for_writes(server: Server, client: Client) -> None:
    client.namespaced("", "ConfigMap")
    server.close()
    client.close()
    with pytest.raises(ApiError) as error:
        client.apply(BODY)
    assert error.value.kind is ErrorClass.TRANSIENT


@pytest.mark.parametrize("token", ["hush\n", "hush\u2026"])
def test_a_write_with_a_header_that_cannot_be_sent_is_no_write(server: Server, token: str) -> None:
    """Nothing has to be looked for that it might have done."""
    transport = Transport(plain.Api(plain.Access(server.url, token=token)))
    with closing(transport), pytest.raises(ApiError) as error:
        transport.send(Call("apply", "PATCH", "/api/v1/namespaces/default/configmaps/a", body=b"{}", ref=CONFIG))
    assert error.value.kind is ErrorClass.TRANSIENT and "hush" not in error.value.message and not server.seen


def test_retry_after_is_told(server: Server, client: Client) -> None:
    server.answer = sends(http(429, b"", "Retry-After: 7"))
    with pytest.raises(ApiError) as error:
        client.get(CONFIG)
    assert error.value.after == 7.0


def test_a_401_is_repeated_once_with_what_the_kubeconfig_says_now(server: Server, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, server.url)
    client = edge.host(HostConfig(kubeconfig=str(path)))
    client.namespaced("", "ConfigMap")
    server.answer = sends(http(401, b"{}"))
    with pytest.raises(ApiError) as error:
        client.apply(BODY)
    assert error.value.kind is ErrorClass.UNAUTHENTICATED
    assert len(server.seen) == 2


def test_the_fence_stands_before_every_write_and_no_read(server: Server, client: Client) -> None:
    def closed() -> None:
        raise LeaseLost("lost")

    fenced = client.fenced(closed)
    for act in (
        lambda: fenced.apply(BODY),
        lambda: fenced.create(BODY),
        lambda: fenced.replace(BODY),
        lambda: fenced.patch_status(CONFIG, {**BODY, "status": {}}),
        lambda: fenced.delete(CONFIG, "u"),
    ):
        with pytest.raises(LeaseLost):
            act()
    assert server.seen == []
    server.answer = sends(http(200, LIVE))
    fenced.get(CONFIG)
    fenced.apply(BODY, dry_run=True)
    assert len(server.seen) == 2


def test_a_missing_kind_is_asked_for_again_but_not_in_a_storm(server: Server, client: Client) -> None:
    for _ in range(20):
        with pytest.raises(ApiError) as error:
            client.get(ObjectRef("x.io", "Widget", "", "a"))
        assert error.value.kind is ErrorClass.KIND_MISSING
    assert server.seen == []


def test_a_group_that_cannot_be_listed_lacks_nothing(server: Server, client: Client) -> None:
    """Of a server without aggregated discovery; only what was read of a group says what it has not."""
    groups = [{"name": name, "versions": [{"groupVersion": f"{name}/v1"}]} for name in ("x.io", "y.io")]
    listed = {"/api": {"kind": "APIVersions", "versions": []}, "/apis": {"kind": "APIGroupList", "groups": groups}}
    server.discovery = lambda path: json.dumps(listed[path]).encode()
    answers = {"GET /apis/x.io/v1": http(503, b""), "GET /apis/y.io/v1": http(200, b'{"resources":[]}')}
    server.answer = lambda peer: peer.sendall(answers[server.seen[-1]])
    for group, kind in (
        ("x.io", ErrorClass.KIND_UNREAD),
        ("y.io", ErrorClass.KIND_MISSING),
        ("z.io", ErrorClass.KIND_MISSING),
    ):
        with pytest.raises(ApiError) as error:
            client.get(ObjectRef(group, "Widget", "", "a"))
        assert error.value.kind is kind


@pytest.mark.parametrize("name", ["../../secrets/x", "..", "", "a%2fb", "a/b"])
def test_names_cannot_climb_out_of_their_path(server: Server, client: Client, name: str) -> None:
    for ref in (ObjectRef("", "ConfigMap", "default", name), ObjectRef("", "ConfigMap", name, "a")):
        with pytest.raises(ApiError) as error:
            client.get(ref)
        assert error.value.kind is ErrorClass.INVALID
    assert server.seen == []


def test_no_configuration_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        edge.host(HostConfig(kubeconfig=str(tmp_path / "nothing")))


def test_a_request_without_an_answer_is_said_to_wait(client: Client) -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    assert not breaker.holds
    breaker.before()
    breaker.before()
    assert not breaker.holds
    now[0] = 1.5
    assert breaker.holds
    breaker.after("")  # one of the two was answered: the server lives
    assert not breaker.holds
    now[0] = 3.0
    assert breaker.holds
    breaker.after("the API server did not answer")
    now[0] = 5.0
    assert not breaker.holds


def test_a_look_at_the_pause_takes_no_probe() -> None:
    """The pause ended between the look and the refusal: the probe was taken, never sent, and no other was let through."""
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(2):
        breaker.before()
        breaker.after("the API server did not answer")
    with pytest.raises(ApiError):
        breaker.refuse()
    now[0] = 60.0
    breaker.refuse()
    breaker.before()


def test_two_failures_open_the_breaker_and_one_probe_closes_it(server: Server, client: Client) -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    transport = Transport(client.transport.api, guard=breaker, limits=Limits(deadline=0.5))
    call = Call("get", "GET", "/x")
    server.answer = drops
    for _ in range(2):
        with pytest.raises(ApiError):
            transport.send(call)
    server.seen.clear()
    with pytest.raises(ApiError) as error:
        transport.send(call)
    assert (server.seen, error.value.kind, breaker.is_open) == ([], ErrorClass.TRANSIENT, True)
    assert error.value.after and error.value.after >= 0.8
    now[0] = 2.0
    server.answer = sends(http(503, b""))  # a bad answer is an answer
    with pytest.raises(ApiError):
        transport.send(call)
    assert (len(server.seen), breaker.is_open) == (1, False)


def test_asking_whether_a_breaker_refuses_takes_no_probe() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(2):
        breaker.after("it refused the connection")
    with pytest.raises(ApiError) as refused:
        breaker.refuse()
    assert refused.value.after and refused.value.after >= 0.8
    now[0] = 2.0
    for _ in range(3):
        breaker.refuse()  # the pause is over: nothing is refused, and the probe is still to be had
    breaker.before()  # the probe
    with pytest.raises(ApiError):
        breaker.before()
    breaker.after("")
    breaker.before()
    assert not breaker.is_open


def test_an_answer_without_end_is_cut_off(server: Server, client: Client) -> None:
    def floods(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 X\r\n\r\n")
        while True:
            peer.sendall(b"x" * 65536)

    server.answer = floods
    small = Transport(client.transport.api, limits=Limits(size=1 << 20))
    with pytest.raises(ApiError) as error:
        small.send(Call("get", "GET", "/x"))
    assert error.value.kind is ErrorClass.TRANSIENT
    stream = small.stream(Call("watch", "GET", "/x"), deadline=5, silence=5)
    with pytest.raises(ApiError):
        list(stream)
