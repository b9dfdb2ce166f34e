"""`nidus workloads` through a real forward into a nested API server, and the rows of objects that a tenant wrote."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from reconciler.__main__ import main
from reconciler.report.workloads import KINDS, Workload, row
from tests.answering import http, kubeconfig
from tests.forwarding_memory import MemoryHost, furnished
from tests.memory.server import Server as Memory
from tests.nested_server import NestedServer, waits

LABELS = {"a": "b"}
CONTAINER = {"name": "c", "image": "ghcr.io/x/shop:1", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}


def made(kind: str, name: str, spec: Any = None, status: Any = None, namespace: str = "web") -> dict[str, Any]:
    group, version = KINDS[kind][0], "v1"
    meta: dict[str, Any] = {"name": name} | ({} if kind == "Namespace" else {"namespace": namespace})
    body: dict[str, Any] = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind, "metadata": meta}
    return body | ({} if spec is None else {"spec": spec}) | ({} if status is None else {"status": status})


POD = made(
    "Pod",
    "shop-1",
    {"containers": [CONTAINER]},
    {
        "phase": "Running",
        "containerStatuses": [
            {"name": "c", "ready": False, "restartCount": 5, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        ],
    },
)
DEPLOYMENT = made(
    "Deployment",
    "shop",
    {"replicas": 3, "selector": {"matchLabels": LABELS},
     "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}},
    {"readyReplicas": 1, "replicas": 3, "observedGeneration": 1},
)  # fmt: skip
SERVICE = made("Service", "shop", {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}]})


class Scene:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.inside, self.capsys = Memory("red"), capsys
        self.nested = NestedServer(folder)
        self.nested.behave = self.answers
        outside = Memory("host")
        furnished(outside, self.nested)
        self.host = MemoryHost(outside, self.nested)
        self.config = kubeconfig(folder, self.host.url)

    def answers(self, peer: socket.socket, request: str) -> None:
        method, target, _ = request.split()
        parts = urlsplit(target)
        told = self.inside.request(method, parts.path, dict(parse_qsl(parts.query)), {})
        peer.sendall(http(told.status, told.body))

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        assert main(["workloads", *words, "--kubeconfig", str(self.config)]) == code
        told = self.capsys.readouterr()
        return told.out, told.err


@pytest.fixture
def scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Scene]:
    one = Scene(tmp_path, capsys)
    for obj in (made("Namespace", "web"), DEPLOYMENT, POD, SERVICE):
        one.inside.put(obj)
        if "status" in obj:
            one.inside.put(obj, subresource="status")
    yield one
    one.host.close()
    one.nested.close()


def test_what_runs_inside(scene: Scene) -> None:
    lines = scene.run("red")[0].splitlines()
    assert lines[0].split() == [
        "KIND",
        "NAMESPACE",
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "CPU",
        "MEMORY",
        "AGE",
        "DETAIL",
    ]
    told = {tuple(line.split()[:3]): line.split() for line in lines[1:]}
    assert told["Deployment", "web", "shop"][3:8] == ["1/3", "InProgress", "-", "750m", "192Mi"]
    assert told["Pod", "web", "shop-1"][3:8] == ["0/1", "CrashLoopBackOff", "5", "250m", "64Mi"]
    assert told["Service", "web", "shop"][-2:] == ["ClusterIP", "80/TCP"]
    assert ("Namespace", "-", "web") in told
    assert not [line for line in scene.nested.seen if not line.startswith("GET ")]


def test_one_kind_and_one_namespace(scene: Scene) -> None:
    scene.inside.put(made("Namespace", "other"))
    scene.inside.put(made("Pod", "elsewhere", {"containers": [CONTAINER]}, namespace="other"))
    body = json.loads(scene.run("red", "--kind", "pods", "-n", "web", "-o", "json")[0])
    (pod,) = body["workloads"]
    assert (pod["name"], pod["images"], pod["restarts"], body["unread"]) == ("shop-1", ["ghcr.io/x/shop:1"], 5, [])
    assert scene.run("red", "--kind", "daemonset")[0] == "nothing runs there\n"
    assert "one of Namespace, Deployment" in scene.run("red", "--kind", "Podd", code=64)[1]


def test_a_server_that_is_dead_or_refuses_is_one_sentence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.nested.behave = lambda peer, request: peer.shutdown(socket.SHUT_RDWR)
    out, error = scene.run("red", code=1)
    assert not out and error.startswith("error: the API server of red does not answer: ") and "nidus why red" in error
    monkeypatch.setattr("reconciler.verbs.workloads.SECONDS", 0.9)
    scene.nested.behave = lambda peer, request: waits(peer)
    assert scene.run("red", code=1)[1].startswith("error: the API server of red does not answer: ")
    assert "no nested cluster blue" in scene.run("blue", code=1)[1]


def test_one_kind_that_is_hostile_leaves_the_others(scene: Scene) -> None:
    usual = scene.answers

    def hostile(peer: socket.socket, request: str) -> None:
        if "/pods" in request:
            peer.sendall(
                http(
                    200,
                    b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":7}]}',
                )
            )
        else:
            usual(peer, request)

    scene.nested.behave = hostile
    out, error = scene.run("red")
    assert "Deployment" in out and error.startswith("note: Pod cannot be listed: ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "odd", [None, 7, "x", [], [7], {"replicas": "many", "ports": [7], "rules": [{"host": 3}], "containers": 5}]
)
def test_fields_of_any_type_are_a_row(kind: str, odd: Any) -> None:
    found = row(made(kind, "a\x1b[31m", odd, odd))
    assert isinstance(found, Workload) and found.kind == kind and found.name.isprintable() and found.cpu == 0


def test_requests_that_are_none_are_nothing() -> None:
    odd = {**CONTAINER, "resources": {"requests": {"cpu": ["1"]}}}
    assert row(made("Pod", "a", {"containers": [odd]})).cpu == 0
    assert row(made("CronJob", "a", {"schedule": "0 2 * * *", "suspend": True})).status == "Suspended"
