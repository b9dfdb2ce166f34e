"""Members of a store that may not all be drained at once: a disruption budget beside the one that the chart has for the control plane.

A store of three members answers while two do. The budget is of the engine's layer, so it comes and goes with what it guards.
"""

from reconciler.engine import overhead
from reconciler.model import NestedCluster, Object


def budgets(cluster: NestedCluster, namespace: str) -> tuple[Object, ...]:
    """The budget of the store; none of one member, which could then never be drained."""
    if overhead.members(cluster.spec.control_plane.store) < 2:
        return ()
    name = cluster.metadata.name
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "vcluster-etcd", "release": name}}}
    metadata = {"name": f"{name}-etcd", "namespace": namespace}
    return ({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec},)
