"""The sampler over a server in memory: what its watches show is what is kept, and what it did not watch is a gap."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reconciler.controller.sampler import WRITTEN, Clock, Sampler
from reconciler.errors import NidusError
from reconciler.inventory import usage as kept
from reconciler.kube.shape import Head
from reconciler.model import ObjectRef, Prices
from reconciler.report.metrics import Metrics
from reconciler.usage import items, uses
from reconciler.usage.days import Account, Charged, Day
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.shell import client
from tests.waiting import eventually

NAMESPACE = "nidus-system"
HOME = "vcluster-x"
START = 20_783 * 86_400.0 + 22 * 3600.0  # 2026-11-26 22:00
SYNCED = {"vcluster.loft.sh/managed-by": "x", uses.NAMESPACE: "web"}
ENGINE = {"app": "vcluster", "release": "x"}
PRICES = Prices(cpu="1", memory="1", storage="1", storage_classes={"fast": "2"}, load_balancer="1", control_plane="1")
HOUR = items.HOUR


class Hands:
    """Two clocks that a test moves, in seconds."""

    def __init__(self) -> None:
        self.steady, self.wall = 1000.0, START

    def clock(self) -> Clock:
        return Clock(lambda: self.steady, lambda: self.wall)

    def pass_(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds


class Scene:
    """Samplers one after another on one server."""

    def __init__(self) -> None:
        self.server, self.hands, self.metrics = Server(), Hands(), Metrics()
        self.charged: Mapping[str, Charged] = {HOME: Charged("x", {"team": "a"})}
        self.began: list[Sampler] = []
        for name in (NAMESPACE, HOME):
            self.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def begin(self) -> Sampler:
        """A sampler that watches everything."""
        made = Sampler(
            client(self.server), NAMESPACE, lambda: PRICES, lambda: self.charged, self.metrics, clock=self.hands.clock()
        )
        self.began.append(made)
        made.work()
        self.watches(made)
        return made

    def watches(self, sampler: Sampler) -> None:
        eventually(lambda: sampler._cache.stale_since is None)
        sampler.work()
        assert sampler._meter.runs

    def knows(self, sampler: Sampler, count: int) -> None:
        """The sampler has heard of so many objects that ask for something."""
        eventually(lambda: len(sampler._meter._objects) == count)

    def days(self) -> list[Day]:
        return [*kept.read(client(self.server), NAMESPACE, lambda day: True, ["2026-11"]).days]

    def uses(self) -> dict[tuple[str, str], float]:
        """Owner and item -> unit-hours of cluster x, over all days."""
        found: dict[tuple[str, str], float] = {}
        for day in self.days():
            for owner, rows in day.accounts.get("x", Account()).uses.items():
                for name, integral in rows.items():
                    one = items.item(name)
                    assert one is not None
                    found[owner, name] = found.get((owner, name), 0) + float(one.hours(integral))
        return found


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.server.heal()
    for sampler in made.began:
        sampler._cache.stop()


def pod(name: str, cpu: str, labels: Mapping[str, str] = SYNCED, namespace: str = HOME) -> dict[str, Any]:
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "n", "containers": containers},
    }


def claim(name: str, kind: str) -> dict[str, Any]:
    spec = {"storageClassName": kind, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name, "namespace": HOME, "labels": dict(SYNCED)}
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec, "status": status}


def service(name: str, kind: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": HOME, "labels": dict(SYNCED)}
    spec = {"type": kind, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def quota(cpu: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "x"}
    metadata = {"name": "nidus", "namespace": HOME, "labels": labels}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"requests.cpu": cpu}}}


def test_what_is_kept_is_what_the_watches_show(scene: Scene) -> None:
    for one in (
        pod("x-0", "200m", ENGINE),
        pod("shop", "500m"),
        quota("2"),
        service("lb", "LoadBalancer"),
        service("s", "ClusterIP"),
    ):
        scene.server.put(one)
    scene.server.put(claim("data", "fast"))
    scene.server.put(claim("data", "fast"), subresource="status")
    sampler = scene.begin()
    scene.knows(sampler, 5)
    scene.hands.pass_(3600)
    scene.server.put(pod("shop-2", "1"))
    scene.knows(sampler, 6)
    scene.hands.pass_(2 * 3600)  # beyond midnight
    sampler.end()
    assert scene.uses() == pytest.approx({
        ("", "cpu"): 0.6, ("", "controlPlane"): 3, ("", "idleCpu"): 1.3 + 2 * 0.3,
        ("web", "cpu"): 3.5, ("web", "loadBalancer"): 3, ("web", "storage/fast"): 3,
    })  # fmt: skip
    assert [(day.day, day.seen) for day in scene.days()] == [("2026-11-26", 2 * HOUR), ("2026-11-27", HOUR)]
    assert [day.accounts["x"].labels for day in scene.days()] == [{"team": "a"}] * 2
    text = scene.metrics.text().decode()
    assert 'nidus_usage_cpu_core_seconds_total{cluster="x",team="a"} 14760.0' in text
    assert "nidus_usage_measured_seconds_total 10800.0" in text


def test_what_sleep_saves_is_kept_and_counted_nowhere_else(scene: Scene) -> None:
    scene.server.put(pod("x-0", "200m", ENGINE))
    scene.server.put(pod("shop", "800m"))
    sampler = scene.begin()
    scene.knows(sampler, 2)
    scene.hands.pass_(3600)
    sampler.work()  # as it is awake
    scene.charged = {HOME: Charged("x", {"team": "a"}, asleep=True)}
    for name in ("shop", "x-0"):
        scene.server.delete("", "Pod", HOME, name, gracePeriodSeconds=0)
    scene.knows(sampler, 0)
    scene.hands.pass_(61)
    sampler.work()  # from here on it is known to sleep
    scene.hands.pass_(3600)
    sampler.end()
    assert scene.uses() == pytest.approx({
        ("", "cpu"): 0.2, ("web", "cpu"): 0.8, ("", "controlPlane"): 1, ("", "saved/cpu"): 1, ("", "saved/controlPlane"): 1,
    })  # fmt: skip
    assert 'nidus_usage_cpu_core_seconds_total{cluster="x",team="a"} 3600.0' in scene.metrics.text().decode()
    assert "storage_byte_seconds_total{" not in scene.metrics.text().decode()


def test_a_pod_that_ends_or_goes_counts_no_longer(scene: Scene) -> None:
    scene.server.put(pod("job", "1"))
    scene.server.put(pod("gone", "1"))
    sampler = scene.begin()
    scene.knows(sampler, 2)
    scene.hands.pass_(1800)
    scene.server.put({**pod("job", "1"), "status": {"phase": "Succeeded"}}, subresource="status")
    scene.server.delete("", "Pod", HOME, "gone", gracePeriodSeconds=0)
    scene.knows(sampler, 0)
    scene.hands.pass_(3600)
    sampler.end()
    assert scene.uses() == {("web", "cpu"): 1}


def test_what_was_not_written_is_a_gap_after_a_crash(scene: Scene) -> None:
    scene.server.put(pod("shop", "1"))
    first = scene.begin()
    scene.knows(first, 1)
    scene.hands.pass_(WRITTEN + 1)
    first.work()  # written
    scene.hands.pass_(300)
    first._cache.stop()  # kill -9: the 300 s since are lost
    scene.hands.pass_(3600)
    second = scene.begin()
    scene.knows(second, 1)
    scene.hands.pass_(600)
    second.end()
    seen = sum(day.seen for day in scene.days())
    assert seen == (WRITTEN + 1 + 600) * 1000
    assert scene.uses()["web", "cpu"] == pytest.approx(seen / HOUR)


def test_a_stop_loses_nothing(scene: Scene) -> None:
    scene.server.put(pod("shop", "1"))
    for _ in range(2):
        sampler = scene.begin()
        scene.knows(sampler, 1)
        scene.hands.pass_(3600)
        sampler.end()
    assert sum(day.seen for day in scene.days()) == 2 * HOUR and scene.uses() == {("web", "cpu"): 2}


def test_while_the_host_is_not_watched_nothing_counts(scene: Scene) -> None:
    scene.server.put(pod("shop", "1"))
    sampler = scene.begin()
    scene.knows(sampler, 1)
    scene.hands.pass_(60)
    scene.server.fail(answer(500), on("list", "watch", kind="Pod"), times=None)
    for stream in scene.server.watches():
        stream.close()
    eventually(lambda: sampler._cache.stale_since is not None)
    sampler.work()
    assert not sampler._meter.runs
    scene.hands.pass_(3600)
    sampler.work()
    scene.server.delete("", "Pod", HOME, "shop", gracePeriodSeconds=0)
    scene.hands.pass_(3600)
    scene.server.heal()
    scene.knows(sampler, 0)
    scene.watches(sampler)
    scene.hands.pass_(60)
    sampler.end()
    assert sum(day.seen for day in scene.days()) == 120_000
    assert scene.uses()["web", "cpu"] == pytest.approx(60 / 3600)


def test_a_step_of_the_clock_changes_no_length(scene: Scene) -> None:
    scene.server.put(pod("shop", "1"))
    sampler = scene.begin()
    scene.knows(sampler, 1)
    scene.hands.pass_(3600)
    sampler.work()
    scene.hands.wall += 30 * 3600
    scene.hands.pass_(3600)
    sampler.work()
    scene.hands.wall -= 30 * 3600
    scene.hands.pass_(3600)
    sampler.end()
    assert scene.uses() == {("web", "cpu"): 3}
    assert [(day.day, day.seen) for day in scene.days()] == [
        ("2026-11-26", HOUR),
        ("2026-11-27", HOUR),
        ("2026-11-28", HOUR),
    ]


def test_labels_that_somebody_forges_elsewhere_count_for_nobody(scene: Scene) -> None:
    scene.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    scene.server.put(pod("forged", "1", namespace="other"))
    scene.server.put(pod("both", "1", {**SYNCED, **ENGINE}))  # a tenant's pod with the labels of an engine counts once
    sampler = scene.begin()
    scene.knows(sampler, 2)
    scene.hands.pass_(3600)
    sampler.end()
    assert scene.uses() == {("web", "cpu"): 1}


def test_a_cluster_that_is_gone_is_counted_to_its_end(scene: Scene) -> None:
    scene.server.put(pod("shop", "1"))
    sampler = scene.begin()
    scene.knows(sampler, 1)
    scene.hands.pass_(61)
    sampler.work()
    scene.hands.pass_(30)
    scene.charged = {}
    sampler.end()
    assert scene.uses()["web", "cpu"] == pytest.approx(91 / 3600)


def test_one_day_that_cannot_be_written_stops_no_other(scene: Scene) -> None:
    bad = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": kept.name_of("2026-11-26"), "namespace": NAMESPACE},
    }
    scene.server.put(bad)
    scene.server.put(pod("shop", "1"))
    sampler = scene.begin()
    scene.knows(sampler, 1)
    scene.hands.pass_(4 * 3600)
    sampler.end()
    assert [day.day for day in scene.days()] == ["2026-11-27"]
    scene.server.delete("", "ConfigMap", NAMESPACE, kept.name_of("2026-11-26"))
    sampler._write()  # as at the next turn, had it not ended
    assert scene.uses() == {("web", "cpu"): 4}


@pytest.mark.parametrize(
    "raw",
    [b'{"spec": []}', b"{}", b'{"spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "x"}}}]}}'],
)
def test_an_object_of_another_shape_asks_for_nothing(scene: Scene, raw: bytes) -> None:
    sampler = Sampler(client(scene.server), NAMESPACE, lambda: PRICES, lambda: {}, scene.metrics)
    assert sampler._slim(Head(ObjectRef("", "Pod", HOME, "odd"), "u", "1", SYNCED), raw) == b""


def test_a_write_that_failed_is_tried_again_within_minutes(scene: Scene) -> None:
    scene.server.put(pod("shop", "1"))
    sampler = scene.begin()
    scene.knows(sampler, 1)
    scene.server.fail(answer(403), on("create", kind="ConfigMap"))
    scene.hands.pass_(WRITTEN + 1)
    with pytest.raises(NidusError):
        sampler.work()
    scene.hands.pass_(61)
    sampler.work()
    assert sum(day.seen for day in scene.days()) == (WRITTEN + 62) * 1000


def test_a_team_that_changes_leaves_no_series_behind() -> None:
    metrics = Metrics()
    for team in ("a", "b", "c"):
        metrics.used(Day("2026-11-26", HOUR, accounts={"x": Account({"team": team}, {"": {"controlPlane": HOUR}})}))
    lines = [
        line
        for line in metrics.text().decode().splitlines()
        if line.startswith("nidus_usage_control_plane_seconds_total")
    ]
    assert lines == ['nidus_usage_control_plane_seconds_total{cluster="x",team="c"} 3600.0']
