"""Records and inventories on an API server: what is remembered of them is only a hint, and one that cannot be read does
not stop the others."""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.controller.registry.merged import Merged
from reconciler.errors import ApiError, NidusError, Stalled
from reconciler.inventory.store import State, Store
from reconciler.model import Brought, Consent, InventoryEntry, Merge, ObjectRef, Record, Reviewed, Target, replace
from tests.memory.failures import LOST, REFUSED, on
from tests.memory.server import Server
from tests.shell import client

NAMESPACE = "nidus-system"
NESTED = Target("local", "a")


@pytest.fixture
def server() -> Server:
    made = Server()
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return made


@pytest.fixture
def store(server: Server) -> Store:
    return Store(client(server), NAMESPACE)


def state(*names: str, cluster: str = "a", nonce: str = "n1") -> State:
    record = Record("platform", cluster, "local", "clusters/a.yaml", "main", "c" * 40, {"spec": "d"}, nonce, 1.0)
    return State(record, entries(*names))


def entries(*names: str, uid: str = "u-") -> tuple[InventoryEntry, ...]:
    refs = [(name, ObjectRef("", "ConfigMap", "web", name)) for name in names]
    return tuple(InventoryEntry(NESTED, ref, "web/base", f"{uid}{name}", "owned", ("data.x",)) for name, ref in refs)


def names(found: State | None) -> list[str]:
    assert found is not None
    return [entry.ref.name for entry in found.entries]


def stored(server: Server, cluster: str = "a") -> dict[str, Any]:
    found = server.get("", "ConfigMap", NAMESPACE, f"nidus-record-{cluster}")
    assert found is not None
    return dict(found)


def test_what_is_written_is_read(store: Store) -> None:
    saved = store.write(state("x", "y"))
    found = store.read("a")
    assert found == saved
    again = store.write(replace(saved, entries=entries("x")))
    assert store.read("a") == again


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_a_lost_answer_is_read_back(server: Server, store: Store, verb: str) -> None:
    before = state("x") if verb == "create" else store.write(state())
    server.fail(LOST, on(verb, kind="ConfigMap"))
    saved = store.write(replace(before, entries=entries("x")))
    assert names(store.write(replace(saved, entries=entries("x", "y")))) == ["x", "y"]
    assert names(store.read("a")) == ["x", "y"]


def test_an_unanswered_write_that_did_not_arrive_is_sent_again(server: Server, store: Store) -> None:
    saved = store.write(state())
    server.fail(replace(REFUSED, form="timeout"), on("replace", kind="ConfigMap"))
    store.write(replace(saved, entries=entries("x")))
    assert names(store.read("a")) == ["x"]


def test_numbers_in_a_record_of_before_are_explained_by_nothing(store: Store) -> None:
    """They do not say as which commit they were merged."""
    whole, known = state("x"), Brought("c", "t", "w")
    store.write(replace(whole, record=replace(whole.record, brought=(5, known))))
    found = store.read("a")
    assert found is not None and found.record.brought == (5, known)
    merges, merge = Merged(), Merge(5, 1, 1, "c", Reviewed(5, "t", Consent(), {"a": "w"}))
    merges.learn("platform", merge)
    told = [merges.explains("platform", "a", one) for one in (*found.record.brought, Brought())]
    assert told == [(None,), (merge,), (None,)]


def test_an_annotation_on_a_record_blocks_nothing(server: Server, store: Store) -> None:
    saved = store.write(state("x"))
    found = stored(server)
    server.put({**found, "metadata": {**found["metadata"], "annotations": {"backup.example.com/at": "noon"}}})
    store.write(replace(saved, entries=entries("y")))
    assert names(store.read("a")) == ["y"]


def test_a_record_deleted_by_hand_is_made_anew(server: Server, store: Store) -> None:
    saved = store.write(state("x"))
    server.delete("", "ConfigMap", NAMESPACE, "nidus-record-a")
    store.write(replace(saved, entries=entries("x", "y")))
    assert names(store.read("a")) == ["x", "y"]


def test_a_host_restored_from_a_backup_loses_no_entry(server: Server, store: Store) -> None:
    """What the older record lists may be there again, and what is remembered may be there still."""
    saved = store.write(state("both", "older"))
    snapshot = server.snapshot()
    saved = store.write(replace(saved, entries=entries("both", "newer")))
    server.restore(snapshot)
    saved = store.write(replace(saved, entries=entries("both", "newest")))
    assert names(saved) == ["both", "newest", "older"]
    assert names(store.read("a")) == ["both", "newest", "older"]


def test_an_object_known_by_two_uids_is_believed_by_its_marks_alone(server: Server, store: Store) -> None:
    saved = store.write(state("x"))
    snapshot = server.snapshot()
    saved = store.write(replace(saved, entries=entries("x", uid="second-")))
    server.restore(snapshot)
    (entry,) = store.write(replace(saved, entries=entries("x", uid="third-"))).entries
    assert (entry.uid, entry.state, entry.fields) == ("", "intended", ("data.x",))


def _other_life(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "data": {**found["data"], "record": found["data"]["record"].replace('"n1"', '"n2"')}}


def _newer(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "data": {**found["data"], "format": "9"}}


@pytest.mark.parametrize(("change", "reason"), [(_other_life, "ForeignRecord"), (_newer, "NewerFormat")])
def test_a_record_of_somebody_else_is_never_overwritten(
    server: Server, store: Store, change: Callable[[dict[str, Any]], dict[str, Any]], reason: str
) -> None:
    saved = store.write(state("x"))
    theirs = server.put(change(stored(server)))
    with pytest.raises(Stalled) as refused:
        store.write(replace(saved, entries=entries("y")))
    assert (refused.value.reason, bool(refused.value.hint)) == (reason, True)
    assert stored(server) == theirs


