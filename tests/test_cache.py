"""Memory is only a hint (R1): whatever a watch fails to say, the live cache finds out and announces."""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import discovery
from reconciler.kube.cache import Cache, Selection
from reconciler.kube.events import Seen
from reconciler.model import ObjectRef
from tests.gateways import definitions
from tests.memory.failures import CLOSED, REFUSED, SILENT, answer, on, raw
from tests.memory.server import Server
from tests.shell import client
from tests.waiting import eventually

Changes = queue.Queue[Seen]
WATCH = on("watch", kind="ConfigMap")


@pytest.fixture
def server() -> Server:
    return Server("host")


def config(name: str, value: str = "1", cluster: str = "red") -> dict[str, Any]:
    meta = {"name": name, "namespace": "default", "labels": {"nidus.dev/cluster": cluster}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": value}}


def ref(name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", "default", name)


@contextmanager
def following(
    server: Server,
    changed: Callable[[Seen], None] | None = None,
    *,
    every: float = 600.0,
    silence: float = 90.0,
    failed: Callable[[str, Exception], None] = lambda what, error: None,
) -> Iterator[tuple[Cache, Changes]]:
    changes: Changes = queue.Queue()
    selections = [Selection("", "ConfigMap", namespace="default")]
    cache = Cache(client(server), selections, changed or changes.put, every=every, silence=silence, failed=failed)
    cache.start()
    try:
        assert cache.wait_synced(10)
        yield cache, changes
    finally:
        cache.stop()


GROUP = "gateway.networking.k8s.io"


def test_a_kind_that_the_server_lacks_is_followed_once_it_has_it(server: Server) -> None:
    """The controller starts without it, a list that is asked for is answered, and nothing counts as lost."""
    changes: Changes = queue.Queue()
    route = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "TLSRoute",
        "metadata": {"name": "a", "namespace": "default", "labels": {"nidus.dev/cluster": "red"}},
        "spec": {"hostnames": ["a.example.com"]},
    }
    cache = Cache(client(server), [Selection(GROUP, "TLSRoute", optional=True)], changes.put)
    cache.start()
    try:
        assert cache.wait_synced(10) and cache.refresh(10) and cache.stale_since is None
        for one in definitions():
            server.put(one)
        server.put(route)
        eventually(lambda: cache.refresh(10) and len(cache) == 1)
        assert until(changes, "a").ref.kind == "TLSRoute"
        server.put({**(server.get(GROUP, "TLSRoute", "default", "a") or {}), "spec": {"hostnames": ["b.example.com"]}})
        assert until(changes, "a").version > "0"
        found = cache.get(ObjectRef(GROUP, "TLSRoute", "default", "a"))
        assert found is not None and found["apiVersion"] == f"{GROUP}/v1"
        assert found["spec"] == {"hostnames": ["b.example.com"]}
    finally:
        cache.stop()


def test_a_failure_while_a_kind_is_absent_is_no_absence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be asked is asked again soon, and counts as lost until then."""
    monkeypatch.setattr(discovery, "REFRESH_PAUSE", -1.0)
    changes: Changes = queue.Queue()
    cache = Cache(client(server), [Selection(GROUP, "TLSRoute", optional=True)], changes.put)
    cache.start()
    try:
        assert cache.wait_synced(10)
        rule = server.fail(REFUSED, on("discover"), times=None)
        cache.reflectors[0].ask()
        eventually(lambda: cache.stale_since is not None)
        for one in definitions():
            server.put(one)
        labels = {"nidus.dev/cluster": "red"}
        meta = {"name": "a", "namespace": "default", "labels": labels}
        server.put({"apiVersion": f"{GROUP}/v1", "kind": "TLSRoute", "metadata": meta, "spec": {}})
        rule.times = rule.done
        assert until(changes, "a").ref.kind == "TLSRoute"
        eventually(lambda: cache.stale_since is None)
    finally:
        cache.stop()


def test_a_kind_of_a_group_that_does_not_answer_is_not_absent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its objects stay known and count as not looked at; other kinds are found."""
    for name in ("FRESH", "REFRESH_PAUSE"):
        monkeypatch.setattr(discovery, name, -1.0)
    for one in definitions():
        server.put(one)
    meta = {"name": "a", "namespace": "default", "labels": {"nidus.dev/cluster": "red"}}
    server.put({"apiVersion": f"{GROUP}/v1", "kind": "TLSRoute", "metadata": meta, "spec": {}})
    reads = client(server)
    cache = Cache(reads, [Selection(GROUP, "TLSRoute", optional=True)], lambda seen: None)
    cache.start()
    try:
        assert cache.wait_synced(10) and len(cache) == 1
        server.stale.add(GROUP)
        assert f"{GROUP}/v1/TLSRoute" in reads.kinds(), "a chart that asks makes what it made before"
        for version in ("", "v1"):
            with pytest.raises(ApiError) as error:
                reads.get(ObjectRef(GROUP, "TLSRoute", "default", "a"), version=version)
            assert error.value.kind is ErrorClass.KIND_UNREAD
        cache.reflectors[0].ask()
        eventually(lambda: cache.stale_since is not None)
        assert len(cache) == 1 and reads.namespaced("apps", "Deployment")
        server.stale.clear()
        eventually(lambda: cache.stale_since is None)
    finally:
        cache.stop()


def test_a_server_whose_groups_come_and_fail_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time another group is read, and those before do not answer."""
    for name, value in (("FRESH", -1.0), ("REFRESH_PAUSE", -1.0), ("MOST", 20)):
        monkeypatch.setattr(discovery, name, value)
    groups: list[Any] = []

    def fetch(path: str, accept: str) -> bytes:
        if path == "/apis":
            for one in groups:
                one["versions"] = [{"version": "v1", "freshness": "Stale"}]
            kinds = [
                {"resource": f"k{number}", "scope": "Cluster", "responseKind": {"kind": f"K{number}"}}
                for number in range(8)
            ]
            name = f"g{len(groups)}.example"
            groups.append({"metadata": {"name": name}, "versions": [{"version": "v1", "resources": kinds}]})
        items = groups if path == "/apis" else []
        return msgspec.json.encode({"kind": "APIGroupDiscoveryList", "items": items})

    found = discovery.Discovery(fetch)
    assert [len(found.kinds()) for _ in range(6)] == [8, 16, 16, 16, 16, 16]


def test_a_version_that_is_not_served_any_more_is_read_at_another(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gateway API moved TLSRoute from v1alpha2 to v1: a process that knows the old path finds the new one."""
    for name in ("FRESH", "REFRESH_PAUSE"):
        monkeypatch.setattr(discovery, name, -1.0)
    ref, meta = ObjectRef(GROUP, "TLSRoute", "default", "a"), {"name": "a", "namespace": "default"}
    for one in definitions("v1alpha2"):
        server.put(one)
    server.put({"apiVersion": f"{GROUP}/v1alpha2", "kind": "TLSRoute", "metadata": meta, "spec": {}})
    reads = client(server)
    found = reads.get(ref)
    assert found is not None and found["apiVersion"] == f"{GROUP}/v1alpha2"
    served = server.get("apiextensions.k8s.io", "CustomResourceDefinition", "", f"tlsroutes.{GROUP}")
    assert served is not None
    server.put({**served, "spec": definitions("v1")[1]["spec"]})
    with pytest.raises(ApiError):
        reads.get(ref)
    found = reads.get(ref)
    assert found is not None and found["apiVersion"] == f"{GROUP}/v1"


def until(changes: Changes, name: str, *, deleted: bool = False) -> Seen:
    """The next change of `name`."""
    while True:
        seen = changes.get(timeout=60)
        if (seen.ref.name, seen.deleted) == (name, deleted):
            return seen


def value(cache: Cache, name: str) -> str | None:
    found = cache.get(ref(name))
    return None if found is None else str(found["data"]["a"])


def forget(server: Server, name: str) -> None:
    """Take an object out of the storage without a word to any watch."""
    with server.core.lock:
        del server.core.storage._objects[("", "configmaps")][("default", name)]


def swap(server: Server, name: str, text: str) -> None:
    """Change an object in the storage without a word to any watch."""
    with server.core.lock:
        storage = server.core.storage
        place = storage._objects[("", "configmaps")]
        storage.version += 1
        known = place[("default", name)]
        meta = {**known["metadata"], "resourceVersion": str(storage.version)}
        place[("default", name)] = {**known, "metadata": meta, "data": {"a": text}}


def test_a_lost_event_is_found_when_the_kind_is_listed_anew(server: Server) -> None:
    for name in ("lost", "changed", "kept"):
        server.put(config(name))
    server.fail(CLOSED, WATCH, times=None)  # the server ends every watch: the next one is opened where it ended
    with following(server, every=0.2) as (cache, changes):
        forget(server, "lost")
        swap(server, "changed", "2")
        until(changes, "lost", deleted=True)
        until(changes, "changed")
        assert cache.get(ref("lost")) is None
        assert (value(cache, "changed"), value(cache, "kept")) == ("2", "1")


def test_a_watch_that_the_server_ends_too_soon_is_no_proof(server: Server) -> None:
    """A server that goes down ends its watches in order. What comes back may have an older storage, which says nothing of what it lost."""
    server.put(config("lost"))
    server.put(config("kept"))
    with following(server) as (cache, changes):
        eventually(server.watches)
        forget(server, "lost")
        for watch in server.watches():
            watch.close()
        until(changes, "lost", deleted=True)
        assert cache.get(ref("lost")) is None
        eventually(lambda: cache.stale_since is None)
        assert value(cache, "kept") == "1"


def test_an_open_watch_is_no_reason_not_to_list(server: Server) -> None:
    server.put(config("lost"))
    with following(server, every=0.2) as (cache, changes):
        forget(server, "lost")
        assert until(changes, "lost", deleted=True).labels == {"nidus.dev/cluster": "red"}
        assert len(cache) == 0


def test_listing_anew_fetches_only_what_differs(server: Server) -> None:
    for number in range(20):
        server.put(config(f"c{number:02d}"))
    with following(server, every=0.2) as (cache, changes):
        until(changes, "c19")  # the first list is told in order
        swap(server, "c07", "2")
        until(changes, "c07")
        lists = [call for call in server.log if call.verb == "list"]
        assert len(lists) >= 2
        assert {call.name for call in server.log if call.verb == "get"} <= {"c07"}
        assert len(cache) == 20


def test_a_silent_watch_is_begun_again_by_listing(server: Server) -> None:
    server.put(config("a"))
    server.fail(SILENT, WATCH, times=1)
    with following(server, silence=0.3) as (cache, changes):
        until(changes, "a")
        server.put(config("a", "2"))
        server.put(config("b"))
        until(changes, "b")
        assert (value(cache, "a"), value(cache, "b")) == ("2", "1")
        server.delete("", "ConfigMap", "default", "b")
        until(changes, "b", deleted=True)


@pytest.mark.parametrize("further", [0, 50], ids=["behind", "overtaken"])
def test_a_restored_host_is_noticed_and_nothing_of_before_is_believed(server: Server, further: int) -> None:
    server.put(config("old", "before"))
    snapshot = server.snapshot()
    with following(server, every=0.5) as (cache, changes):
        server.put(config("old", "after"))
        server.put(config("young"))
        until(changes, "young")
        server.restore(snapshot)
        for _ in range(further):
            server.put(config("busy", str(_)))
        until(changes, "young", deleted=True)
        eventually(lambda: value(cache, "old") == "before")
        server.put(config("later"))
        until(changes, "later")


def test_a_bookmark_that_goes_back_empties_the_memory(server: Server) -> None:
    server.put(config("a"))
    with following(server) as (cache, changes):
        until(changes, "a")
        server.put(config("a", "2"))
        until(changes, "a")
        forget(server, "a")
        line = (
            b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"1"}}}\n'
        )
        with server.core.lock:
            for watch in server.watches():
                watch._first = [line]
            server.core.storage.moved.notify_all()
        until(changes, "a", deleted=True)
        assert cache.get(ref("a")) is None


