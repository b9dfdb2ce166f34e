"""Those who act beside a server's own control plane, when a test lets them: the kubelet's part of a rollout, and the
engine."""

from collections.abc import Collection

from tests.memory.server import Server
from tests.memory.storage import Object

ROLLOUTS = (("apps", "StatefulSet"), ("apps", "Deployment"))


def roll_out(server: Server, namespace: str = "", stuck: Collection[str] = ()) -> list[Object]:
    """Say of every StatefulSet and Deployment that all its pods run the newest revision; return those that were not there yet. Of
    those in `stuck`, by name, a new pod never starts, and the old ones are Ready."""
    done = []
    _budgets(server, namespace)
    for group, kind in ROLLOUTS:
        for obj in server.objects(group, kind, namespace):
            status = _stuck(obj) if obj["metadata"]["name"] in stuck else rolled_out(obj)
            if (obj.get("status") or {}) != status and "deletionTimestamp" not in obj["metadata"]:
                server.put({**obj, "status": status}, manager="kube-controller-manager", subresource="status")
                done.append(obj)
    return done


def _budgets(server: Server, namespace: str) -> None:
    """Say of every disruption budget that its controller has seen it."""
    for obj in server.objects("policy", "PodDisruptionBudget", namespace):
        seen = obj["metadata"].get("generation", 1)
        if (obj.get("status") or {}).get("observedGeneration") != seen:
            status = {
                "observedGeneration": seen,
                "currentHealthy": 0,
                "desiredHealthy": 0,
                "disruptionsAllowed": 0,
                "expectedPods": 0,
            }
            server.put({**obj, "status": status}, manager="kube-controller-manager", subresource="status")


def rolled_out(obj: Object) -> Object:
    """The status of a workload that is rolled out."""
    wanted = (obj.get("spec") or {}).get("replicas", 1)
    status: Object = {"observedGeneration": obj["metadata"].get("generation", 1), "replicas": wanted}
    if wanted:
        status |= {"readyReplicas": wanted, "availableReplicas": wanted, "updatedReplicas": wanted}
    if obj["kind"] == "StatefulSet":
        revision = f"{obj['metadata']['name']}-{obj['metadata'].get('generation', 1)}"
        status |= {"currentRevision": revision, "updateRevision": revision}
        status |= {"currentReplicas": wanted} if wanted else {}
    return status


def _stuck(obj: Object) -> Object:
    old = (obj.get("status") or {}).get("currentRevision", "none")
    return {**rolled_out(obj), "updatedReplicas": 0, "currentRevision": old}


def engines(server: Server) -> list[tuple[str, str]]:
    """Namespace and release of every engine whose workload is rolled out and not going; each has its Secret by then."""
    found = []
    for group, kind in ROLLOUTS:
        for obj in server.objects(group, kind):
            labels = obj["metadata"].get("labels") or {}
            if labels.get("app") != "vcluster" or obj.get("status") != rolled_out(obj):
                continue
            namespace, release = obj["metadata"]["namespace"], labels["release"]
            _credentials(server, namespace, release)
            found.append((namespace, release))
    return sorted(found)


def _credentials(server: Server, namespace: str, release: str) -> None:
    name = f"vc-{release}"
    home = server.get("", "Namespace", "", namespace) or {"metadata": {"deletionTimestamp": ""}}
    if server.get("", "Secret", namespace, name) is None and "deletionTimestamp" not in home["metadata"]:
        meta = {"name": name, "namespace": namespace}
        server.put(
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"config": "-"}}, manager="vcluster"
        )
