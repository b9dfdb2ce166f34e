"""The server in memory as a client sees it. Whether a real one answers alike is tests/host/test_memory_differential.py's part."""

import json
from queue import Queue

import pytest
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube.cache import Cache, Selection
from reconciler.kube.client import Client
from reconciler.kube.transport import Transport
from reconciler.model import ObjectRef
from tests.memory import failures
from tests.memory.failures import on
from tests.memory.http import Front
from tests.memory.reads import Watch
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


# Watches


def lines(server: Server, since: str, labels: str = "") -> Watch:
    query = {"watch": "1", "resourceVersion": since, "allowWatchBookmarks": "true", "labelSelector": labels}
    stream = server.request("GET", "/api/v1/configmaps", query, {}).stream
    assert stream is not None
    return stream


def told(watch: Watch) -> list[tuple[str, str]]:
    events = [json.loads(line) for line in watch.next(0) or ()]
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def labelled(**labels: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "default", "labels": labels},
    }


def test_a_watch_tells_what_its_selector_sees(server: Server) -> None:
    watch = lines(server, str(server.snapshot().version), "x=1")
    server.put(labelled(x="2"))
    assert told(watch) == []
    server.put(labelled(x="1"))
    server.put(labelled(x="1", y="1"))
    server.put(labelled(x="2"))
    server.delete("", "ConfigMap", "default", "a")
    assert told(watch) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    server.bookmark()
    assert told(watch) == [("BOOKMARK", "")]


def test_a_watch_from_what_is_forgotten_is_refused(server: Server) -> None:
    before = server.snapshot().version
    server.put(labelled())
    server.compact()
    watch = lines(server, str(before))
    (event,) = [json.loads(line) for line in watch.next(0) or ()]
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert watch.next(0) is None


def test_an_open_watch_that_fell_behind_is_told_so(server: Server) -> None:
    watch = lines(server, str(server.snapshot().version))
    server.put(labelled())
    server.compact()
    assert json.loads((watch.next(0) or [b""])[0])["object"]["code"] == 410
    assert watch.next(0) is None


def test_the_cache_follows_a_server_in_memory(server: Server, kube: Client) -> None:
    seen: Queue[tuple[str, bool]] = Queue()
    cache = Cache(kube, [Selection("", "ConfigMap", (("x", "1"),))], lambda one: seen.put((one.ref.name, one.deleted)))
    cache.start()
    assert cache.wait_synced(10)
    server.put(labelled(x="1"))
    assert seen.get(timeout=60) == ("a", False)
    for watch in server.watches():
        watch.close()
    server.delete("", "ConfigMap", "default", "a")
    assert seen.get(timeout=60) == ("a", True)
    cache.stop()


def test_a_restored_server_has_gone_back(server: Server, kube: Client) -> None:
    first = kube.apply(config(a="1")).object
    watch = lines(server, first["metadata"]["resourceVersion"])
    snapshot = server.snapshot()
    kube.delete(CONFIG, first["metadata"]["uid"])
    server.restore(snapshot)
    assert kube.get(CONFIG) == first
    assert watch.next(0) is None


# Kinds of one's own

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Cluster",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
        }}}],
    },
}  # fmt: skip
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}


def test_a_kind_is_served_once_its_definition_is_established(server: Server, kube: Client) -> None:
    server.controllers -= {"crds"}
    made = kube.apply(CRD).object
    assert "example.com/v1/Widget" not in client(server).kinds()
    server.controllers |= {"crds"}
    server.settle()
    assert client(server).apply(WIDGET).created
    kube.delete(
        ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", CRD["metadata"]["name"]),
        made["metadata"]["uid"],
    )
    assert "example.com/v1/Widget" not in client(server).kinds()


def test_a_field_its_definition_lacks_is_refused(server: Server) -> None:
    server.put(CRD)
    with pytest.raises(ApiError) as refused:
        client(server).apply({**WIDGET, "spec": {"colour": "red"}})
    assert refused.value.kind is ErrorClass.INVALID
    assert "field not declared in schema" in refused.value.message


# Namespaces and owners


