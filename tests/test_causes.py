"""Why an object is not Current: chains from what a server holds, read by the product's own client, as one sentence."""

from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.gather import causes as reading
from reconciler.gather.reader import CAUSES, Reads
from reconciler.health import causes
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.shell import client

IMAGE = "ghcr.io/x/y:1"
AT = "2026-11-26T10:00:00Z"


def meta(name: str, uid: str, owner: str = "", **more: Any) -> dict[str, Any]:
    owners = [{"apiVersion": "v1", "kind": "Owner", "name": "o", "uid": owner}] if owner else []
    told = {"name": name, "namespace": "web", "uid": uid, "labels": {"app": "shop"}, "creationTimestamp": AT}
    return told | ({"ownerReferences": owners} if owners else {}) | more


def workload(kind: str = "Deployment", status: Mapping[str, Any] | None = None) -> dict[str, Any]:
    group = "batch/v1" if kind == "Job" else "apps/v1"
    spec = {"selector": {"matchLabels": {"app": "shop"}}}
    return {"apiVersion": group, "kind": kind, "metadata": meta("shop", "root"), "spec": spec, "status": status or {}}


def replica_set(name: str = "shop-6f9", revision: int = 2, status: Mapping[str, Any] | None = None) -> dict[str, Any]:
    notes = {"deployment.kubernetes.io/revision": str(revision)}
    return workload("ReplicaSet", status) | {"metadata": meta(name, f"rs{revision}", "root", annotations=notes)}


def pod(owner: str, status: Mapping[str, Any], name: str = "shop-6f9-x", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, name, owner), "spec": spec, "status": status}


def container(state: Mapping[str, Any], restarts: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": "app", "image": IMAGE, "ready": False, "restartCount": restarts, "state": state, **more}


def event(uid: str, reason: str, message: str, name: str = "e1", at: str = AT) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "web", "uid": name}}
    return body | {"involvedObject": {"uid": uid}, "reason": reason, "message": message, "lastTimestamp": at}


CRASHED = container(
    {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
    5,
    lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
)
PULLING = container({"waiting": {"reason": "ImagePullBackOff"}})
CREATING = container({"waiting": {"reason": "ContainerCreating"}})
SCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
QUOTA = 'pods "shop-6f9-x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=2, limited: pods=2'
SECURITY = 'pods "shop-6f9-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


def refused(message: str) -> dict[str, Any]:
    return {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]}


def pending(*volumes: Any) -> dict[str, Any]:
    return pod("root", {"phase": "Pending", "conditions": [SCHEDULED]}, volumes=list(volumes))


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": meta("data", "c1"),
    "status": {"phase": "Pending"},
}
CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "crash loop": (
        [workload(), replica_set(), pod("rs2", {"phase": "Running", "containerStatuses": [CRASHED]})],
        f"Deployment web/shop 0/1: pod shop-6f9-x CrashLoopBackOff (5 restarts), image {IMAGE}: "
        "ended with exit code 137 (OOMKilled)",
    ),
    "image pull": (
        [
            workload(),
            replica_set(),
            pod("rs2", {"phase": "Pending", "containerStatuses": [PULLING]}),
            event("shop-6f9-x", "Failed", "Failed to pull image: not found", "e2", "2026-11-26T10:00:02Z"),
            event("shop-6f9-x", "Scheduled", "Successfully assigned"),
        ],
        f"Deployment web/shop 0/1: pod shop-6f9-x ImagePullBackOff, image {IMAGE}: Failed: Failed to pull image: not found",
    ),
    "mount": (
        [
            workload("StatefulSet"),
            pod("root", {"phase": "Pending", "containerStatuses": [CREATING]}, "shop-0"),
            event("shop-0", "FailedMount", 'secret "keys" not found'),
        ],
        f'StatefulSet web/shop 0/1: pod shop-0 ContainerCreating, image {IMAGE}: FailedMount: secret "keys" not found',
    ),
    "not ready": (
        [
            workload("DaemonSet", {"desiredNumberScheduled": 3, "numberReady": 2}),
            pod("root", {"phase": "Running", "containerStatuses": [container({"running": {}})]}),
            event("shop-6f9-x", "Unhealthy", "Readiness probe failed: 503"),
        ],
        f"DaemonSet web/shop 2/3: pod shop-6f9-x not ready, image {IMAGE}: Unhealthy: Readiness probe failed: 503",
    ),
    "quota": (
        [workload(status=refused(QUOTA)), replica_set(status=refused(QUOTA))],
        f"Deployment web/shop 0/1: replicaset shop-6f9 0/1: {QUOTA}",
    ),
    "pod security": ([workload("ReplicaSet", refused(SECURITY))], f"ReplicaSet web/shop 0/1: {SECURITY}"),
    "quota of a StatefulSet": (
        [workload("StatefulSet"), event("root", "FailedCreate", QUOTA)],
        f"StatefulSet web/shop 0/1: FailedCreate: {QUOTA}",
    ),
    "unschedulable": (
        [workload("StatefulSet"), pending()],
        "StatefulSet web/shop 0/1: pod shop-6f9-x Unschedulable: 0/3 nodes are available",
    ),
    "unschedulable for a claim": (
        [
            workload("StatefulSet"),
            pending({"name": "v", "persistentVolumeClaim": {"claimName": "data"}}),
            CLAIM,
            event("c1", "ProvisioningFailed", 'storageclass "fast" not found'),
        ],
        "StatefulSet web/shop 0/1: persistentvolumeclaim data Pending: ProvisioningFailed: "
        'storageclass "fast" not found',
    ),
    "claim": (
        [CLAIM, event("c1", "ProvisioningFailed", 'storageclass "fast" not found')],
        'PersistentVolumeClaim web/data Pending: ProvisioningFailed: storageclass "fast" not found',
    ),
    "job": (
        [
            workload("Job", {"failed": 1}),
            pod(
                "root",
                {
                    "phase": "Failed",
                    "containerStatuses": [container({"terminated": {"exitCode": 2, "reason": "Error"}})],
                },
            ),
        ],
        f"Job web/shop 0/1: pod shop-6f9-x PodFailed, image {IMAGE}: ended with exit code 2",
    ),
    "evicted": (
        [workload("StatefulSet"), pod("root", {"phase": "Failed", "reason": "Evicted", "message": "low on memory"})],
        "StatefulSet web/shop 0/1: pod shop-6f9-x Evicted: low on memory",
    ),
    "nothing below": ([workload()], ""),
}


