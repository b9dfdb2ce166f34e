"""What the engine may ask of its host, as annotations of its host namespace: admission policy `nidus-engine-*` reads them.

Only the controller and the host's administrators write a namespace (decision 0018). What is missing or empty allows nothing.
"""

from reconciler.engine.values import enforced
from reconciler.model import NestedCluster

HOSTS = "nidus.dev/ingress-hosts"
TOLERATIONS = "nidus.dev/tolerations"
PRIORITY = "nidus.dev/priority-class"


def annotations(cluster: NestedCluster) -> dict[str, str]:
    """The host names of its Ingresses, its pods' tolerations in the engine's spelling, and their priority class; lists are
    joined by commas. What is empty is written too: so it is ours, and nobody adds to it."""
    scheduling, to_host = cluster.spec.scheduling, cluster.spec.sync.to_host
    return {
        HOSTS: ",".join(host.lower() for host in to_host.ingress_hosts) if to_host.ingresses else "",
        TOLERATIONS: ",".join(map(enforced, scheduling.tolerations)),
        PRIORITY: scheduling.priority_class_name,
    }
