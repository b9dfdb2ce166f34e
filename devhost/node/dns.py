"""The cluster's DNS: CoreDNS as a pod of the real node. Pure."""

from __future__ import annotations

from typing import Any, Final

from devhost.node import place

NAMESPACE: Final = "kube-system"
NAME: Final = "coredns"
IMAGE: Final = "nidus.local/coredns:1"
COREFILE: Final = """\
.:53 {
    errors
    health :8081
    ready :8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
    }
    cache 5
}
"""
"""Names of the cluster alone: every other one has no answer, since there is no network beyond."""

Object = dict[str, Any]


def objects() -> list[Object]:
    """Everything to apply."""
    return [_account(), _role(), _binding(), _configuration(), _deployment(), _service()]


def _meta(name: str, namespace: str = NAMESPACE) -> Object:
    return {"name": name, **({"namespace": namespace} if namespace else {})}


def _account() -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(NAME)}


def _role() -> Object:
    verbs = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    return head | {"metadata": _meta("system:coredns", ""), "rules": rules}


def _binding() -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _meta("system:coredns", ""),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }


def _configuration() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(NAME), "data": {"Corefile": COREFILE}}


def _deployment() -> Object:
    labels = {"k8s-app": "kube-dns"}
    container = {
        "name": NAME,
        "image": IMAGE,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": {"httpGet": {"port": 8181, "path": "/ready"}, "periodSeconds": 1},
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
    }
    pod = {
        "serviceAccountName": NAME,
        "dnsPolicy": "Default",
        "nodeSelector": {place.LABEL: "real"},
        "tolerations": [{"key": place.TAINT, "operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": NAME}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta(NAME), "spec": spec}


def _service() -> Object:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    spec = {"clusterIP": place.DNS_ADDRESS, "selector": {"k8s-app": "kube-dns"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta("kube-dns"), "spec": spec}
