"""Field cases of health: what waits for somebody else does not block, and what was told to stand still is named (14, 15, 17)."""

from typing import Any

import pytest

from reconciler import health
from tests.memory.server import Server
from tests.passes import Fleet, cluster, config_map, pack, profile

SELECTED = "volume.kubernetes.io/selected-node"
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {
        "storageClassName": "late",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
}


def storage(mode: str, **annotations: str) -> dict[str, Any]:
    meta = {"name": "late", "annotations": annotations}
    made = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": meta}
    return {**made, "provisioner": "x.io/late", "volumeBindingMode": mode}


def ran(*objects: dict[str, Any], on_host: dict[str, Any] | None = None) -> Fleet:
    """A cluster with these objects in a pack, and another pack that waits for it."""
    fleet = Fleet()
    if on_host is not None:
        fleet.host.put(on_host)
    packs = pack("base", *objects), pack("next", config_map("two"), dependsOn=["base"])
    fleet.push({"p.yaml": profile(*packs), "a.yaml": cluster("a")})
    fleet.run()
    return fleet


def test_14_a_claim_that_waits_for_its_first_consumer_does_not_block() -> None:
    fleet = ran(storage("WaitForFirstConsumer"), CLAIM)
    assert fleet.word("a") == "Ready", fleet.condition("a").message
    assert fleet.names("a") == ["two"]


@pytest.mark.parametrize("named", [True, False])
def test_a_nested_claim_has_the_classes_of_its_host(named: bool) -> None:
    default = storage("WaitForFirstConsumer", **{"storageclass.kubernetes.io/is-default-class": "true"})
    spec = {key: value for key, value in CLAIM["spec"].items() if named or key != "storageClassName"}
    fleet = ran({**CLAIM, "spec": spec}, on_host=default)
    assert fleet.word("a") == "Ready", fleet.condition("a").message


def test_a_claim_with_a_chosen_node_is_waited_for() -> None:
    assert health.unbound(CLAIM)
    assert not health.unbound({**CLAIM, "metadata": {"name": "data", "annotations": {SELECTED: "n"}}})


@pytest.mark.parametrize("objects", [(storage("Immediate"), CLAIM), (CLAIM,)])
def test_other_claims_are_waited_for(objects: tuple[dict[str, Any], ...]) -> None:
    fleet = ran(*objects)
    assert "the claim is Pending" in fleet.layer("a", "web/base").message
    assert fleet.names("a") == []


def told(server: Server, kind: str, name: str, status: dict[str, Any]) -> None:
    """The status that a controller writes."""
    live = next(one for one in server.objects("apps", kind) if one["metadata"]["name"] == name)
    seen = {"observedGeneration": live["metadata"]["generation"], **status}
    server.put({**live, "status": seen}, manager="kube-controller-manager", subresource="status")


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    pods = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "m", "image": "i"}]}}
    whole = {"selector": {"matchLabels": {"app": "x"}}, "template": pods, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x"}, "spec": whole}


def again(fleet: Fleet) -> str:
    fleet.queue.add("a")
    fleet.run()
    return fleet.layer("a", "web/base").message


def test_15_a_daemon_set_updated_by_hand_is_current() -> None:
    fleet = ran(workload("DaemonSet", updateStrategy={"type": "OnDelete"}))
    status = {
        "desiredNumberScheduled": 1,
        "currentNumberScheduled": 1,
        "numberAvailable": 1,
        "numberReady": 1,
        "numberMisscheduled": 0,
    }
    told(fleet.nested["a"], "DaemonSet", "x", status)
    assert again(fleet) == "" and fleet.word("a") == "Ready"


def test_pods_that_are_refused_are_named_in_the_layer() -> None:
    fleet = ran(workload("Deployment"))
    why = 'pods "x-1" is forbidden: violates PodSecurity "restricted:latest": privileged'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why}
    told(fleet.nested["a"], "Deployment", "x", {"conditions": [failure]})
    assert again(fleet).endswith(f": {why}")


def test_what_is_paused_is_named() -> None:
    fleet = ran(workload("Deployment", paused=True, replicas=1))
    assert again(fleet) == "Deployment.apps/web/x: the controller has not seen it yet"
    told(fleet.nested["a"], "Deployment", "x", {"replicas": 0})
    assert again(fleet) == "Deployment.apps/web/x: the Deployment is paused (spec.paused): 0 of 1 replicas"
    done = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    told(fleet.nested["a"], "Deployment", "x", done)
    assert again(fleet) == "Deployment.apps/web/x: the Deployment is paused"
    assert fleet.word("a") == "Ready"