@pytest.mark.parametrize("act", ["apply", "delete", "get", "replace"])
def test_what_a_server_denies_is_read_again_at_once(server: Server, act: str) -> None:
    server.put(config("a"))
    with following(server) as (cache, changes):
        until(changes, "a")
        known = cache.get(ref("a"))
        assert known is not None
        forget(server, "a")
        kube = client(server).doubting(cache.doubt)
        uid = known["metadata"]["uid"]
        acts: dict[str, Callable[[], object]] = {
            "apply": lambda: kube.apply(config("a", "2"), uid=uid),
            "delete": lambda: kube.delete(ref("a"), uid),
            "get": lambda: kube.get(ref("a")),
            "replace": lambda: kube.replace(known),
        }
        try:
            acts[act]()
        except ApiError as error:
            assert act in ("apply", "replace"), error
        assert cache.get(ref("a")) is None
        until(changes, "a", deleted=True)


def test_a_record_that_moved_is_read_again_at_once(server: Server) -> None:
    server.put(config("a"))
    with following(server) as (cache, changes):
        until(changes, "a")
        known = cache.get(ref("a"))
        assert known is not None
        swap(server, "a", "2")
        with pytest.raises(ApiError):
            client(server).doubting(cache.doubt).replace(dict(known))
        assert value(cache, "a") == "2"
        until(changes, "a")


