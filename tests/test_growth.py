"""A control plane's volumes grow, or the growth is refused before anything is written; the template stays, so nothing is replaced later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.memory.failures import answer, on
from tests.passes import Fleet, cluster, config_map, pack, profile
from tests.test_sleep import engine

QUOTA = {"cpu": "2", "memory": "2Gi", "storage": "10Gi"}


def files(size: str = "5Gi", store: str = "sqlite", **spec: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text="one")))
    plane = {"store": {"type": store, "size": size}}
    return {"p.yaml": packs, "a.yaml": cluster("a", controlPlane=plane, quota=QUOTA, **spec)}


def offer(fleet: Fleet, *, grows: bool = True) -> None:
    one = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}}
    fleet.host.put({**one, "provisioner": "example.com/disks", "allowVolumeExpansion": grows})


def claim(fleet: Fleet, name: str = "data-a-0", size: str = "5Gi") -> None:
    """What the controllers of the host make of a template."""
    meta = {"name": name, "namespace": "vcluster-a"}
    spec = {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
    fleet.host.put(body, manager="kube-controller-manager")
    has(fleet, name, size)


def has(fleet: Fleet, name: str, size: str) -> None:
    live = there(fleet, name)
    status = {"phase": "Bound", "capacity": {"storage": size}}
    fleet.host.put({**live, "status": status}, manager="kube-controller-manager", subresource="status")


def there(fleet: Fleet, name: str = "data-a-0") -> Any:
    found = fleet.host.get("", "PersistentVolumeClaim", "vcluster-a", name)
    assert found is not None
    return found


def asks(fleet: Fleet, name: str = "data-a-0") -> str:
    return str(there(fleet, name)["spec"]["resources"]["requests"]["storage"])


def storage(fleet: Fleet) -> Any:
    return fleet.reporter.clusters["a"].life.storage


def template(fleet: Fleet, name: str = "a") -> str:
    live = fleet.host.get("apps", "StatefulSet", "vcluster-a", name)
    assert live is not None
    return str(live["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"])


def limit(fleet: Fleet) -> str:
    live = next(
        one
        for one in fleet.host.objects("", "ResourceQuota", "vcluster-a")
        if "requests.storage" in one["spec"]["hard"]
    )
    return str(live["spec"]["hard"]["requests.storage"])


def written(fleet: Fleet) -> set[tuple[str, str, str]]:
    """All of the cluster's host side, as it was written last."""
    kinds = (
        ("", "PersistentVolumeClaim"),
        ("", "Secret"),
        ("", "Service"),
        ("apps", "StatefulSet"),
        ("", "ResourceQuota"),
    )
    found = [(kind, one["metadata"]) for group, kind in kinds for one in fleet.host.objects(group, kind, "vcluster-a")]
    return {(kind, meta["name"], meta["resourceVersion"]) for kind, meta in found}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    made.push(files())
    made.run()
    claim(made)
    assert made.word("a") == "Ready"
    yield made
    made.close()


def reads(fleet: Fleet) -> int:
    """Reads of claims and of their classes."""
    return sum(1 for one in fleet.host.log if one.kind in ("PersistentVolumeClaim", "StorageClass") and not one.writes)


def look(fleet: Fleet) -> None:
    fleet.queue.add("a")
    fleet.run()


def test_a_claim_grows_and_nothing_is_replaced(fleet: Fleet) -> None:
    offer(fleet)
    before = limit(fleet)
    fleet.push(files("8Gi"))
    assert not [one for one in fleet.plans()["a"].changes if one.action in ("replace", "delete", "hold")]
    fleet.run()
    assert (asks(fleet), template(fleet), fleet.word("a")) == ("8Gi", "5Gi", "Ready")
    assert (before, limit(fleet)) == ("15Gi", "18Gi"), "the tenant's share stays whole"
    assert storage(fleet).behind == ("data-a-0 has 5Gi",)
    has(fleet, "data-a-0", "8Gi")
    look(fleet)
    assert (storage(fleet).asked, storage(fleet).behind, storage(fleet).problem) == ("8Gi", (), "")


def test_an_upgrade_after_it_replaces_nothing() -> None:
    other = Fleet()
    other.push(files(kubernetes={"version": "v1.35.0"}))
    other.run()
    claim(other)
    offer(other)
    other.push(files("8Gi", kubernetes={"version": "v1.35.0"}))
    other.run()
    other.push(files("8Gi", kubernetes={"version": "v1.36.0"}))
    assert {one.action for one in other.plans()["a"].changes} <= {"configure", "unchanged", "create"}
    other.run()
    assert (other.word("a"), asks(other), template(other)) == ("Ready", "8Gi", "5Gi")
    state = other.state("a")
    assert state is not None and state.record.versions.kubernetes == "v1.36.0"
    other.close()


def test_a_second_look_writes_nothing(fleet: Fleet) -> None:
    offer(fleet)
    fleet.push(files("8Gi"))
    fleet.run()
    has(fleet, "data-a-0", "8Gi")
    look(fleet)
    before = written(fleet)
    for _ in range(3):
        look(fleet)
    assert written(fleet) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_class_that_lets_no_volume_grow_refuses_before_anything_is_written(fleet: Fleet, *, there: bool) -> None:
    if there:
        offer(fleet, grows=False)
    before = written(fleet)
    fleet.push(files("8Gi"))
    said = "StorageClass fast has no allowVolumeExpansion" if there else "has no StorageClass of theirs"
    assert said in fleet.plans()["a"].waits
    fleet.run()
    assert written(fleet) == before
    assert said in fleet.layer("a", "engine").message and said in storage(fleet).problem
    assert fleet.word("a") == "Waiting"
    fleet.push(files())
    fleet.run()
    assert (fleet.word("a"), storage(fleet), written(fleet)) == ("Ready", None, before)


