"""A quota as a Kubernetes ResourceQuota, for namespaces inside a nested cluster."""

from typing import Any

from msgspec import UNSET

from reconciler.model import Quota


def resource_quota(namespace: str, quota: Quota) -> dict[str, Any]:
    """The object that enforces `quota` in a namespace. CPU and memory count requests; `limits.cpu` is never set."""
    texts = {
        "requests.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "requests.storage": quota.storage,
        "requests.ephemeral-storage": quota.ephemeral_storage,
    }
    counts = {
        "pods": quota.pods,
        "services": quota.services,
        "services.loadbalancers": quota.load_balancers,
        "services.nodeports": quota.node_ports,
    }
    hard = {name: text for name, text in texts.items() if text}
    hard |= {name: str(count) for name, count in counts.items() if count is not UNSET}
    hard |= {f"requests.{name}": str(count) for name, count in quota.extended.items()}
    meta = {"name": "nidus", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}}