def test_doubt_costs_nothing_where_nothing_is_held(server: Server) -> None:
    with following(server) as (cache, _):
        server.log.clear()
        cache.doubt(ref("nobody"))
        cache.doubt(ObjectRef("", "Secret", "default", "a"))
        assert [call for call in server.log if call.verb == "get"] == []


def test_a_refresh_lists_everything_anew_before_it_returns(server: Server) -> None:
    for name in ("lost", "changed"):
        server.put(config(name))
    with following(server) as (cache, changes):
        for _ in range(3):
            forget(server, "lost")
            swap(server, "changed", "2")
            assert cache.refresh(10)
            assert cache.get(ref("lost")) is None
            assert value(cache, "changed") == "2"
            until(changes, "lost", deleted=True)
            server.put(config("lost"))
            swap(server, "changed", "1")
            until(changes, "lost")


def test_a_refresh_says_when_it_could_not(server: Server) -> None:
    with following(server) as (cache, _):
        server.fail(answer(500), on("list", kind="ConfigMap"), times=None)
        assert not cache.refresh(0.5)
        server.heal()
        assert cache.refresh(30)


@pytest.mark.parametrize("failure", [REFUSED, answer(403)], ids=["refused", "denied"])
def test_a_list_that_was_asked_for_and_fails_is_no_loop_without_a_pause(server: Server, failure: Any) -> None:
    with following(server) as (cache, _):
        rule = server.fail(failure, on("list", kind="ConfigMap"), times=None)
        assert not cache.refresh(0.5)
        assert 1 <= rule.done < 20  # it was thousands
        server.heal()
        assert cache.refresh(30)


