"""What the engine leaves when its chart's objects are deleted (D2): objects that stay, and selectors that are resolved
by a list."""

from msgspec import Struct

from reconciler.engine import overhead
from reconciler.engine.writes import MANAGED_BY
from reconciler.model import NestedCluster, ObjectRef


class Selector(Struct, frozen=True):
    """Objects of one kind by label, without those named in `but`; `namespace` "" = cluster-scoped."""

    group: str
    kind: str
    namespace: str
    labels: str
    but: tuple[str, ...] = ()


def claims(cluster: NestedCluster, namespace: str) -> tuple[ObjectRef, ...]:
    """The volume claims the engine's StatefulSet makes from its template; deleting it keeps them."""
    name, plane = cluster.metadata.name, cluster.spec.control_plane
    stem, count = (
        (f"data-{name}-etcd", overhead.members(plane.store))
        if plane.store.type == "etcd"
        else (f"data-{name}", plane.replicas)
    )
    return tuple(ObjectRef("", "PersistentVolumeClaim", namespace, f"{stem}-{index}") for index in range(count))


def kept(cluster: NestedCluster, namespace: str) -> tuple[ObjectRef, ...]:
    """The objects that policy Retain keeps, so that adding the cluster again finds its certificates and its data."""
    name = cluster.metadata.name
    return (
        ObjectRef("", "Namespace", "", namespace),
        ObjectRef("", "Service", namespace, name),
        ObjectRef("", "Secret", namespace, f"{name}-certs"),
        ObjectRef("", "Secret", namespace, f"vc-config-{name}"),
        *claims(cluster, namespace),
    )


REQUESTS = "vcluster.loft.sh/snapshot-request"
HOLDS = "vcluster.loft.sh/snapshot-controller"
"""The label of what asks an engine for a snapshot, and the finalizer that it puts on it."""


def asked(namespace: str) -> Selector:
    """Requests for snapshots; their finalizer outlives an engine that goes."""
    return Selector("", "ConfigMap", namespace, REQUESTS)


def planes(name: str, namespace: str) -> Selector:
    """The pods of the control plane and its store. A tenant's labels are copied to the host, so synced pods are none of them."""
    return Selector("", "Pod", namespace, f"release={name},app in (vcluster,vcluster-etcd),!{MANAGED_BY}")


def synced(name: str, namespace: str) -> Selector:
    """The tenant's pods, by the engine's label: of a cluster that is removed nothing else goes."""
    return Selector("", "Pod", namespace, f"{MANAGED_BY}={name}")


def pods(namespace: str, but: tuple[str, ...] = ()) -> Selector:
    """All pods but ours, once those of the control plane are gone: synced ones go on running without it, and labels prove nothing."""
    return Selector("", "Pod", namespace, "", but)


def selectors(name: str, namespace: str) -> tuple[Selector, ...]:
    """The pods that go on running, and the engine's one cluster-scoped kind (D4)."""
    return (
        pods(namespace),
        Selector("scheduling.k8s.io", "PriorityClass", "", f"{MANAGED_BY}={namespace}-x-{name}"),
    )
