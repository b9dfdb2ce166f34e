"""Nested API servers from outside the host, as the controller's own account: port-forward, TLS by name, breaker (A7, A8)."""

import base64
import http.client
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from devhost import certs, control, faults
from devhost.account import Account
from devhost.hosting import TestHost
from reconciler.errors import ApiError, ErrorClass, LeaseLost, Stalled
from reconciler.kube import edge, portforward, targets
from reconciler.kube.client import Client, no_fence
from reconciler.kube.targets import Targets
from reconciler.model import HostConfig, ObjectRef, Target
from tests.devhost.releases import install, statefulset_ready

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("nested")]
NAME = "kube-room"
NAMESPACE = f"vcluster-{NAME}"
TARGET = Target("local", NAME)
SECRET = ObjectRef("", "Secret", NAMESPACE, f"vc-{NAME}")
PODS = f"app=vcluster,release={NAME}"
CONFIG: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}


@pytest.fixture(scope="module")
def admin(host: TestHost) -> Iterator[Client]:
    with closing(edge.host(HostConfig(kubeconfig=str(host.kubeconfig)))) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(host: TestHost) -> str:
    """A nested cluster that runs. It ends with its host: a namespace on its way out would be found again by the next user."""
    install(host.client, NAME)
    statefulset_ready(host.client, NAME, NAMESPACE)
    return NAME


@pytest.fixture
def client(account: Account, admin: Client, cluster: str) -> Iterator[Client]:
    """The host as the controller sees it, with its rights in the tenant's namespace."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"tenant-{account.name}", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "nidus-tenant"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": account.user}],
    }
    admin.apply(binding)
    with closing(edge.host(HostConfig(kubeconfig=str(account.kubeconfig)))) as made:
        _soon(lambda: made.get(SECRET) is not None)
        yield made


@pytest.fixture
def reach(client: Client) -> Iterator[Targets]:
    made = Targets(client, inside=False)
    yield made
    made.forget_all()


def _soon(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    ends = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except ApiError:
            found = None
        if found:
            return found
        assert time.monotonic() < ends, "not in time"
        threading.Event().wait(0.1)


def _changed(admin: Client, **data: bytes) -> dict[str, Any]:
    """The engine's Secret with other values, as a tenant who broke in would write it."""
    secret = admin.get(SECRET)
    assert secret is not None
    encoded = {key.replace("_", "-"): base64.b64encode(value).decode() for key, value in data.items()}
    return {**secret, "data": {**secret["data"], **encoded}}


def test_it_is_reached_and_written_to(reach: Targets) -> None:
    inside = reach.client(TARGET, NAMESPACE)
    assert inside.readyz()
    made = inside.apply(CONFIG)
    assert made.created
    assert inside.get(ObjectRef("", "ConfigMap", "default", "a")) == made.object
    assert reach.client(TARGET, NAMESPACE) is inside
    assert inside.delete(ObjectRef("", "ConfigMap", "default", "a"), made.object["metadata"]["uid"]) is None


def test_much_at_once_arrives_whole(reach: Targets) -> None:
    inside = reach.client(TARGET, NAMESPACE)
    big = {**CONFIG, "metadata": {"name": "big", "namespace": "default"}, "data": {"a": "x" * 900_000}}
    made = inside.apply(big)
    live = inside.get(ObjectRef("", "ConfigMap", "default", "big"))
    assert live is not None
    assert live["data"] == big["data"]
    inside.delete(ObjectRef("", "ConfigMap", "default", "big"), made.object["metadata"]["uid"])


def test_the_host_is_a_target_too(reach: Targets) -> None:
    assert reach.client(Target("local"), "").get(SECRET) is not None


def test_the_fence_stands_before_nested_writes(client: Client) -> None:
    def closed() -> None:
        raise LeaseLost("lost")

    for fenced in (Targets(client, inside=False, fence=closed), Targets(client.fenced(closed), inside=False)):
        with pytest.raises(LeaseLost):
            fenced.client(TARGET, NAMESPACE).apply(CONFIG)
        with pytest.raises(LeaseLost):
            fenced.client(Target("local"), "").apply(CONFIG)
        fenced.forget_all()


def test_a_server_that_cannot_prove_its_name_hears_nothing(client: Client, admin: Client) -> None:
    strangers = certs.authority("strangers").certificate
    dial = portforward.Dialer(client, NAMESPACE, PODS, targets.PORT)
    wrong_ca = edge.nested(_changed(admin, certificate_authority=strangers), NAME, NAMESPACE, dial=dial)
    wrong_name = edge.nested(_changed(admin), "other", NAMESPACE, dial=dial)
    for nested in (wrong_ca, wrong_name):
        with pytest.raises(ApiError) as error:
            nested.readyz()
        assert error.value.kind is ErrorClass.TRANSIENT
        assert "CERTIFICATE_VERIFY_FAILED" in error.value.message
        nested.close()


def test_credentials_that_were_rotated_are_read_again(client: Client, admin: Client) -> None:
    secret = _changed(admin, token=b"not.a.token")
    without = {key: value for key, value in secret["data"].items() if not key.startswith("client-")}
    asked: list[int] = []

    def reread() -> Any:
        asked.append(1)
        return admin.get(SECRET)

    dial = portforward.Dialer(client, NAMESPACE, PODS, targets.PORT)
    nested = edge.nested({**secret, "data": without}, NAME, NAMESPACE, dial=dial, reread=reread)
    assert nested.apply(CONFIG, force=True).object["metadata"]["name"] == "a"
    assert asked == [1]
    nested.close()


