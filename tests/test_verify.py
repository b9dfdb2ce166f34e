"""What is remembered of records is compared with the host: in both directions, again after a failure, each part by itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.controller import verify
from reconciler.errors import LeaseLost, NidusError, Retry
from reconciler.model import replace
from tests import passes
from tests.memory.failures import REFUSED, Call

PACKS = {"profiles/w.yaml": passes.profile(passes.pack("p", passes.config_map("c", a="1")))}
B = {"clusters/b.yaml": passes.cluster("b"), **PACKS}
RETAINED = {"clusters/a.yaml": passes.cluster("a"), **B}
DELETED = {"clusters/a.yaml": passes.cluster("a", deletion={"policy": "Delete"}), **B}


@pytest.fixture
def fleet() -> Iterator[passes.Fleet]:
    made = passes.Fleet()
    yield made
    made.close()


def compared(fleet: passes.Fleet) -> list[str]:
    """One comparison of the records; the names that the sources are told."""
    told: list[str] = []
    verify.records(fleet.store, fleet.registry, fleet.queue, told.append)
    return told


def record(fleet: passes.Fleet, name: str = "a") -> Any:
    return fleet.host.get("", "ConfigMap", passes.HOME, f"nidus-record-{name}")


def put(fleet: passes.Fleet, *objects: Any) -> None:
    """The objects as a restored host has them."""
    for one in objects:
        meta = {key: value for key, value in one["metadata"].items() if key != "resourceVersion"}
        fleet.host.put({**one, "metadata": meta})


def test_a_host_restored_to_before_a_removal_is_noticed(fleet: passes.Fleet) -> None:
    fleet.push(DELETED)
    fleet.run(400, 600)
    before = [record(fleet), fleet.host.get("", "Namespace", "", "vcluster-a")]
    fleet.push(B)
    fleet.run(400, 600)
    assert fleet.registry.names() == ["b"] and record(fleet) is None
    put(fleet, *before)
    assert compared(fleet) == ["a"]
    assert "a" in fleet.registry.records()
    commit = fleet.registry.records()["a"].commit
    fleet.registry.remember({"a": fleet.git.accepted(commit)})  # what the source does when it is told
    fleet.admit()
    fleet.run(400, 600)
    assert record(fleet) is None
    assert compared(fleet) == []


def test_a_cluster_added_again_after_such_a_restore_takes_up_its_record(fleet: passes.Fleet) -> None:
    fleet.push(DELETED)
    fleet.run(400, 600)
    before = record(fleet)
    fleet.push(B)
    fleet.run(400, 600)
    put(fleet, before)
    fleet.push(DELETED)
    fleet.run(100, 600)
    assert fleet.word("a") != "Ready"  # the record is of another life
    assert compared(fleet) == ["a"]
    fleet.run(400, 600)
    assert fleet.word("a") == "Ready"


def test_an_unreadable_record_that_memory_lacks_takes_the_name(fleet: passes.Fleet) -> None:
    fleet.push(B)
    fleet.run(400, 600)
    broken = record(fleet, "b")
    meta = {**broken["metadata"], "name": "nidus-record-a"}
    put(fleet, {**broken, "metadata": {key: value for key, value in meta.items() if key != "uid"}})
    assert compared(fleet) == []
    assert fleet.registry.unreadable()["a"].reason == "BadRecord"
    assert "a" not in fleet.registry.records()


def retained(fleet: passes.Fleet) -> None:
    """A cluster whose record stays when it is removed."""
    fleet.push(RETAINED)
    fleet.run(200, 600)
    fleet.push(B)
    fleet.run(400, 3600)
    assert fleet.registry.names() == ["b"] and record(fleet) is not None


def making_one(call: Call) -> bool:
    return call.kind == "ConfigMap" and call.verb == "create"


def test_the_record_of_a_retained_cluster_is_written_until_it_stands_there(fleet: passes.Fleet) -> None:
    retained(fleet)
    kept = [entry.ref for entry in fleet.registry.states()["a"].entries]
    fleet.host.delete("", "ConfigMap", passes.HOME, "nidus-record-a")
    rule = fleet.host.fail(REFUSED, making_one, times=2)
    for _ in range(2):
        with pytest.raises(NidusError):
            compared(fleet)
    assert rule.done == 2
    compared(fleet)
    found = fleet.state("a")
    assert found is not None and [entry.ref for entry in found.entries] == kept
    assert fleet.registry.states()["a"] == found


def test_one_record_that_cannot_be_written_stops_no_other(fleet: passes.Fleet) -> None:
    retained(fleet)
    fleet.host.delete("", "ConfigMap", passes.HOME, "nidus-record-a")
    fleet.host.delete("", "ConfigMap", passes.HOME, "nidus-record-b")
    fleet.host.fail(REFUSED, making_one)  # the first: that of a
    with pytest.raises(NidusError):
        compared(fleet)
    fleet.run(100, 60)
    assert record(fleet, "b") is not None


def test_a_doubt_outlives_a_pass_that_was_under_way(fleet: passes.Fleet) -> None:
    fleet.push(B)
    fleet.run(200, 600)
    before = fleet.registry.states()["b"]
    fleet.host.delete("", "ConfigMap", passes.HOME, "nidus-record-b")
    compared(fleet)
    fleet.registry.keep(before)  # what the pass had taken, saved without a write
    fleet.run(100, 60)
    assert record(fleet, "b") is not None


def test_a_record_written_since_is_not_doubted(fleet: passes.Fleet) -> None:
    fleet.push(B)
    fleet.run(200, 600)
    old = fleet.registry.states()["b"]
    new = fleet.store.write(replace(old, entries=old.entries[1:]))
    fleet.registry.keep(new)
    assert fleet.registry.doubt("b", old) is None
    assert fleet.registry.states()["b"].base == new.base


def test_each_part_of_a_round_fails_alone() -> None:
    done: list[str] = []

    def fails() -> None:
        raise Retry("the host refused")

    with pytest.raises(Retry):
        verify.each("compare", fails, lambda: done.append("statuses"), fails, lambda: done.append("sweep"))
    assert done == ["statuses", "sweep"]


def test_a_bug_in_one_part_does_not_stop_the_others() -> None:
    done: list[str] = []

    def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(NidusError):
        verify.each("compare", bug, lambda: done.append("sweep"))
    assert done == ["sweep"]


def test_nothing_more_is_done_without_the_lease() -> None:
    done: list[str] = []

    def lost() -> None:
        raise LeaseLost("held by another")

    with pytest.raises(LeaseLost):
        verify.each("compare", lost, lambda: done.append("sweep"))
    assert done == []