def test_a_namespace_that_goes_takes_its_objects_and_waits_for_finalizers(server: Server, kube: Client) -> None:
    uid = kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}).object["metadata"]["uid"]
    server.put({**config(), "metadata": {"name": "free", "namespace": "n"}})
    held = server.put({**config(), "metadata": {"name": "held", "namespace": "n", "finalizers": ["x/y"]}})
    assert kube.delete(ObjectRef("", "Namespace", "", "n"), uid) is not None
    assert [one["metadata"]["name"] for one in server.objects("", "ConfigMap", "n")] == ["held"]
    with pytest.raises(ApiError) as refused:
        kube.apply({**config(), "metadata": {"name": "late", "namespace": "n"}})
    assert refused.value.kind is ErrorClass.WAIT_NAMESPACE
    server.put({**held, "metadata": {**held["metadata"], "resourceVersion": "", "finalizers": []}})
    assert kube.get(ObjectRef("", "Namespace", "", "n")) is None


def test_what_has_no_owner_left_goes(server: Server, kube: Client) -> None:
    owner = kube.apply(config()).object["metadata"]
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner["uid"]}]
    server.put({**config(), "metadata": {"name": "owned", "namespace": "default", "ownerReferences": owners}})
    kube.delete(CONFIG, owner["uid"])
    assert server.objects("", "ConfigMap", "default") == []


# On a socket


def test_the_same_server_answers_on_a_socket(server: Server) -> None:
    with Front(server) as front:
        api = ApiClient(Configuration(host=front.url))
        kube = Client(Transport(api))
        created = kube.apply(config(a="1")).object
        stream = kube.watch("", "ConfigMap", since=created["metadata"]["resourceVersion"], seconds=60, silence=30.0)
        kube.apply(config(a="2"))
        event = next(iter(stream))
        assert (event.type, json.loads(event.raw)["data"]) == ("MODIFIED", {"a": "2"})
        stream.stop()
        server.fail(failures.LOST, on("apply"))
        with pytest.raises(ApiError) as lost:
            kube.apply(config(a="3"))
        assert lost.value.kind is ErrorClass.AMBIGUOUS
        assert (kube.get(CONFIG) or {})["data"] == {"a": "3"}
        api.close()


def test_a_watch_on_a_socket_ends_after_the_seconds_asked_for(server: Server) -> None:
    with Front(server) as front:
        api = ApiClient(Configuration(host=front.url))
        stream = Client(Transport(api)).watch("", "ConfigMap", since="", seconds=1, silence=30.0)
        assert list(stream) == []  # which a silence of 30 seconds would end with an error
        api.close()


# Chosen failures


@pytest.mark.parametrize(
    ("failure", "done", "kind"),
    [
        (failures.REFUSED, False, ErrorClass.TRANSIENT),
        (failures.TIMEOUT, False, ErrorClass.AMBIGUOUS),
        (failures.HANG, True, ErrorClass.AMBIGUOUS),
        (failures.LOST, True, ErrorClass.AMBIGUOUS),
        (failures.CUT, True, ErrorClass.AMBIGUOUS),
        (failures.answer(409), False, ErrorClass.RACED),
        (failures.answer(429, after=7), False, ErrorClass.TRANSIENT),
        (failures.answer(500), False, ErrorClass.AMBIGUOUS),
        (failures.raw(b"<html>", 502), False, ErrorClass.AMBIGUOUS),
    ],
    ids=lambda one: one.form if isinstance(one, failures.Failure) else None,
)
def test_a_write_fails_as_chosen(
    server: Server, kube: Client, failure: failures.Failure, done: bool, kind: ErrorClass
) -> None:
    server.fail(failure, on("apply", kind="ConfigMap"))
    with pytest.raises(ApiError) as refused:
        kube.apply(config(a="1"))
    assert refused.value.kind is kind
    assert refused.value.after == (7.0 if failure.after else None)
    assert (server.get("", "ConfigMap", "default", "a") is not None) is done
    assert kube.apply(config(a="1")).created is not done


def test_a_list_is_cut_short_by_an_expired_page(server: Server, kube: Client) -> None:
    server.put(config())
    server.fail(failures.EXPIRED, on("list"))
    assert [one["metadata"]["name"] for one in kube.list("", "ConfigMap")[0]] == ["a"]  # it begins again once
    assert [call.status for call in server.log if call.verb == "list"] == [200, 410, 200]


def test_a_watch_is_closed_or_falls_silent(server: Server, kube: Client) -> None:
    since = str(server.snapshot().version)
    server.fail(failures.CLOSED, on("watch"))
    server.fail(failures.SILENT, on("watch"), nth=2)
    assert list(kube.watch("", "ConfigMap", since=since, seconds=60, silence=30.0)) == []
    with pytest.raises(ApiError) as silent:
        list(kube.watch("", "ConfigMap", since=since, seconds=60, silence=30.0))
    assert silent.value.kind is ErrorClass.TRANSIENT