def test_one_that_is_not_up_yet_is_waited_for(reach: Targets, account: Account) -> None:
    with pytest.raises(ApiError) as error:
        reach.client(Target("local", "nobody"), account.namespace)
    assert error.value.kind in (ErrorClass.TRANSIENT, ErrorClass.DENIED)
    with pytest.raises(ApiError) as error:
        reach.client(Target("local", "nobody"), NAMESPACE)
    assert (error.value.kind, "vc-nobody" in error.value.message) == (ErrorClass.TRANSIENT, True)


def test_a_cached_pod_saves_the_question(client: Client, account: Account) -> None:
    """The pod a live cache shows is dialled at once; one that is gone or not ready is not believed (R1)."""
    live = client.get(ObjectRef("", "Pod", NAMESPACE, f"{NAME}-0"))
    assert live is not None
    gone = {**live, "metadata": {**live["metadata"], "name": "gone"}}
    unready = {**live, "status": {}}
    for shown, asked in ((live, 0), (gone, 1), (unready, 1), (None, 1)):
        since = account.audit.now()
        dial = portforward.Dialer(client, NAMESPACE, PODS, targets.PORT, lambda shown=shown: shown)  # type: ignore[misc]
        dial().close()
        dial().close()
        assert len(since.events(account.user, verbs=("list",), resource="pods")) == asked


def test_a_refused_secret_stalls(reach: Targets, admin: Client) -> None:
    name = "hostile"
    data = {"config": base64.b64encode(b"users: [{user: {exec: {command: touch}}}]").decode()}
    meta = {"name": f"vc-{name}", "namespace": NAMESPACE}
    uid = admin.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}).object["metadata"]["uid"]
    with pytest.raises(Stalled):
        reach.client(Target("local", name), NAMESPACE)
    admin.delete(ObjectRef("", "Secret", NAMESPACE, f"vc-{name}"), uid)


def test_a_watch_wakes_until_it_is_stopped(reach: Targets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "WATCH_SECONDS", 2)  # the server ends each after a second
    inside = reach.client(TARGET, NAMESPACE)
    woken: queue.Queue[float] = queue.Queue()
    stop = reach.nested_watch(
        TARGET, NAMESPACE, [("", "ConfigMap")], lambda: woken.put(time.monotonic()), labels="waits=yes"
    )
    assert stop is not None
    woken.get(timeout=60)
    meta = {"name": "watched", "namespace": "default", "labels": {"waits": "yes"}}
    inside.apply({**CONFIG, "metadata": meta}, force=True)
    first = woken.get(timeout=60)
    while woken.get(timeout=60) < first + 1.5:  # only one opened again can wake so late
        pass
    stop()
    _soon(lambda: not _threads(str(TARGET)))
    for _ in range(2):  # all of them were given back
        ends = [reach.nested_watch(TARGET, NAMESPACE, [("", "ConfigMap")] * 8, lambda: None) for _ in range(8)]
        assert all(ends)
        assert reach.nested_watch(TARGET, NAMESPACE, [("", "ConfigMap")], lambda: None) is None
        for end in ends:
            assert end is not None
            end()
        _soon(lambda: not _threads(str(TARGET)))


def _threads(name: str) -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(f"watch-{name}")]


def test_a_listener_lets_others_in(client: Client, admin: Client) -> None:
    listener = portforward.listen(client, NAMESPACE, PODS, targets.PORT)
    secret = admin.get(SECRET)
    assert secret is not None
    ca = base64.b64decode(secret["data"]["certificate-authority"]).decode()
    trust = ssl.create_default_context(cadata=ca)
    link = http.client.HTTPSConnection(*listener.address, context=trust, timeout=60)
    assert listener.idle_since < float("inf")
    link.request("GET", "/version")
    answer = link.getresponse()
    assert answer.status in (200, 401, 403)
    answer.read()
    assert listener.idle_since == float("inf")
    link.close()
    _soon(lambda: listener.idle_since < float("inf"))
    listener.close()


def test_a_dead_server_costs_two_failures_then_one_probe(host: TestHost, reach: Targets) -> None:
    inside = reach.client(TARGET, NAMESPACE)
    assert inside.readyz()
    name = next(
        found for found in _names(host) if found.startswith(f"nested/{NAMESPACE}/{NAME}") and "apiserver" in found
    )
    with faults.paused(host.host, name):
        slow = Targets(edge.host(HostConfig(kubeconfig=str(host.kubeconfig))), inside=False, deadline=1.0)
        for _ in range(2):
            with pytest.raises(ApiError):
                slow.client(TARGET, NAMESPACE).readyz()
        assert slow.is_open(TARGET)
        with pytest.raises(ApiError, match="it is asked again in") as error:
            slow.client(TARGET, NAMESPACE).readyz()
        assert error.value.after
    _soon(lambda: slow.client(TARGET, NAMESPACE).readyz())
    assert not slow.is_open(TARGET)
    slow.forget_all()


def _names(host: TestHost) -> list[str]:
    return [str(name) for name in control.call(host.host.folder, {"verb": "list"})["names"]]


def test_inside_the_host_the_service_is_dialled(client: Client, admin: Client) -> None:
    nested = edge.nested(_changed(admin), NAME, NAMESPACE, fence=no_fence)
    assert nested.transport.api.access.server == f"https://{NAME}.{NAMESPACE}:443"
    with pytest.raises(ApiError) as error:
        nested.apply(CONFIG)
    assert error.value.kind is ErrorClass.TRANSIENT  # no such name resolves here; nothing was sent
    nested.close()
