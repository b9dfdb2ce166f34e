"""The server in memory as a client sees it. Whether a real one answers alike is tests/host/test_memory_differential.py's part."""

import pytest

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube.client import Client
from reconciler.model import ObjectRef
from tests.memory import failures
from tests.memory.failures import on
from tests.memory.server import Server
from tests.shell import client

CONFIG = ObjectRef("", "ConfigMap", "default", "a")


def config(**data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}, "data": data}


@pytest.fixture
def server() -> Server:
    return Server("local")


@pytest.fixture
def kube(server: Server) -> Client:
    return client(server)


def test_an_apply_creates_then_changes_then_takes_away_what_is_left_out(kube: Client) -> None:
    first = kube.apply(config(a="1", b="2"))
    second = kube.apply(config(a="3"))
    assert (first.created, second.created) == (True, False)
    assert second.object["data"] == {"a": "3"}
    assert second.object["metadata"]["uid"] == first.object["metadata"]["uid"]
    (entry,) = second.object["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == ("nidus", "Apply", {"f:data": {"f:a": {}}})


def test_a_field_another_manager_changed_is_a_conflict_until_it_is_forced(server: Server, kube: Client) -> None:
    kube.apply(config(a="1"))
    server.put(config(a="2"), manager="kubectl-edit")
    with pytest.raises(ApiError) as refused:
        kube.apply(config(a="1"))
    assert refused.value.kind is ErrorClass.FIELD_CONFLICT
    assert refused.value.causes == ((".data.a", "FieldManagerConflict", 'conflict with "kubectl-edit" using v1'),)
    assert kube.apply(config(a="1"), force=True).object["data"] == {"a": "1"}


def test_items_of_a_list_by_key_have_managers_of_their_own(server: Server, kube: Client) -> None:
    def service(*ports: int) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a", "namespace": "default"},
            "spec": {"ports": [{"port": port, "name": f"p{port}"} for port in ports]},
        }

    kube.apply(service(80, 81))
    server.apply(service(82), manager="other")
    ports = kube.apply(service(80)).object["spec"]["ports"]
    assert [one["port"] for one in ports] == [80, 82]


def test_an_apply_means_one_object(server: Server, kube: Client) -> None:
    with pytest.raises(ApiError) as absent:
        kube.apply(config(), uid="gone")
    uid = kube.apply(config()).object["metadata"]["uid"]
    with pytest.raises(ApiError) as other:
        kube.apply(config(), uid="gone")
    assert (absent.value.status, other.value.status) == (409, 422)
    assert kube.apply(config(), uid=uid).object["metadata"]["uid"] == uid


def test_a_dry_run_leaves_everything_as_it_was(server: Server, kube: Client) -> None:
    before = server.snapshot().version
    assert kube.apply(config(a="1"), dry_run=True).created
    assert (kube.get(CONFIG), server.snapshot().version) == (None, before)


def test_a_missing_namespace_is_not_a_missing_object(kube: Client) -> None:
    with pytest.raises(ApiError) as refused:
        kube.apply({**config(), "metadata": {"name": "a", "namespace": "nope"}})
    assert refused.value.kind is ErrorClass.NAMESPACE_MISSING


def test_a_finalizer_holds_a_deleted_object(server: Server, kube: Client) -> None:
    held = server.put({**config(), "metadata": {"name": "a", "namespace": "default", "finalizers": ["x/y"]}})
    left = kube.delete(CONFIG, held["metadata"]["uid"])
    assert left is not None
    server.put({**left, "metadata": {**left["metadata"], "finalizers": []}})
    assert kube.get(CONFIG) is None


def test_a_deletion_of_another_uid_deletes_nothing(kube: Client) -> None:
    kube.apply(config())
    with pytest.raises(ApiError) as refused:
        kube.delete(CONFIG, "other")
    assert refused.value.kind is ErrorClass.RACED
    assert kube.get(CONFIG) is not None


def test_the_second_apply_is_the_one_that_fails(server: Server, kube: Client) -> None:
    server.fail(failures.answer(503), on("apply"), nth=2)
    kube.apply(config(a="1"))
    with pytest.raises(ApiError) as refused:
        kube.apply(config(a="2"))
    assert refused.value.kind is ErrorClass.AMBIGUOUS
    assert [call.status for call in server.log if call.verb == "apply"] == [201, 503]


def test_an_answer_is_lost_after_the_write_took_effect(server: Server, kube: Client) -> None:
    server.fail(failures.LOST, on("apply"))
    with pytest.raises(ApiError) as lost:
        kube.apply(config(a="1"))
    assert lost.value.kind is ErrorClass.AMBIGUOUS
    assert kube.get(CONFIG) is not None
