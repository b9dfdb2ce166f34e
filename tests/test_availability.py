"""Stores of several members: how many there are, what they cost, and the budget that keeps two of three running while nodes are drained."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.engine import leftovers, overhead
from reconciler.model import ClusterSpec, ControlPlane, NestedCluster, Store
from tests.passes import Fleet, cluster, config_map, pack, profile
from tests.test_engine_values import cluster as document


def files(replicas: int = 1, **store: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text="one")))
    return {"p.yaml": packs, "a.yaml": cluster("a", controlPlane={"replicas": replicas, "store": store})}


def standing(replicas: int = 1, **store: Any) -> Fleet:
    made = Fleet()
    made.push(files(replicas, **store))
    made.run()
    assert made.word("a") == "Ready", made.condition("a")
    return made


def budgets(fleet: Fleet) -> dict[str, Any]:
    return {
        one["metadata"]["name"]: one["spec"]
        for one in fleet.host.objects("policy", "PodDisruptionBudget", "vcluster-a")
    }


def test_three_members_and_three_replicas_each_have_a_budget() -> None:
    fleet = standing(3, type="etcd")
    found = budgets(fleet)
    assert {name: one["maxUnavailable"] for name, one in found.items()} == {"a": 1, "a-etcd": 1}
    members = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a-etcd")
    assert members is not None and members["spec"]["replicas"] == 3
    assert found["a-etcd"]["selector"]["matchLabels"] == members["spec"]["selector"]["matchLabels"]
    engine = fleet.host.get("apps", "Deployment", "vcluster-a", "a")
    assert engine is not None and engine["spec"]["replicas"] == 3
    version = {
        one["metadata"]["resourceVersion"] for one in fleet.host.objects("policy", "PodDisruptionBudget", "vcluster-a")
    }
    fleet.queue.add("a")
    fleet.run()
    after = {
        one["metadata"]["resourceVersion"] for one in fleet.host.objects("policy", "PodDisruptionBudget", "vcluster-a")
    }
    assert version == after
    fleet.close()


@pytest.mark.parametrize("store", [{"type": "etcd", "members": 1}, {"type": "sqlite"}])
def test_one_member_has_none(store: dict[str, Any]) -> None:
    """It could never be drained."""
    fleet = standing(**store)
    assert budgets(fleet) == {}
    fleet.close()


def test_the_budget_is_put_back_and_goes_with_its_cluster() -> None:
    fleet = standing(type="etcd")
    live = fleet.host.get("policy", "PodDisruptionBudget", "vcluster-a", "a-etcd")
    assert live is not None
    fleet.host.put({**live, "spec": {**live["spec"], "maxUnavailable": 3}})
    fleet.queue.add("a")
    fleet.run()
    assert budgets(fleet)["a-etcd"]["maxUnavailable"] == 1
    fleet.push({"p.yaml": files()["p.yaml"], "b.yaml": cluster("b")})
    fleet.run()
    assert budgets(fleet) == {}
    fleet.close()


def test_members_are_of_etcd() -> None:
    fleet = standing(type="sqlite")
    fleet.push(files(type="sqlite", members=1))
    fleet.run()
    assert fleet.word("a") == "Invalid" and "members are of store type etcd" in fleet.condition("a", "Stalled").message
    fleet.close()


def test_what_members_need_is_counted_once_each() -> None:
    def of(**store: Any) -> NestedCluster:
        return document(ClusterSpec(control_plane=ControlPlane(store=Store(type="etcd", **store))))

    one, three = overhead.of(of(members=1)), overhead.of(of())
    assert (three.pods - one.pods, three.storage, one.storage) == (2, 3 * 5 * 2**30, 5 * 2**30)
    assert [ref.name for ref in leftovers.claims(of(members=1), "ns")] == ["data-team-a-etcd-0"]