def test_a_server_that_names_a_pause_is_given_it_whoever_asks(server: Server) -> None:
    with following(server) as (cache, _):
        rule = server.fail(answer(503, after=60), on("list", kind="ConfigMap"), times=None)
        assert not cache.refresh(0.5)
        assert not cache.refresh(0.5)
        assert rule.done == 1


FAILURES = {
    "closed": CLOSED,
    "500": answer(500),
    "410": answer(410),
    "rubbish": raw(b"<html>"),
    "a rubbish line": raw(b'{"type":"ADDED","object":{}}\n'),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_watch_that_fails_loses_no_event(server: Server, failure: Any) -> None:
    with following(server, silence=0.5) as (cache, changes):
        rule = server.fail(failure, WATCH, times=3)
        for watch in server.watches():
            watch.close()
        for number in range(5):
            server.put(config(f"c{number}"))
        for number in range(5):
            until(changes, f"c{number}")
        server.heal(rule)
        server.delete("", "ConfigMap", "default", "c0")
        until(changes, "c0", deleted=True)
        assert len(cache) == 4


def test_a_bug_of_a_listener_ends_nothing_and_is_told(server: Server) -> None:
    told: queue.Queue[Exception] = queue.Queue()
    heard: Changes = queue.Queue()

    def changed(seen: Seen) -> None:
        if seen.ref.name == "bad":
            raise KeyError("a bug")
        heard.put(seen)

    with following(server, changed, failed=lambda what, error: told.put(error)) as (cache, _):
        server.put(config("bad"))
        assert isinstance(told.get(timeout=60), KeyError)
        server.put(config("good"))
        until(heard, "good")
        assert len(cache) == 2
