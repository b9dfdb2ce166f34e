"""How many objects of each kind a host namespace may hold, so that no engine fills the host's store.

A second ResourceQuota beside the tenant's share, always there. The bounds follow from the cluster's share of pods and
services, or from PODS and SERVICES where it has none; docs/decisions/0018-engine-fences.md derives them. Events are not
counted: Kubernetes leaves them out of every quota, and they end after an hour.
"""

from msgspec import UNSET, UnsetType

from reconciler.engine import overhead
from reconciler.model import NestedCluster, Object, Quota, ToHost

NAME = "nidus-counts"
PODS, SERVICES = 1000, 500  # of a cluster without a share
POLICIES = 100  # NetworkPolicies, where they are copied to the host
LEASES = 20
MOST = 1_000_000  # of pods or Services; more is no bound
SPARE = 20  # the engine's own, ours, and those of Kubernetes, of each kind
KEPT = 100  # ConfigMaps and Secrets that no pod brings: snapshots, charts, certificates


def counts(cluster: NestedCluster, share: Quota, namespace: str) -> Object:
    """The quota of the number of objects; what the engine and we make is counted on top of the tenant's."""
    hard = {f"count/{kind}": str(number) for kind, number in sorted(_bounds(cluster, share).items())}
    metadata = {"name": NAME, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}


def _bounds(cluster: NestedCluster, share: Quota) -> dict[str, int]:
    own = overhead.of(cluster)
    pods, services = _or(share.pods, PODS), _or(share.services, SERVICES)
    return {
        "pods": 2 * (pods + own.pods) + SPARE,  # finished pods stay until somebody deletes them
        "configmaps": 2 * pods + KEPT,
        "secrets": 3 * pods + KEPT,  # of each pod one holds its tokens
        "persistentvolumeclaims": 2 * pods + own.pods + SPARE,
        "services": services + own.services,
        "endpoints": services + own.services + SPARE,
        # one for a hundred addresses, for each of two address families
        "endpointslices.discovery.k8s.io": 2 * (services + own.services) + pods + SPARE,
        "leases.coordination.k8s.io": LEASES,
    } | _switched(cluster.spec.sync.to_host, pods, services)


def _switched(on: ToHost, pods: int, services: int) -> dict[str, int]:
    """Kinds that are copied where the cluster says so; otherwise there are only ours."""
    return {
        "ingresses.networking.k8s.io": SPARE + services * on.ingresses,
        "networkpolicies.networking.k8s.io": SPARE + POLICIES * on.network_policies,
        "poddisruptionbudgets.policy": SPARE + pods * on.pod_disruption_budgets,
        "serviceaccounts": SPARE + pods * on.service_accounts,
    }


def _or(written: int | UnsetType, fallback: int) -> int:
    return fallback if written is UNSET else min(written, MOST)
