"""The live cache against a real API server: complete, following, self-healing, and never an invention (R1, F7-F10)."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from devhost import faults
from devhost.account import Account
from devhost.hosting import TestHost
from reconciler.kube import edge
from reconciler.kube.cache import Cache, Selection
from reconciler.kube.client import Client
from reconciler.kube.events import Seen
from reconciler.model import HostConfig, ObjectRef
from tests.proxy import Proxy

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]
OURS = "nidus-record-"  # what the account may write in its own namespace
Changes = queue.Queue[Seen]


@pytest.fixture
def client(account: Account, empty_host: TestHost) -> Iterator[Client]:
    with closing(edge.host(HostConfig(kubeconfig=str(account.kubeconfig)))) as made:
        yield made


def config(account: Account, name: str, value: str = "", cluster: str = "red") -> dict[str, Any]:
    meta = {"name": f"{OURS}{name}", "namespace": account.namespace, "labels": {"nidus.dev/cluster": cluster}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": value}}


def ref(account: Account, name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", account.namespace, f"{OURS}{name}")


@contextmanager
def following(client: Client, account: Account) -> Iterator[tuple[Cache, Changes]]:
    changes: Changes = queue.Queue()
    cache = Cache(client, [Selection("", "ConfigMap", namespace=account.namespace)], changes.put)
    cache.start()
    try:
        assert cache.wait_synced(10)
        yield cache, changes
    finally:
        cache.stop()


def until(changes: Changes, name: str, deleted: bool = False, seconds: float = 60.0) -> Seen:
    """The next change of `name`."""
    ends = time.monotonic() + seconds
    while True:
        seen = changes.get(timeout=max(0.01, ends - time.monotonic()))
        if seen.ref.name == f"{OURS}{name}" and seen.deleted == deleted:
            return seen


def eventually(check: Callable[[], bool], seconds: float = 60.0) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if check():
            return True
        threading.Event().wait(0.02)
    return False


def value(cache: Cache, account: Account, name: str) -> str | None:
    found = cache.get(ref(account, name))
    return None if found is None else found["data"]["a"]


def test_what_is_there_what_comes_and_what_goes(client: Client, account: Account) -> None:
    live = client.apply(config(account, "old", "1")).object
    with following(client, account) as (cache, changes):
        assert cache.get(ref(account, "old")) == live
        until(changes, "old")
        client.apply(config(account, "new", "1", "blue"))
        seen = until(changes, "new")
        assert (seen.labels, seen.ref) == ({"nidus.dev/cluster": "blue"}, ref(account, "new"))
        assert [cache.cluster(ref(account, name)) for name in ("old", "new")] == ["red", "blue"]
        client.apply(config(account, "new", "2", "red"))
        until(changes, "new")
        assert value(cache, account, "new") == "2"
        assert (cache.cluster(ref(account, "new")), len(cache)) == ("red", 2)
        client.delete(ref(account, "old"), live["metadata"]["uid"])
        assert until(changes, "old", deleted=True).uid == live["metadata"]["uid"]
        assert cache.get(ref(account, "old")) is None
        assert cache.stale_since is None


def test_our_own_answers_count_when_newer_and_never_bring_back_the_dead(client: Client, account: Account) -> None:
    with following(client, account) as (cache, changes):
        first = client.apply(config(account, "a", "1")).object
        cache.merge(first)
        assert value(cache, account, "a") == "1"
        second = client.apply(config(account, "a", "2")).object
        cache.merge(second)
        cache.merge(first)
        assert value(cache, account, "a") == "2"
        client.delete(ref(account, "a"), first["metadata"]["uid"])
        until(changes, "a", deleted=True)
        cache.merge(second)
        assert cache.get(ref(account, "a")) is None


def test_a_reset_watch_goes_on_where_it_was(client: Client, account: Account, tmp_path: Path) -> None:
    with Proxy(account.kubeconfig, tmp_path) as proxy, closing(_through(proxy)) as cut, following(cut, account) as both:
        cache, changes = both
        client.apply(config(account, "a", "1"))
        until(changes, "a")
        for number in range(3):
            proxy.reset()
            client.apply(config(account, "a", f"reset {number}"))
            assert eventually(lambda number=number: value(cache, account, "a") == f"reset {number}")  # type: ignore[misc]
        assert eventually(lambda: cache.stale_since is None)


def test_a_half_open_watch_is_noticed(client: Client, account: Account, tmp_path: Path) -> None:
    changes: Changes = queue.Queue()
    with Proxy(account.kubeconfig, tmp_path) as proxy, closing(_through(proxy)) as cut:
        cache = Cache(cut, [Selection("", "ConfigMap", namespace=account.namespace)], changes.put, silence=1.0)
        cache.start()
        assert cache.wait_synced(10)
        proxy.hold()
        client.apply(config(account, "a", "1"))
        assert eventually(lambda: cache.stale_since is not None)
        proxy.resume()
        until(changes, "a")
        cache.stop()


def test_metadata_is_listed_anew_in_turn_and_what_a_watch_kept_to_itself_is_found(
    client: Client, account: Account
) -> None:
    """The real server answers with metadata alone; only what differs is fetched."""
    changes: Changes = queue.Queue()
    since = account.audit.now()
    live = [client.apply(config(account, f"c{number}", "1")).object for number in range(3)]
    heads, version = client.raw_list(
        "", "ConfigMap", namespace=account.namespace, labels="nidus.dev/cluster", partial=True
    )
    assert {head.uid for head, _ in heads} == {obj["metadata"]["uid"] for obj in live}
    assert all(raw == b"" for _, raw in heads)
    assert int(version) >= max(int(obj["metadata"]["resourceVersion"]) for obj in live)
    assert client.heads("apps", "Deployment", namespace=account.namespace) == []  # `items: null` on the wire
    cache = Cache(client, [Selection("", "ConfigMap", namespace=account.namespace)], changes.put, every=1.0)
    cache.start()
    assert cache.wait_synced(10)
    until(changes, "c2")
    assert eventually(lambda: len(since.events(account.user, verbs=("list",), resource="configmaps")) >= 4)
    assert since.events(account.user, verbs=("get",), resource="configmaps") == []
    assert cache.refresh(10)
    cache.stop()


def test_a_watch_of_metadata_alone_says_who_changed_and_holds_nothing(client: Client, account: Account) -> None:
    changes: Changes = queue.Queue()
    live = client.apply(config(account, "old", "1")).object
    cache = Cache(client, [Selection("", "ConfigMap", namespace=account.namespace, bodies=False)], changes.put)
    cache.start()
    assert cache.wait_synced(10)
    assert until(changes, "old").version == live["metadata"]["resourceVersion"]
    changed = client.apply(config(account, "old", "2")).object
    assert until(changes, "old").version == changed["metadata"]["resourceVersion"]
    assert cache.get(ref(account, "old")) is None and cache.cluster(ref(account, "old")) == "red"
    client.delete(ref(account, "old"), live["metadata"]["uid"])
    assert until(changes, "old", deleted=True).uid == live["metadata"]["uid"]
    cache.stop()


def _through(proxy: Proxy) -> Client:
    return edge.host(HostConfig(kubeconfig=str(proxy.kubeconfig)), deadline=2.0)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_an_expired_watch_lists_again_and_misses_nothing(fresh_host: Callable[..., TestHost], tmp_path: Path) -> None:
    hosted = fresh_host(nodes=0)
    space = "default"

    def made(name: str, value: str) -> dict[str, Any]:
        meta = {"name": f"{OURS}{name}", "namespace": space, "labels": {"nidus.dev/cluster": "red"}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": value}}

    changes: Changes = queue.Queue()
    with Proxy(hosted.kubeconfig, tmp_path) as proxy, closing(_through(proxy)) as cut:
        direct = edge.host(HostConfig(kubeconfig=str(hosted.kubeconfig)))
        gone = direct.apply(made("gone", "1")).object
        cache = Cache(cut, [Selection("", "ConfigMap", namespace=space)], changes.put)
        cache.start()
        assert cache.wait_synced(10)
        until(changes, "gone")
        proxy.hold()
        proxy.reset()
        direct.delete(ObjectRef("", "ConfigMap", space, f"{OURS}gone"), gone["metadata"]["uid"])
        direct.apply(made("come", "1"))
        faults.compact(hosted.host)
        faults.kill(hosted.host, "kube-apiserver")
        faults.restart(hosted.host, "kube-apiserver")
        faults.await_server(hosted.host)
        direct.apply(made("later", "1"))
        proxy.resume()
        until(changes, "gone", deleted=True, seconds=150)  # a connection left half-open is given up after SILENCE
        assert eventually(lambda: cache.get(ObjectRef("", "ConfigMap", space, f"{OURS}come")) is not None)
        assert eventually(lambda: cache.get(ObjectRef("", "ConfigMap", space, f"{OURS}later")) is not None)
        assert cache.get(ObjectRef("", "ConfigMap", space, f"{OURS}gone")) is None
        cache.stop()
        direct.close()
