"""Anybody who may write somewhere may label an object as ours: it costs no memory, and is never taken for what we made (R1)."""

from typing import Any

import pytest

from reconciler.controller import verify, watches
from reconciler.errors import ApiError
from reconciler.kube.client import Client
from reconciler.kube.transport import Limits, Transport
from reconciler.model import ObjectRef
from tests.memory.api import Api
from tests.memory.server import Server
from tests.passes import HOME, Fleet, cluster, config_map, pack, profile

FILES = {"p.yaml": profile(pack("base", config_map("one"))), "a.yaml": cluster("a")}
LABELS = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "a"}
LARGE = 100_000
SERVICE = ObjectRef("", "Service", "vcluster-a", "a")
KINDS = {kind for _, kind in watches.KINDS}


def forged(name: str, namespace: str = "tenant", **more: Any) -> dict[str, Any]:
    labels, notes = LABELS | {"other": "x" * 60}, {"a": "x" * LARGE}
    meta = {"name": name, "namespace": namespace, "labels": labels, "annotations": notes}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, **more}


def forge(fleet: Fleet, count: int = 20) -> None:
    if fleet.host.get("", "Namespace", "", "tenant") is None:
        fleet.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant"}})
    for number in range(count):
        fleet.host.put(forged(f"forged-{number}"))


def size(fleet: Fleet) -> int:
    """Bytes of objects that the cache holds."""
    assert fleet.cache is not None
    return sum(len(entry.raw) for store in fleet.cache._stores for entry in store.entries.values())


def asked(fleet: Fleet) -> list[Any]:
    """The objects of watched kinds that were read one by one, since the log was cleared."""
    return [call.ref for call in fleet.host.log if call.verb == "get" and call.kind in KINDS and HOME not in call.ref]


@pytest.fixture
def fleet() -> Any:
    made = Fleet(cached=True)
    made.push(FILES)
    made.run()
    assert made.word("a") == "Ready"
    yield made
    made.close()


@pytest.mark.parametrize("restarted", [False, True], ids=["by events", "by a list"])
def test_forged_labels_cost_no_memory(fleet: Fleet, restarted: bool) -> None:
    fleet.restart()
    fleet.run()
    before, known = size(fleet), len(fleet.cache or ())
    forge(fleet)
    if restarted:
        fleet.restart()
    fleet.run()
    assert size(fleet) == before
    assert len(fleet.cache or ()) == known + 20  # what is known of them is enough to hear when they go


def test_what_no_inventory_lists_any_more_is_forgotten(fleet: Fleet) -> None:
    assert fleet.cache is not None
    entries = fleet.registry.states()["a"].entries
    listed = [entry.ref for entry in entries if not entry.target.nested]
    assert any(fleet.cache.get(ref) for ref in listed)
    fleet.host.delete("", "ConfigMap", HOME, "nidus-record-a")
    fleet.registry._clusters.forget("a")
    fleet.now += 1000.0
    fleet.look()  # the metadata of every kind is compared
    assert size(fleet) == 0 and len(fleet.cache) > 0


def test_a_restart_beside_forged_objects_reads_nothing_one_by_one(fleet: Fleet) -> None:
    forge(fleet)
    fleet.reporter.histories.close()  # what was noted of revisions is written at a stop
    fleet.host.log.clear()
    fleet.restart()
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert asked(fleet) == []
    assert not [call for call in fleet.host.log if call.writes and call.kind not in ("NestedCluster", "Event")]


def test_a_forged_object_in_the_place_of_ours_is_read_whole_and_left_alone() -> None:
    """It stands there before the cluster does: its name is wanted, no inventory lists it."""
    fleet = Fleet(cached=True)
    fleet.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vcluster-a"}})
    account = {"name": "vc-a", "namespace": "vcluster-a", "labels": LABELS}
    fleet.host.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    before = fleet.host.get("", "ServiceAccount", "vcluster-a", "vc-a")
    fleet.push(FILES)
    fleet.run()
    assert fleet.cache is not None and size(fleet) == 0
    assert fleet.word("a") != "Ready"
    assert fleet.host.get("", "ServiceAccount", "vcluster-a", "vc-a") == before
    fleet.close()


def test_a_record_that_is_found_later_makes_its_objects_whole(fleet: Fleet) -> None:
    record = fleet.host.get("", "ConfigMap", HOME, "nidus-record-a")
    assert record is not None and fleet.cache is not None
    fleet.host.delete("", "ConfigMap", HOME, "nidus-record-a")
    fleet.restart(git=False)
    fleet.look()
    assert fleet.cache.get(SERVICE) is None and fleet.cache.cluster(SERVICE) == "a"
    fleet.host.put({**record, "metadata": {**record["metadata"], "resourceVersion": ""}})
    verify.records(fleet.store, fleet.registry, fleet.queue)
    fleet.admit()
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert fleet.cache.get(SERVICE) == fleet.host.get("", "Service", SERVICE.namespace, SERVICE.name)
    fleet.host.log.clear()
    fleet.queue.add("a")
    fleet.run(seconds=0.0)
    assert asked(fleet) == []


def test_a_listed_object_that_went_without_a_word_is_made_again(fleet: Fleet) -> None:
    forge(fleet)
    fleet.run()
    with fleet.host.core.lock:  # DELETED events that nobody gets
        del fleet.host.core.storage._objects[("", "services")][(SERVICE.namespace, SERVICE.name)]
        del fleet.host.core.storage._objects[("", "serviceaccounts")][("tenant", "forged-3")]
    fleet.now += 1000.0
    fleet.run(seconds=120.0)
    assert fleet.host.get("", "Service", SERVICE.namespace, SERVICE.name) is not None
    assert fleet.cache is not None and fleet.cache.cluster(ObjectRef("", "ServiceAccount", "tenant", "forged-3")) == ""


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    """A few hundred large objects labelled as ours must not stop the list of a kind."""
    server = Server("host")
    for number in range(12):
        server.put(forged(f"c{number:02d}", "default"))
    client = Client(Transport(Api(server), limits=Limits(size=3 * LARGE)))
    found, _ = client.raw_list("", "ServiceAccount", labels="nidus.dev/cluster", kept=lambda head, raw: (head, b""))
    assert [head.ref.name for head, _ in found] == [f"c{number:02d}" for number in range(12)]
    with pytest.raises(ApiError, match="more than"):
        Client(Transport(Api(server), limits=Limits(size=LARGE // 2))).raw_list("", "ServiceAccount")


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "kept"),
    [
        ("Pod", "vcluster-a", "a-0", True),
        ("Pod", "vcluster-a", "a-1", False),  # nothing asks for it
        ("Pod", "tenant", "a-0", False),
        ("Source", HOME, "platform", True),
        ("Source", HOME, "forged", False),
        ("Request", HOME, "nidus-request-1", False),  # read anew when one changes
        ("Service", "vcluster-a", "a", True),
        ("Service", "vcluster-a", "b", False),
    ],
)
def test_what_is_kept_whole(fleet: Fleet, kind: str, namespace: str, name: str, kept: bool) -> None:
    ref = ObjectRef("nidus.dev" if kind in ("Source", "Request") else "", kind, namespace, name)
    assert watches.whole(fleet.registry.lists, {"platform"}, ref, "a") == kept
