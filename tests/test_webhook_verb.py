"""`nidus webhook`: a test delivery of every forge against a real listener, and the log of one and of several replicas."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from reconciler.__main__ import main
from reconciler.controller.service import Service
from reconciler.verbs import deliveries
from tests.forwarding_memory import MemoryHost
from tests.test_service import House, house, server
from tests.test_webhooks import MAIN, SECRET, configured, deliver
from tests.waiting import until
from webhook.app import Route, create_app
from webhook.deliveries import Sync
from webhook.forges import FORGES, Delivery
from webhook.server import serve

__all__ = ["house", "server"]


@dataclass(frozen=True, slots=True)
class Listener:
    """A webhook of every forge; `told` is what they were told."""

    port: int
    secret: Path
    told: list[Delivery]


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    file, told = tmp_path_factory.mktemp("hook") / "secret", list[Delivery]()
    file.write_bytes(SECRET + b"\n")

    def mark(source: str, delivery: Delivery) -> int:
        told.append(delivery)
        return 0 if "refs/heads/other" in delivery.refs else 1

    routes = {name: Route(name, name, lambda: (SECRET,)) for name in FORGES}
    served = serve(create_app(routes, mark), "127.0.0.1:0")
    yield Listener(served.port, file, told)
    served.stop()


def send(listener: Listener, forge: str, *more: str, secret: Path | None = None) -> int:
    url = f"http://127.0.0.1:{listener.port}/webhook/{forge}"
    return main(
        ["webhook", "send", "--forge", forge, "--url", url, "--secret-file", str(secret or listener.secret), *more]
    )


@pytest.mark.parametrize("forge", FORGES)
def test_a_test_delivery_is_signed_as_each_forge_signs(
    listener: Listener, forge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listener.told.clear()
    assert send(listener, forge) == 0
    assert send(listener, forge, "--change", "7") == 0
    assert send(listener, forge, "--branch", "other") == 0
    assert listener.told == [MAIN, Delivery("change", number=7), Delivery("push", ("refs/heads/other",))]
    out = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in out] == ["202:", "202:", "200:"] and "nothing to do" in out[2]


def test_a_ping_tests_the_secret_alone(listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    listener.told.clear()
    assert send(listener, "github", "--ping") == 0
    assert listener.told == []
    assert send(listener, "gitlab", "--ping") == 64
    assert "gitlab sends no such event" in capsys.readouterr().err


def test_a_wrong_secret_fails_and_says_what_the_answer_means(
    listener: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.write_text("another secret of thirty-two bytes!")
    assert send(listener, "github", secret=other) == 1
    assert capsys.readouterr().out.startswith("401: the signature or password is missing")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--forge", "githup"], "did you mean github?"),
        (["--url", "file:///etc/passwd"], "is no address"),
        (["--secret-file", "/nowhere"], "cannot be read"),
        (["--change", "0"], "1 or more"),
    ],
)
def test_wrong_words_are_told(
    listener: Listener, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = send(listener, "github", *words)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 64 and said in capsys.readouterr().err


def test_a_short_secret_is_not_sent(listener: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = tmp_path / "short"
    short.write_text("short")
    assert send(listener, "github", secret=short) == 64
    assert "has 5 bytes, at least 32 are needed" in capsys.readouterr().err


def test_nobody_there_is_one_sentence(listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    assert (
        main(
            [
                "webhook",
                "send",
                "--forge",
                "github",
                "--url",
                f"http://127.0.0.1:{port}/",
                "--secret-file",
                str(listener.secret),
            ]
        )
        == 1
    )
    assert "does not answer" in capsys.readouterr().err


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a server that answers one request so. It closes when the other side does: what it had not read would reset the
    connection, and the answer with it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as here:

        def serve_once() -> None:
            peer, _ = here.accept()
            with closing(peer), suppress(OSError):
                peer.recv(1 << 16)
                peer.sendall(answer)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1 << 16):
                    pass

        threading.Thread(target=serve_once, daemon=True).start()
        yield here.getsockname()[1]


def test_what_is_signed_follows_no_redirect(listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    to = f"http://127.0.0.1:{listener.port}/webhook/github"
    with answering(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n".encode()) as port:
        listener.told.clear()
        url = f"http://127.0.0.1:{port}/webhook/github"
        assert main(["webhook", "send", "--forge", "github", "--url", url, "--secret-file", str(listener.secret)]) == 1
    assert capsys.readouterr().out.startswith("302") and listener.told == []


# The log


def pushed(house: House, tmp_path: Path) -> tuple[Service, str]:
    """A controller that took a delivery and read what it announced."""
    service = house.leads(webhook=configured(tmp_path))
    commit = house.work.commit({"README.md": "pushed\n"})
    assert deliver(service.ports["webhook"]) == 202
    assert deliver(service.ports["webhook"], Delivery("change", number=7)) == 200
    assert until(lambda: commit in service.reporter.sources["platform"].revision)
    return service, commit


def test_the_log_of_a_controller_on_this_machine(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service, commit = pushed(house, tmp_path)
    capsys.readouterr()
    address = f"127.0.0.1:{service.internal_port}"
    assert main(["webhook", "log", "--address", address]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["TIME", "SOURCE", "EVENT", "WHAT", "VERDICT", "REVISION"]
    assert lines[1][1:] == ["platform", "push", "refs/heads/main", "marked", f"main@{commit[:7]}"]
    assert lines[2][1:] == ["platform", "change", "#7", "nothing", "to", "do", "-"]
    assert main(["webhook", "log", "platform", "--last", "1", "-o", "json", "--address", address]) == 0
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)["deliveries"]] == ["change"]
    assert main(["webhook", "log", "other", "--address", address]) == 1
    assert "hint: there is platform" in capsys.readouterr().err


def test_the_log_of_pods_through_the_host(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service, _ = pushed(house, tmp_path)
    metadata = {"name": "nidus-0", "namespace": "nidus-system", "labels": {"app.kubernetes.io/name": "nidus"}}
    spec = {"containers": [{"name": "nidus", "image": "nidus"}]}
    with closing(MemoryHost(house.server)) as host:
        host.nested["nidus-system"] = _Far(("127.0.0.1", service.internal_port))  # type: ignore[assignment]
        config = yaml.safe_load(house.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = host.url
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        assert main(["webhook", "log", "--kubeconfig", str(file)]) == 1
        assert "no pod of the controller in namespace nidus-system" in capsys.readouterr().err
        house.server.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        assert main(["webhook", "log", "--kubeconfig", str(file)]) == 0
    assert "refs/heads/main" in capsys.readouterr().out


@dataclass(frozen=True, slots=True)
class _Far:
    address: tuple[str, int]


def entry(at: str, generation: int) -> deliveries.Entry:
    return deliveries.Entry(at, "push", "marked", ("refs/heads/main",), 2, 0, generation, "")


def replica(
    entries: tuple[deliveries.Entry, ...], syncs: tuple[Sync, ...] = (), refused: int = 0
) -> deliveries.Webhook:
    told = deliveries.Refused(refused, "2026-11-27T01:00:00.000Z" if refused else "")
    return deliveries.Webhook("platform", "/webhook/platform", "github", "", told, entries, syncs)


def test_replicas_are_one_log_in_the_order_of_time() -> None:
    """A standby knows no syncs: the leader's say what was read after its deliveries."""
    standby = replica((entry("2026-11-27T01:00:01.000Z", 5), entry("2026-11-27T01:00:03.000Z", 9)), refused=3)
    leader = replica((entry("2026-11-27T01:00:02.000Z", 7),), (Sync(7, "main@sha1:" + "a" * 40),))
    text = deliveries.shown(
        deliveries.Found((standby, leader), ("pod nidus-2 cannot be asked: gone",)), "", 50, "table"
    )
    rows = [line.split("   ") for line in text.splitlines()]
    assert [row[-1].strip() for row in rows[:4]] == ["REVISION", "main@aaaaaaa", "main@aaaaaaa", "-"]
    assert "refs/heads/main and 2 more" in text.splitlines()[1]
    assert rows[4] == [
        "note: platform: 3 deliveries were not signed with its secret and answered 401, the last at 2026-11-27T01:00:00.000Z"
    ]
    assert rows[5] == ["note: pod nidus-2 cannot be asked: gone"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, b"\xff\xfe\r\n\r\n",
     b"HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n", b'HTTP/1.1 200 OK\r\n\r\n{"webhooks": [{"source": 1}]}'],
)  # fmt: skip
def test_what_is_no_controller_is_one_sentence(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(answer) as port:
        assert main(["webhook", "log", "--address", f"127.0.0.1:{port}"]) == 1
    assert capsys.readouterr().err.count("error:") == 1
