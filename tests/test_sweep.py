"""Status objects go with their clusters, also where a record stays and the process ended in between (D2, T1)."""

from collections.abc import Iterator

import pytest

from tests.passes import HOME, Fleet, cluster, config_map, pack, profile

WEB = {"web.yaml": profile(pack("base", config_map("one")))}
BOTH = {**WEB, "a.yaml": cluster("a", deletion={"policy": "Retain", "grace": "0s"}), "b.yaml": cluster("b")}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    made.push(BOTH)
    made.run()
    yield made
    made.close()


def shown(fleet: Fleet) -> list[str]:
    """The clusters that have a status object once all is written."""
    fleet.sweep()
    assert fleet.reporter.statuses.settle(60.0)
    return [one["metadata"]["name"] for one in fleet.host.objects("nidus.dev", "NestedCluster")]


def test_what_a_killed_process_left_of_a_retained_cluster_goes(fleet: Fleet) -> None:
    """The record said that the removal was over, and the status object was still there: it said Deleting for ever."""
    assert shown(fleet) == ["a", "b"]
    left = fleet.host.objects("nidus.dev", "NestedCluster")[0]
    fleet.push({name: text for name, text in BOTH.items() if name != "a.yaml"})
    fleet.run()
    assert shown(fleet) == ["b"] and "a" in fleet.store.load().states
    head = {"apiVersion": left["apiVersion"], "kind": left["kind"], "metadata": {"name": "a", "namespace": HOME}}
    fleet.host.put({**head, "spec": left["spec"]})
    fleet.host.apply({**head, "status": {"status": "Deleting"}}, subresource="status")
    fleet.restart()
    fleet.run()
    assert shown(fleet) == ["b"]


def test_a_cluster_that_comes_back_keeps_its_status_object(fleet: Fleet) -> None:
    fleet.push({name: text for name, text in BOTH.items() if name != "a.yaml"})
    fleet.run()
    fleet.push(BOTH)
    assert shown(fleet) == ["b"]
    fleet.run()
    assert shown(fleet) == ["a", "b"]
    fleet.restart(git=False)
    assert shown(fleet) == ["a", "b"]
