"""What a tenant's workloads meet in the life of an engine: the fences of the host, sleep, a restore. The stand-in is held to it, and
the official engine where NIDUS_VCLUSTER names one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost import stage
from devhost.account import Account
from devhost.api import Client
from devhost.hosting import TestHost
from tests.documents import RESTRICTED
from tests.host.field import Field, opened
from tests.host.promises import digest, nidus, write_cluster, write_maps
from tests.host.stores import credentials
from tests.object_store import ObjectStore

pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.timeout(900)]

SECONDS = 240.0  # the official engine starts an API server, a database and controllers of its own
MANAGED_BY = "vcluster.loft.sh/managed-by"
CHOSEN = "vcluster.loft.sh/object-name"


@pytest.fixture
def field(host: TestHost, account: Account, tmp_path: Path) -> Iterator[Field]:
    """A field whose clusters may send snapshots to a store of the test's own."""
    store = ObjectStore("backups")
    made = opened(account, tmp_path / "stage", {"ceilings": {**stage.CEILINGS, "backupEndpoints": [store.url]}})
    location = {"type": "s3", "bucket": "backups", "endpoint": store.url}
    write_maps(made, "kept")
    write_cluster(made, backup={"location": location, "credentials": "keys"})
    yield made
    made.end()
    store.close()


def small(**spec: Any) -> dict[str, Any]:
    """The spec of a small pod that every pod security level lets in."""
    room = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}}
    container = {"name": "c", "image": "registry.example.com/web:1", "securityContext": RESTRICTED, "resources": room}
    return {"containers": [container], **spec}


def made(api: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def workload(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """A workload of one small pod."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": small()}
    return made("apps/v1", kind, name, {"selector": {"matchLabels": labels}, "template": template, **spec})


def on_host(field: Field, cluster: str) -> dict[str, dict[str, Any]]:
    """The tenant's pods of namespace default on the host that are not going, by their names inside."""
    listed = field.admin.list("v1", "Pod", f"vcluster-{cluster}", labels=f"{MANAGED_BY}={cluster}")["items"]
    living = [one for one in listed if not one["metadata"].get("deletionTimestamp")]
    noted = [(one["metadata"].get("annotations", {}), one) for one in living]
    return {
        notes[CHOSEN]: one
        for notes, one in noted
        if CHOSEN in notes and notes["vcluster.loft.sh/object-namespace"] == "default"
    }


def run(field: Field, cluster: str, *names: str) -> None:
    """Wait until pods whose names begin so run on the host."""

    def there() -> bool:
        found = {name for name, one in on_host(field, cluster).items() if one["status"].get("phase") == "Running"}
        return all(any(one.startswith(name) for one in found) for name in names)

    field.until(f"{names} run", there, SECONDS)


def uid(inside: Client, kind: str, name: str) -> str:
    found = inside.get("v1", kind, name, "default")
    return str(found["metadata"]["uid"]) if found else ""


def warned(inside: Client, pod: str, text: str) -> bool:
    """Whether the tenant is told so about the pod."""
    told = inside.list("v1", "Event", "default", fields=f"involvedObject.name={pod},type=Warning")["items"]
    return any(text in str(one.get("message", "")) for one in told)


def test_workloads_live_through_the_fences_sleep_and_a_restore(field: Field) -> None:
    name = field.cluster()
    field.push()
    field.start()
    field.wait(name, seconds=SECONDS)
    inside = field.inside(name)
    workloads_run_and_a_pod_is_resized(field, name, inside)
    what_is_forbidden_is_refused_and_told(field, name, inside)
    it_sleeps_and_wakes(field, name)
    everything_is_back_after_a_restore(field, name)


def workloads_run_and_a_pod_is_resized(field: Field, name: str, inside: Client) -> None:
    inside.create(workload("Deployment", "web", replicas=1))
    inside.create(workload("StatefulSet", "store", replicas=1, serviceName="store"))
    inside.create(workload("DaemonSet", "agent"))
    inside.create(made("v1", "Pod", "alone", small()))
    run(field, name, "web-", "store-0", "agent-", "alone")
    # A pod that waits for a node: fake nodes do not say what a container has, and of one that runs the API server wants to know.
    inside.create(made("v1", "Pod", "waiting", small(nodeSelector={"example.com/pool": "none"})))
    field.until("the pod waits on the host", lambda: "waiting" in on_host(field, name), SECONDS)
    larger = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "20m"}}}]}}
    inside.patch("v1", "Pod", "waiting", "default", larger, subresource="resize", form="strategic")
    field.until("it is resized on the host", lambda: asked(on_host(field, name)["waiting"]) == "20m", SECONDS)
    inside.delete("v1", "Pod", "waiting", "default", grace=0)


def asked(pod: dict[str, Any]) -> str:
    """The CPU that a pod's container asks for."""
    return str(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"])


def what_is_forbidden_is_refused_and_told(field: Field, name: str, inside: Client) -> None:
    tolerant = made("v1", "Pod", "tolerant", small(tolerations=[{"key": "dedicated", "operator": "Exists"}]))
    attached = made("v1", "Pod", "attached", small())
    attached["metadata"]["annotations"] = {"k8s.v1.cni.cncf.io/networks": "kube-system/host"}
    cases = {"tolerate what it tolerates": tolerant, "asks the network of the host for nothing": attached}
    for why, body in cases.items():
        pod = body["metadata"]["name"]
        inside.create(body)
        field.until(f"{pod} is refused", lambda pod=pod, why=why: warned(inside, pod, why), SECONDS)
        assert pod not in on_host(field, name)
        inside.delete("v1", "Pod", pod, "default", grace=0)


def it_sleeps_and_wakes(field: Field, name: str) -> None:
    nidus(field, "sleep", name)
    field.wait(name, "Asleep", SECONDS)
    assert field.admin.list("v1", "Pod", f"vcluster-{name}")["items"] == []
    nidus(field, "wake", name)
    field.wait(name, seconds=SECONDS)
    run(field, name, "web-", "store-0", "agent-")


def everything_is_back_after_a_restore(field: Field, name: str) -> None:
    inside = field.inside(name)
    field.until("the pod of before is gone", lambda: uid(inside, "Pod", "alone") == "", SECONDS)
    inside.create(made("v1", "Pod", "alone", small()))
    run(field, name, "alone")
    credentials(field, f"vcluster-{name}")
    before = {kind: uid(inside, kind, one) for kind, one in (("Pod", "alone"), ("Service", "kubernetes"))}
    nidus(field, "backup", name)
    field.until("a snapshot", lambda: states(field, name) == ["Completed"], SECONDS)
    inside.delete("v1", "Pod", "alone", "default", grace=0)
    inside.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later", "namespace": "default"}})

    nidus(field, "restore", name, field.status(name)["backups"]["list"][0]["id"])
    field.until("it is held", lambda: field.word(name) == "Held", SECONDS)
    nidus(field, "approve", digest(field, name))
    field.until("it ended", lambda: field.status(name).get("restore", {}).get("last"), SECONDS)
    assert field.status(name)["restore"]["last"]["state"] == "Completed", field.status(name)["restore"]
    field.wait(name, seconds=SECONDS)
    inside = field.inside(name)
    assert {kind: uid(inside, kind, one) for kind, one in (("Pod", "alone"), ("Service", "kubernetes"))} == before
    assert uid(inside, "ConfigMap", "later") == ""
    run(field, name, "alone", "web-", "store-0", "agent-")


def states(field: Field, name: str) -> list[str]:
    return [one["state"] for one in field.status(name).get("backups", {}).get("list", [])]
