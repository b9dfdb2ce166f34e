"""Workloads of a cluster in the browser: read through a real forward into a nested API server that works, hangs and lies; for who may see
them."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient

from dashboard import inside
from reconciler.controller import insides
from reconciler.controller.insides import Insides
from reconciler.errors import Unavailable
from reconciler.kube import edge
from reconciler.model import HostConfig
from reconciler.report.workloads import Inside, Workload
from tests.answering import http, kubeconfig
from tests.dashboard.scene import NOW, TOKENS, Known, door, home
from tests.dashboard.scenery import fill
from tests.forwarding_memory import SYSTEM, MemoryHost, furnished
from tests.memory.server import Server as Memory
from tests.nested_server import NestedServer, waits
from tests.test_workloads import DEPLOYMENT, POD, SERVICE, made


class Scene:
    """A host with one nested cluster, red."""

    def __init__(self, folder: Path) -> None:
        self.inside, self.nested, self.now = Memory("red"), NestedServer(folder), 100.0
        for obj in (made("Namespace", "web"), DEPLOYMENT, POD, SERVICE):
            self.inside.put(obj)
        self.nested.behave = self.answers
        outside = Memory("host")
        furnished(outside, self.nested)
        self.host = MemoryHost(outside, self.nested)
        client = edge.host(HostConfig(kubeconfig=str(kubeconfig(folder, self.host.url))))
        self.insides = Insides(client.within(2.0), SYSTEM, direct=False, clock=lambda: self.now)

    def answers(self, peer: socket.socket, request: str) -> None:
        method, target, _ = request.split()
        parts = urlsplit(target)
        told = self.inside.request(method, parts.path, dict(parse_qsl(parts.query)), {})
        peer.sendall(http(told.status, told.body))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(tmp_path)
    yield one
    one.host.close()
    one.nested.close()


def names(found: Inside) -> list[tuple[str, str]]:
    return [(one.kind, one.name) for one in found.rows]


def test_it_is_read_once_for_a_while_and_nothing_is_written(scene: Scene) -> None:
    found = scene.insides.workloads("red")
    assert {("Namespace", "web"), ("Deployment", "shop"), ("Pod", "shop-1"), ("Service", "shop")} <= set(names(found))
    assert found.notes == ()
    asked = len(scene.nested.seen)
    assert scene.insides.workloads("red") is found and len(scene.nested.seen) == asked
    assert names(scene.insides.workloads("red", "Pod")) == [("Pod", "shop-1")]
    scene.now += insides.KEPT
    scene.inside.put(made("Pod", "later", {"containers": []}))
    assert ("Pod", "later") in names(scene.insides.workloads("red"))
    assert not [line for line in scene.nested.seen if not line.startswith("GET ")]
    assert not [line for line in scene.host.seen if not line.startswith(("GET ", "POST "))]


def test_what_cannot_be_read_is_a_sentence_and_is_not_asked_again_at_once(scene: Scene) -> None:
    scene.nested.behave = lambda peer, request: peer.shutdown(socket.SHUT_RDWR)
    (note,) = scene.insides.workloads("red").notes
    assert note.startswith("it cannot be read: ")
    scene.nested.behave = scene.answers
    assert scene.insides.workloads("red").notes == (note,)
    assert scene.insides.workloads("blue").notes == ("it cannot be read: it has no namespace yet",)


def test_one_kind_that_lies_leaves_the_others(scene: Scene) -> None:
    def hostile(peer: socket.socket, request: str) -> None:
        if "/pods" in request:
            peer.sendall(http(200, b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":7}]}'))
        else:
            scene.answers(peer, request)

    scene.nested.behave = hostile
    found = scene.insides.workloads("red")
    assert ("Deployment", "shop") in names(found) and [one.partition(":")[0] for one in found.notes] == ["Pod"]


def test_only_the_first_of_many_are_read(scene: Scene) -> None:
    for number in range(insides.EACH + 5):
        scene.inside.put(made("Service", f"s{number:04}", {"type": "ClusterIP"}))
    found = scene.insides.workloads("red", "Service")
    assert len(found.rows) == insides.EACH and found.notes == (f"Service: the first {insides.EACH} are shown",)


def test_a_server_that_hangs_holds_one_reader_and_nobody_else(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def hangs(peer: socket.socket, request: str) -> None:
        begun.set()
        waits(peer)

    scene.nested.behave = hangs
    told: list[Inside] = []
    first = threading.Thread(target=lambda: told.append(scene.insides.workloads("red")))
    first.start()
    assert begun.wait(60)
    with pytest.raises(Unavailable, match="it is being read"):
        scene.insides.workloads("red", "Pod")
    assert scene.insides.workloads("blue").notes == ("it cannot be read: it has no namespace yet",)
    monkeypatch.setattr(insides, "AT_ONCE", 1)
    with pytest.raises(Unavailable, match="other clusters are being read"):
        scene.insides.workloads("green")
    first.join(60)
    assert told and told[0].notes[0].startswith("it cannot be read: ") and told[0].rows == ()


# The page


@pytest.fixture
def known() -> Known:
    return fill(Known())


def browsing(known: Known, who: str, *rights: tuple[str, str, str]) -> FlaskClient:
    server = home()
    server.rights |= set(rights)
    browser = known.app(door(server)).test_client()
    browser.post("/sign-in", data={"token": TOKENS[who]}, headers={"Origin": "http://localhost"})
    return browser


def test_who_may_get_a_cluster_does_not_see_what_runs_inside(known: Known) -> None:
    link = 'href="/clusters/payments/workloads"'
    get = ("tom", "get", "payments")
    for rights, status in (
        ((get,), 403),
        ((get, ("tom", "workloads", "docs")), 403),
        ((get, ("tom", "workloads", "payments")), 200),
    ):
        browser = browsing(known, "tom", *rights)
        found = browser.get("/clusters/payments/workloads")
        assert found.status_code == status and (b"checkout" in found.data) is (status == 200)
        assert (link in browser.get("/clusters/payments").get_data(as_text=True)) is (status == 200)
    assert (
        browsing(known, "tom", ("tom", "workloads", "payments")).get("/clusters/payments/workloads").status_code == 404
    )


def test_kinds_and_namespaces_are_chosen(known: Known) -> None:
    browser = browsing(known, "ada")

    def rows(question: str) -> int:
        return browser.get(f"/clusters/payments/workloads{question}").get_data(as_text=True).count('<th scope="row">')

    assert [rows(one) for one in ("", "?kind=Pod", "?in=web", "?in=other", "?kind=Nothing", "?kind=Pod&in=web")] == [
        3,
        1,
        3,
        0,
        3,
        1,
    ]


def test_while_another_one_is_read_the_page_says_so(known: Known) -> None:
    def busy(name: str, kind: str) -> Inside:
        raise Unavailable("another cluster is being read at the moment")

    known.inside = busy  # type: ignore[method-assign]
    found = browsing(known, "ada").get("/clusters/payments/workloads")
    assert found.status_code == 200 and b"asks again in a few seconds" in found.data


@pytest.mark.parametrize("text", ["&" * 300, "<script>alert(1)</script>" * 20, "\u202e\u0000" * 90])
def test_any_names_of_a_tenant_are_a_small_page(known: Known, text: str) -> None:
    known.workloads["payments"] = [Workload("Pod", text, text, text, text, 1, 1, 1, (text,) * 20, text, text)] * 2000
    found = browsing(known, "ada").get("/clusters/payments/workloads").get_data(as_text=True)
    assert len(found.encode()) < 100_000 and "<script>alert" not in found and "of 2000;" in found


def test_a_table_says_how_many_there_are() -> None:
    found = [Workload("Pod", f"n{number % 3}", f"p{number}") for number in range(9)]
    shown = inside.table(found, "n1", NOW)
    assert (shown.count, [row[2] for row in shown.rows]) == (3, ["p1", "p4", "p7"])