def test_what_cannot_be_read_grows_nothing(fleet: Fleet) -> None:
    offer(fleet)
    fleet.host.fail(answer(403), on("list", kind="StorageClass"), times=None)
    before = written(fleet)
    fleet.push(files("8Gi"))
    fleet.run()
    assert written(fleet) == before and "could not be read" in fleet.layer("a", "engine").message
    fleet.host.heal()
    look(fleet)
    assert asks(fleet) == "8Gi"


def test_claims_that_have_grown_hold_nothing_when_they_cannot_be_read(fleet: Fleet) -> None:
    """A template stays smaller for good, so they are read in each pass."""
    offer(fleet)
    fleet.push(files("8Gi"))
    fleet.run()
    has(fleet, "data-a-0", "8Gi")
    look(fleet)
    fleet.host.fail(answer(500), on("get", kind="PersistentVolumeClaim"), times=None)
    for _ in range(2):
        look(fleet)
        assert (fleet.word("a"), storage(fleet).problem) == ("Ready", "")
    fleet.push(files("9Gi"))
    fleet.run()
    assert "could not be read" in fleet.layer("a", "engine").message


def test_claims_that_a_cluster_comes_back_to_grow() -> None:
    """The template of the StatefulSet that is made then has the larger size already."""
    made = Fleet()
    kept = {"policy": "Retain", "grace": "0s"}
    made.push({**files(deletion=kept), "b.yaml": cluster("b")})
    made.run()
    claim(made)
    offer(made)
    made.push({**files(), "a.yaml": "", "b.yaml": cluster("b")})
    made.run(seconds=60.0)
    assert made.host.get("apps", "StatefulSet", "vcluster-a", "a") is None
    made.push({**files("8Gi", deletion=kept), "b.yaml": cluster("b")})
    made.run()
    assert (made.word("a"), template(made), asks(made)) == ("Ready", "8Gi", "8Gi")
    assert storage(made).behind == ("data-a-0 has 5Gi",)
    has(made, "data-a-0", "8Gi")
    look(made)
    look(made)
    assert storage(made) is None
    before = reads(made)
    look(made)
    assert reads(made) == before
    made.close()


def test_what_only_a_person_ends_is_looked_at_with_other_passes_alone(fleet: Fleet) -> None:
    offer(fleet, grows=False)
    fleet.push(files("8Gi"))
    fleet.run()
    before = reads(fleet)
    fleet.run(seconds=200.0)
    assert reads(fleet) == before


@pytest.mark.parametrize("state", ["Awake", "Asleep"])
def test_looks_at_volumes_that_wait_for_their_host_become_rarer(fleet: Fleet, state: str) -> None:
    offer(fleet)
    fleet.push(files("8Gi", sleep={"state": state}))
    fleet.run()
    assert asks(fleet) == "8Gi"
    before = reads(fleet)
    fleet.run(passes=100, seconds=240.0)
    assert reads(fleet) - before == (3 if state == "Awake" else 0)


def test_a_claim_that_the_host_does_not_let_grow_is_told_and_tried_again(fleet: Fleet) -> None:
    """Its quota may count the volume a moment later."""
    offer(fleet)
    fleet.host.fail(answer(403, "Forbidden", message="exceeded quota"), on("apply", kind="PersistentVolumeClaim"))
    fleet.push(files("8Gi"))
    fleet.run(passes=1)
    assert asks(fleet) == "5Gi" and "exceeded quota" in storage(fleet).problem
    fleet.run(seconds=60.0)
    assert asks(fleet) == "8Gi" and storage(fleet).problem == ""


def test_every_member_of_a_store_grows() -> None:
    made = Fleet()
    made.push(files(store="etcd"))
    made.run()
    names = [f"data-a-etcd-{index}" for index in range(3)]
    for name in names:
        claim(made, name)
    offer(made)
    made.push(files("8Gi", "etcd"))
    made.run()
    assert {asks(made, name) for name in names} == {"8Gi"}
    assert (template(made, "a-etcd"), made.word("a")) == ("5Gi", "Ready")
    made.close()


def test_the_same_size_in_other_words_is_no_growth(fleet: Fleet) -> None:
    before = written(fleet)
    fleet.push(files("5120Mi"))
    fleet.run()
    assert fleet.word("a") == "Ready" and template(fleet) == "5Gi"
    assert {one for one in written(fleet) if one[0] != "Secret"} >= {
        one for one in before if one[0] == "PersistentVolumeClaim"
    }
    assert not [one for one in fleet.host.log if one.kind == "StorageClass"]


def test_a_refused_growth_keeps_no_cluster_awake(fleet: Fleet) -> None:
    offer(fleet, grows=False)
    fleet.push(files("8Gi", sleep={"state": "Asleep"}))
    fleet.run()
    assert engine(fleet)[0] == 0
    assert asks(fleet) == "5Gi"


def test_a_cluster_that_does_not_grow_costs_no_request(fleet: Fleet) -> None:
    count = reads(fleet)
    look(fleet)
    assert (count, reads(fleet)) == (0, 0)
