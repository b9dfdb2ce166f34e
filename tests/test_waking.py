"""A cluster that was woken is Ready when its pods run, and not by what its workloads said before the sleep (O5)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.memory import actors
from tests.memory.failures import answer, on
from tests.passes import Fleet, cluster, pack, profile
from tests.test_sleep import ASLEEP, goes, pod

LABELS = {"app": "web"}
RUNS = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def web(kind: str = "Deployment", replicas: int = 2) -> dict[str, Any]:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    spec |= {"serviceName": "web"} if kind == "StatefulSet" else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": spec}


def files(kind: str = "Deployment", **spec: Any) -> dict[str, str]:
    return {"p.yaml": profile(pack("base", web(kind))), "a.yaml": cluster("a", **spec)}


def inside(fleet: Fleet, name: str) -> str:
    """A Ready pod inside; returns its UID."""
    meta = {"name": name, "namespace": "web", "labels": LABELS}
    spec = {"containers": [{"name": "c", "image": "c"}]}
    made = fleet.nested["a"].put({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    fleet.nested["a"].put({**made, "status": RUNS}, subresource="status")
    return str(made["metadata"]["uid"])


def synced(fleet: Fleet, name: str, uid: str) -> None:
    """The pod on the host of one inside."""
    pod(fleet, f"{name}-x-web-x-a", {"vcluster.loft.sh/managed-by": "a"})
    live = fleet.host.get("", "Pod", "vcluster-a", f"{name}-x-web-x-a")
    assert live is not None
    notes = {"vcluster.loft.sh/object-uid": uid}
    fleet.host.put({**live, "metadata": {**live["metadata"], "annotations": notes}})


def runs(fleet: Fleet, *names: str) -> None:
    for name in names:
        synced(fleet, name, inside(fleet, name))


@pytest.fixture(params=["Deployment", "StatefulSet"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def woken(kind: str) -> Iterator[Fleet]:
    """A cluster with two pods inside that slept and was woken; its workload still says that both are Ready."""
    fleet = Fleet()
    try:
        fleet.push(files(kind))
        fleet.run()
        runs(fleet, "old-0", "old-1")
        ready(fleet)
        assert fleet.word("a") == "Ready", fleet.condition("a")
        pod(fleet, "a-0", {"app": "vcluster", "release": "a"})
        fleet.push(files(kind, sleep=ASLEEP))
        fleet.run()
        goes(fleet)
        fleet.run()
        assert fleet.word("a") == "Asleep", fleet.condition("a")
        fleet.push(files(kind))
        fleet.run()
        yield fleet
    finally:
        fleet.close()


def ready(fleet: Fleet) -> None:
    actors.roll_out(fleet.nested["a"])
    fleet.queue.add("a")
    fleet.run()


def test_it_is_not_ready_by_what_its_workloads_said_before(woken: Fleet, kind: str) -> None:
    assert woken.word("a") == "Progressing"
    assert woken.layer("a", "web/base").message == f"{kind}.apps/web/web: 0 of 2 pods run since it woke"
    assert "a" in woken.watched


def test_it_is_ready_once_as_many_pods_run_on_the_host(woken: Fleet) -> None:
    for name in ("old-0", "old-1"):
        woken.nested["a"].delete("", "Pod", "web", name)
    runs(woken, "new-0")
    woken.queue.add("a")
    woken.run()
    assert "1 of 2 pods" in woken.layer("a", "web/base").message
    runs(woken, "new-1")
    woken.queue.add("a")
    woken.run()
    assert woken.word("a") == "Ready"


def test_pods_that_cannot_be_counted_are_not_taken_for_running(woken: Fleet) -> None:
    woken.nested["a"].fail(answer(403), on("list", kind="Pod"), times=None)
    woken.queue.add("a")
    woken.run()
    assert woken.word("a") == "Progressing"
    assert "its pods are not known" in woken.layer("a", "web/base").message


def test_a_cluster_that_is_up_counts_no_pods(woken: Fleet) -> None:
    runs(woken, "new-0", "new-1")
    woken.queue.add("a")
    woken.run()
    assert woken.word("a") == "Ready"
    woken.nested["a"].fail(answer(403), on("list", kind="Pod"), times=None)
    woken.queue.add("a")
    woken.run()
    assert woken.word("a") == "Ready"
