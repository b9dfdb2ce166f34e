"""What an engine puts into the cluster it makes: CoreDNS and the nodes its pods are shown on. Pure."""

from __future__ import annotations

from typing import Any

from devhost.api import Object
from devhost.nested.contract import value

DNS_LABELS = {"k8s-app": "vcluster-kube-dns"}


def objects(config: Object) -> list[Object]:
    """Objects to apply once the plane answers."""
    return [_account(), _service(), _deployment(config)] if value(config, "controlPlane.coredns.enabled", True) else []


def node(name: str) -> Object:
    """The node a pod is shown on: only its name is the host's, the rest is invented, as engines without node rights do."""
    amounts = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "200Gi"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "vcluster.loft.sh/fake-node": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "FakeNode", "message": "shown by the engine"}],
        },
    }


def event(involved: Object, reason: str, message: str, name: str, now: str) -> Object:
    """A Warning about `involved` for the tenant to see; `now` in RFC 3339."""
    meta = involved["metadata"]
    about = {key: meta[key] for key in ("name", "namespace", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{name}", "namespace": meta["namespace"]},
        "involvedObject": about | {"apiVersion": "v1", "kind": involved["kind"]},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": "pod-syncer"},
    }


def _account() -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta("coredns", {})}


def _service() -> Object:
    ports: list[Any] = [
        {"name": "dns", "port": 53, "targetPort": 1053, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "targetPort": 1053, "protocol": "TCP"},
        {"name": "metrics", "port": 9153, "targetPort": 9153, "protocol": "TCP"},
    ]
    meta = _meta("kube-dns", DNS_LABELS | {"kubernetes.io/name": "CoreDNS"})
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": DNS_LABELS, "ports": ports}}


def _deployment(config: Object) -> Object:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    container = {
        "name": "coredns",
        "image": "coredns/coredns:1.12.1",
        "ports": [{"name": "dns", "containerPort": 1053, "protocol": "UDP"}],
        "resources": {"limits": {"cpu": "1", "memory": "170Mi"}, "requests": {"cpu": "20m", "memory": "64Mi"}},
        "securityContext": security | {"runAsUser": 101, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    replicas = value(config, "controlPlane.coredns.deployment.replicas", 1)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta("coredns", DNS_LABELS),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": DNS_LABELS},
            "template": {
                "metadata": {"labels": DNS_LABELS},
                "spec": {"serviceAccountName": "coredns", "containers": [container]},
            },
        },
    }


def _meta(name: str, labels: dict[str, str]) -> Object:
    return {"name": name, "namespace": "kube-system", "labels": labels}
