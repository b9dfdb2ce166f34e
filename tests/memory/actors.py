"""Those who act beside a server's own control plane, when a test lets them: the kubelet's part of a rollout, and the
engine."""

from collections.abc import Collection

from tests.memory.server import Server
from tests.memory.storage import Object

ADDRESSES = "10.97.0."  # of Services on the host
ENFORCE = "pod-security.kubernetes.io/enforce"
ENGINE = "vcluster"
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


LEVEL = {
    f"pod-security.kubernetes.io/{name}": value
    for name, value in (
        ("enforce", "baseline"),
        ("enforce-version", "latest"),
        ("warn", "baseline"),
        ("warn-version", "latest"),
    )
}


def sync(server: Server) -> bool:
    """What the engine's syncer does inside a nested cluster (vCluster 0.36.1): it deletes a Service whose address is not that of its copy
    on the host and creates it anew, marks and all, as itself; a namespace gets the level of the cluster. Returns whether it wrote."""
    services = [one for one in server.objects("", "Service") if _readdressed(server, one)]
    return bool(services + [one for one in server.objects("", "Namespace") if _levelled(server, one)])


def _readdressed(server: Server, obj: Object) -> bool:
    meta, spec = obj["metadata"], obj["spec"]
    if (
        spec.get("clusterIP", "None") == "None"
        or spec["clusterIP"].startswith(ADDRESSES)
        or "deletionTimestamp" in meta
    ):
        return False
    others = [one["spec"].get("clusterIP", "") for one in server.objects("", "Service")]
    address = next(one for n in range(1, 250) if (one := f"{ADDRESSES}{n}") not in others)
    server.delete("", "Service", meta["namespace"], meta["name"])
    kept = {key: meta[key] for key in ("name", "namespace", "labels", "annotations") if key in meta}
    given = {**spec, "clusterIP": address, "clusterIPs": [address]}
    server.put({"apiVersion": "v1", "kind": "Service", "metadata": kept, "spec": given}, manager=ENGINE)
    return True


def _levelled(server: Server, obj: Object) -> bool:
    meta = obj["metadata"]
    labels = meta.get("labels") or {}
    if "deletionTimestamp" in meta or labels.get(ENFORCE) == LEVEL[ENFORCE]:
        return False
    server.put({**obj, "metadata": {**meta, "labels": {**labels, **LEVEL}}}, manager=ENGINE)
    return True