def filled(objects: list[dict[str, Any]]) -> Server:
    server = Server()
    server.controllers = frozenset()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}})
    with server.core.lock:
        for one in objects:
            kind = server.core.named(one["apiVersion"].rpartition("/")[0], one["kind"])
            assert kind is not None
            server.core.storage.put(kind.resource, one)
    return server


def sentence(objects: list[dict[str, Any]], reads: Reads | None = None) -> str:
    root = objects[0]
    return causes.told(causes.chain(root, reading.read(root, client(filled(objects)), reads or Reads())))


@pytest.mark.parametrize("name", CASES)
def test_a_chain_ends_at_its_cause(name: str) -> None:
    objects, told = CASES[name]
    assert sentence(objects) == told


def test_the_newest_rollout_and_its_worst_pod_are_followed() -> None:
    objects = [
        workload(),
        replica_set("shop-old", 9),
        replica_set("shop-new", 10),
        pod("rs9", {"phase": "Running", "containerStatuses": [CRASHED]}, "of-old"),
        pod("rs10", {"phase": "Pending", "conditions": [SCHEDULED]}, "a-waits"),
        pod("rs10", {"phase": "Running", "containerStatuses": [CRASHED]}, "b-crashes"),
        pod("other", {"phase": "Running", "containerStatuses": [CRASHED]}, "a-foreign"),
    ]
    way = causes.chain(objects[0], reading.read(objects[0], client(filled(objects)), Reads()))
    assert [(one.kind, one.name) for one in way] == [
        ("Deployment", "shop"),
        ("ReplicaSet", "shop-new"),
        ("Pod", "b-crashes"),
    ]


def test_reads_are_bounded_over_a_whole_pass_and_what_cannot_be_read_is_left_out() -> None:
    objects, told = CASES["crash loop"]
    server, reads = filled(objects), Reads()
    for _ in range(2 * CAUSES):
        reading.read(objects[0], client(server), reads)
    assert sum(call.verb == "list" for call in server.log) == CAUSES
    assert sentence(objects, Reads(2)) == told.partition(": ended")[0] + ": " + "ended with exit code 137 (OOMKilled)"
    server.fail(answer(403), on("list", kind="Pod"), times=None)
    server.fail(answer(403), on("list", kind="Event"), times=None)
    left = causes.told(causes.chain(objects[0], reading.read(objects[0], client(server), Reads())))
    assert left == "Deployment web/shop 0/1: replicaset shop-6f9 0/1"


@pytest.mark.parametrize("bad", ["x\x1b[2J" * 1000, {"a": 1}, ["x"] * 5000, None, 1 << 70])
def test_a_hostile_server_says_little_and_printably(bad: Any) -> None:
    status = {
        "phase": bad,
        "reason": bad,
        "message": bad,
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": bad, "message": bad}],
        "containerStatuses": [
            {"image": bad, "restartCount": bad, "state": {"waiting": {"reason": bad}}, "lastState": bad},
            bad,
        ],
    }
    hostile = [
        workload()
        | {
            "spec": {
                "selector": {"matchLabels": bad, "matchExpressions": [{"key": bad, "operator": "In", "values": bad}]}
            }
        },
        replica_set(status={"readyReplicas": bad, "conditions": bad}),
        pod("rs2", status, volumes=bad),
        event("shop-6f9-x", bad, bad, at=bad),
    ]
    way = causes.chain(hostile[0], hostile)
    text = causes.told(way)
    assert len(text) < 3000 and text.isprintable()
    assert all(len(str(one)) < 3000 and str(one).isprintable() for one in way)
    assert all(
        query.labels.isprintable() and len(query.labels) <= 2000 for one in hostile for query in causes.queries(one)
    )