DAMAGE: dict[str, dict[str, str]] = {
    "record": {"record": "{"},
    "another cluster's": {"record": '{"source":"s"}'},
    "format": {"format": "9"},
    "entries": {"entries": "no base64!"},
    "entries cut": {"entries": "eJw="},
    "shards": {"shards": "2"},
    "shards without end": {"shards": "1000000000"},
    "shards no number": {"shards": "many"},
}


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_record_that_cannot_be_read_stops_its_cluster_only(server: Server, store: Store, damage: str) -> None:
    store.write(state("x"))
    store.write(state("x", cluster="b"))
    found = stored(server)
    server.put({**found, "data": {**found["data"], **DAMAGE[damage]}})
    loaded = store.load()
    assert set(loaded.states) == {"b"}
    assert set(loaded.unreadable) == {"a"}
    assert loaded.unreadable["a"].hint
    server.put({**stored(server), "data": found["data"]})
    assert set(store.load().states) == {"a", "b"}


def test_a_record_without_anything_in_it_stops_its_cluster_only(server: Server, store: Store) -> None:
    store.write(state("x", cluster="b"))
    metadata = {"name": "nidus-record-a", "namespace": NAMESPACE, "labels": {"nidus.dev/state": "record"}}
    server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    loaded = store.load()
    assert (set(loaded.states), set(loaded.unreadable)) == ({"b"}, {"a"})


def large(seed: int) -> State:
    """A state that needs several ConfigMaps: noise cannot be packed."""
    noise = random.Random(seed).randbytes(420_000).hex()
    return State(state().record, (replace(entries("x")[0], fields=(noise,)),))


def test_a_large_inventory_is_never_a_mix_of_two(server: Server, store: Store) -> None:
    saved = store.write(large(1))
    assert len(server.objects("", "ConfigMap", NAMESPACE)) > 1
    server.fail(REFUSED, on("replace", name="nidus-record-a"), times=None)
    with pytest.raises(ApiError):
        store.write(replace(saved, entries=large(2).entries))
    found = store.read("a")
    assert found is not None and found.entries == saved.entries
    server.heal()
    store.write(replace(saved, entries=large(3).entries))
    store.write(replace(found, entries=entries("x")))
    assert names(store.read("a")) == ["x"]


def test_shards_go_with_what_they_were_of(server: Server, store: Store) -> None:
    saved = store.write(large(1))
    saved = store.write(replace(saved, entries=entries("x")))
    assert len(server.objects("", "ConfigMap", NAMESPACE)) == 1
    saved = store.write(replace(saved, entries=large(2).entries))
    store.close(saved)
    assert server.objects("", "ConfigMap", NAMESPACE) == []


def test_shards_that_a_killed_process_left_go(server: Server, store: Store) -> None:
    saved = store.write(large(1))
    kept = store.write(replace(large(2), record=replace(large(2).record, cluster="b")))
    server.fail(REFUSED, on("list"))
    with pytest.raises(ApiError):
        store.close(saved)  # the record is gone, its shards are not
    again = Store(client(server), NAMESPACE)
    again.sweep(lambda: ["b"])
    assert len(server.objects("", "ConfigMap", NAMESPACE)) > 2  # the first look: a record may be about to be written
    again.sweep(lambda: ["b"])
    again.sweep(lambda: [])
    again.sweep(lambda: [])
    found = again.load()
    assert found.states == {"b": kept} and not found.unreadable
    owners = {one["metadata"]["labels"]["nidus.dev/record-of"] for one in server.objects("", "ConfigMap", NAMESPACE)}
    assert owners == {"b"}


def test_shards_of_a_cluster_that_is_worked_on_stay(server: Server, store: Store) -> None:
    store.write(large(1))
    server.delete("", "ConfigMap", NAMESPACE, "nidus-record-a")
    before = server.objects("", "ConfigMap", NAMESPACE)
    for _ in range(3):
        store.sweep(lambda: ["a"])
    assert server.objects("", "ConfigMap", NAMESPACE) == before != []


def test_an_inventory_of_format_1_with_numbered_shards_is_read(server: Server, store: Store) -> None:
    """As versions before 0.2 wrote them."""
    import base64
    import zlib

    import msgspec

    packed = base64.b64encode(zlib.compress(msgspec.json.encode(large(1).entries), 6)).decode()
    parts = [packed[:1000], packed[1000:]]
    record = msgspec.json.encode(state().record).decode()
    bodies = [
        ("nidus-record-a", {"format": "1", "record": record, "shards": "2", "entries": parts[0]}, "record"),
        ("nidus-inventory-a-1", {"format": "1", "entries": parts[1]}, "shard"),
    ]
    for name, data, role in bodies:
        labels = {"nidus.dev/state": role, "nidus.dev/record-of": "a"}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    found = store.read("a")
    assert found is not None and found.entries == large(1).entries
    store.write(replace(found, entries=entries("x")))
    assert [one["metadata"]["name"] for one in server.objects("", "ConfigMap", NAMESPACE)] == ["nidus-record-a"]


def test_every_answer_of_every_call_may_be_lost(server: Server, store: Store) -> None:
    """Whichever call fails: afterwards the store holds one of the two states, and the next write goes through."""
    for nth in range(1, 7):
        for failure in (LOST, REFUSED):
            saved = store.write(replace(state("x"), record=replace(state().record, cluster=f"c{nth}{failure.form}")))
            rule = server.fail(failure, nth=nth)
            with contextlib.suppress(NidusError):
                saved = store.write(replace(saved, entries=large(nth).entries))
            server.heal(rule)
            store.write(replace(saved, entries=entries("y")))
            assert names(store.read(saved.record.cluster))[-1] == "y"
