"""Workloads inside a cluster that was woken. Their status is that of before the sleep until the engine has noticed that the pods
of then are gone, so their pods are counted on the host (O5)."""

from collections.abc import Collection, Iterable, Mapping

from reconciler import health
from reconciler.engine import leftovers
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather.reader import Reader
from reconciler.health.reading import number, section
from reconciler.model import Bundle, Health, Object, ObjectRef, Target

ORIGIN = "vcluster.loft.sh/object-uid"  # annotation of a pod on the host: the UID of the pod inside
_ONE = "Pod"
_KINDS = frozenset({"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet", _ONE})


def behind(
    bundle: Bundle, live: Mapping[ObjectRef, Object], target: Target, host: Target, reader: Reader
) -> dict[ObjectRef, Health]:
    """The workloads among `live` that say they are Current and have too few Ready pods that run on the host. Nothing is read where
    there is none to count."""
    claim = {ref: one for ref, one in live.items() if ref.kind in _KINDS and health.compute(one).status == "Current"}
    counted = {ref: one for ref, one in claim.items() if _wanted(one)}
    if not counted:
        return {}
    try:
        runs = _origins(bundle, reader, host)
        ready = _ready(sorted({ref.namespace for ref in counted}), target, reader, runs)
    except LeaseLost:
        raise
    except NidusError as error:
        return {ref: Health("Unknown", error.reason, f"its pods are not known: {error.message}") for ref in counted}
    told = {ref: _short(one, ready) for ref, one in counted.items()}
    return {ref: found for ref, found in told.items() if found is not None}


def _origins(bundle: Bundle, reader: Reader, host: Target) -> frozenset[str]:
    """The UIDs of the pods inside that have a pod on the host."""
    synced = leftovers.synced(bundle.cluster, bundle.namespace)
    found = reader.client(host).list("", "Pod", namespace=synced.namespace, labels=synced.labels)[0]
    return frozenset(str(section(one, "metadata", "annotations").get(ORIGIN, "")) for one in found if not _goes(one))


def _ready(namespaces: Iterable[str], target: Target, reader: Reader, runs: Collection[str]) -> list[Object]:
    """The Ready pods of these namespaces that run on the host."""
    client = reader.client(target)
    found = (one for name in namespaces for one in client.list("", "Pod", namespace=name)[0])
    return [one for one in found if one["metadata"]["uid"] in runs and health.compute(one).status == "Current"]


def _short(workload: Object, ready: Iterable[Object]) -> Health | None:
    wanted, have = _wanted(workload), sum(1 for pod in ready if _of(pod, workload))
    if have >= wanted:
        return None
    return Health("InProgress", "LessReady", f"{have} of {wanted} pods run since it woke")


def _wanted(workload: Object) -> int:
    """How many pods are to run; 0 for a pod that has ended."""
    if workload["kind"] == _ONE:
        return int(section(workload, "status").get("phase") == "Running")
    if workload["kind"] == "DaemonSet":
        return number(section(workload, "status"), "desiredNumberScheduled", 0)
    return number(section(workload, "spec"), "replicas", 1)


def _of(pod: Object, workload: Object) -> bool:
    """Whether it is of this workload, as far as labels tell: expressions of a selector are not read."""
    mine, its = section(pod, "metadata"), section(workload, "metadata")
    if mine.get("namespace") != its.get("namespace"):
        return False
    if workload["kind"] == _ONE:
        return mine.get("uid") == its.get("uid")
    labels, wanted = section(pod, "metadata", "labels"), section(workload, "spec", "selector", "matchLabels")
    return all(labels.get(key) == value for key, value in wanted.items())


def _goes(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]
