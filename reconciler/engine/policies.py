"""The host namespace of a nested cluster and what limits it: quota, default limits, role bindings.

Rendered by us and not by the chart: any chart value restarts the control plane, and the chart's quota counts the
engine's own use as the tenant's. `limits.cpu` and a default CPU limit are never set: the engine runs without one.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from msgspec import UNSET, UnsetType

from reconciler.engine import fences, overhead, quantity
from reconciler.engine.values import isolation_of
from reconciler.model import NestedCluster, Object, Quota, Rules, ToHost

ENGINE_ROLE = "nidus-engine"
TENANT_ROLE = "nidus-tenant"
GUARD = "nidus"


def host_namespace(cluster: NestedCluster, namespace: str, rules: Rules) -> Object:
    """The namespace object; pods that break the cluster's pod security level are refused by the host, and what the engine
    may ask for (`fences`) stands in its annotations."""
    level = isolation_of(cluster, rules).pod_security
    labels = {"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/enforce-version": "latest"}
    metadata = {"name": namespace, "labels": labels, "annotations": fences.annotations(cluster)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def quota(cluster: NestedCluster, share: Quota, namespace: str) -> Object | None:
    """The tenant's share plus the engine's own overhead, None where nothing is limited. Raises ValueError."""
    if share == Quota():
        return None
    own = overhead.of(cluster)
    hard = _amounts(share, own) | _counts(share, own)
    return _guard("v1", "ResourceQuota", namespace, {"hard": dict(sorted(hard.items()))})


def limit_range(share: Quota, namespace: str) -> Object | None:
    """Defaults for containers without requests or limits; without them the quota would refuse their pods."""
    limited = {"cpu": share.cpu, "memory": share.memory, "ephemeral-storage": share.ephemeral_storage}
    names = [name for name, amount in limited.items() if amount]
    limits = {name: overhead.DEFAULT_LIMITS[name] for name in names if name in overhead.DEFAULT_LIMITS}
    requests = {name: overhead.DEFAULT_REQUESTS[name] for name in names}
    item = {"type": "Container", "defaultRequest": requests, **({"default": limits} if limits else {})}
    return _guard("v1", "LimitRange", namespace, {"limits": [item]}) if names else None


def role_bindings(cluster: NestedCluster, namespace: str, account: str) -> tuple[Object, ...]:
    """What the engine's account and the controller may do in this namespace, through fixed ClusterRoles (A9): one for the
    engine, one more for each kind that it copies to the host, one for the controller."""
    roles = (ENGINE_ROLE, *(f"{ENGINE_ROLE}-{kind}" for kind in _copied(cluster.spec.sync.to_host)))
    engine = tuple(_binding(role, namespace, namespace, f"vc-{cluster.metadata.name}") for role in roles)
    home, _, name = account.partition(":")
    return (*engine, _binding(TENANT_ROLE, namespace, home, name)) if name else engine


def _copied(on: ToHost) -> list[str]:
    """The kinds that are copied where the cluster says so, as resources."""
    switches = {
        "ingresses": on.ingresses,
        "networkpolicies": on.network_policies,
        "poddisruptionbudgets": on.pod_disruption_budgets,
        "serviceaccounts": on.service_accounts,
    }
    return [kind for kind, wanted in switches.items() if wanted]


def _amounts(share: Quota, own: overhead.Overhead) -> dict[str, str]:
    hard = {}
    for name, wanted, text in (
        ("cpu", share.cpu, quantity.cores),
        ("memory", share.memory, quantity.size),
        ("ephemeral-storage", share.ephemeral_storage, quantity.size),
    ):
        if wanted:
            hard[f"requests.{name}"] = text(quantity.parse(wanted) + _of(own.requests, name))
        if wanted and name != "cpu":
            hard[f"limits.{name}"] = text(quantity.parse(wanted) + _of(own.limits, name))
    if share.storage:
        hard["requests.storage"] = quantity.size(quantity.parse(share.storage) + own.storage)
    return hard


def _counts(share: Quota, own: overhead.Overhead) -> dict[str, str]:
    pieces: dict[str, tuple[int | UnsetType, int]] = {
        "pods": (share.pods, own.pods),
        "services": (share.services, own.services),
        "services.loadbalancers": (share.load_balancers, own.load_balancers),
        "services.nodeports": (share.node_ports, own.node_ports),
    }
    hard = {name: str(wanted + more) for name, (wanted, more) in pieces.items() if wanted is not UNSET}
    return hard | {f"requests.{name}": str(count) for name, count in share.extended.items()}


def _of(amounts: Mapping[str, Fraction], name: str) -> Fraction:
    return amounts.get(name, Fraction(0))


def _binding(role: str, namespace: str, home: str, account: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
    }


def _guard(version: str, kind: str, namespace: str, spec: Mapping[str, Any]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": GUARD, "namespace": namespace}, "spec": spec}
