"""Network policies of one tenant's host namespace: deny by default, then allow what the engine and its workloads need.

Pods are told apart by the engine's labels: the control plane `app: vcluster`, the store `app: vcluster-etcd`, synced
pods `vcluster.loft.sh/managed-by`. Workloads reach the internet but no private network, so no other tenant, node or
metadata service; the control plane also reaches API servers, whose addresses are not known in advance. That rule names
ports and no addresses: some network plugins match no address block against a node. Metadata services answer at port 80.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from reconciler.engine.writes import MANAGED_BY
from reconciler.model import Isolation, NestedCluster, Object
from reconciler.model.networks import PRIVATE, PRIVATE_6

API_PORT = 8443
HOST_API_PORTS = (443, 6443, 8443)
RESTORES = "vcluster-snapshot"  # the label `app` of the pods that restore
NODE_DNS = "169.254.20.10/32"

Rule = Mapping[str, Any]


def network_policies(
    cluster: NestedCluster, isolation: Isolation, namespace: str, account: str, stores: Sequence[str] = ()
) -> tuple[Object, ...]:
    """Default deny, then one policy for each kind of pod in the namespace. `stores`: the object stores that the operator lists, one of
    which a snapshot of another cluster lies in."""
    name = cluster.metadata.name
    engine, workload = _peer(_engine(name)), _peer(_workload(name))
    outside = [{"namespaceSelector": _named(found.namespace)} for found in isolation.ingress_from]
    guarded = [
        _policy("nidus-default", namespace, {}, (), ()),
        _policy("nidus-engine", namespace, _engine(name), _to_engine(cluster, outside, account), _from_engine(cluster)),
        _policy(
            "nidus-workload",
            namespace,
            _workload(name),
            ({"from": [engine, workload, *outside]},),
            (_dns(), {"to": [workload]}, {"to": [engine], "ports": _tcp(API_PORT)}, _internet()),
        ),
    ]
    ports = {*_store_port(cluster), *_read_ports(cluster, stores)}
    if ports:
        restores = {"app": RESTORES, "release": name}
        guarded.append(_policy("nidus-restore", namespace, restores, (), (_dns(), {"ports": _tcp(*sorted(ports))})))
    if cluster.spec.control_plane.store.type == "etcd":
        guarded.append(_store(name, namespace))
    return tuple(guarded)


def _to_engine(cluster: NestedCluster, outside: Sequence[Rule], account: str) -> tuple[Rule, ...]:
    """Allow all sources to an exposed API server: traffic arrives from node addresses. Its TLS and the load balancer's
    source ranges limit access."""
    expose = cluster.spec.expose.type
    if expose in ("LoadBalancer", "NodePort") or (expose in ("Ingress", "TLSRoute") and not outside):
        return ({"ports": _tcp(API_PORT)},)
    home = account.partition(":")[0]
    controller = [{"namespaceSelector": _named(home)}] if home else []
    return ({"from": [{"podSelector": {}}, *controller, *outside], "ports": _tcp(API_PORT)},)


def _from_engine(cluster: NestedCluster) -> tuple[Rule, ...]:
    """To its host's API server, whose address nobody knows, so by port; for snapshots to the port of their object store too."""
    further = [port for port in _store_port(cluster) if port not in HOST_API_PORTS]
    return _dns(), {"to": [{"podSelector": {}}]}, {"ports": _tcp(*HOST_API_PORTS, *further)}


def _store_port(cluster: NestedCluster) -> tuple[int, ...]:
    backup = cluster.spec.backup
    if backup is None:
        return ()
    return (_port(backup.location.endpoint),)


def _read_ports(cluster: NestedCluster, stores: Sequence[str]) -> tuple[int, ...]:
    """Of where the snapshot lies that it begins with."""
    asks = cluster.spec.restore_from
    if asks is None:
        return ()
    return (_port(asks.url),) if asks.url else tuple(map(_port, stores))


def _port(address: str) -> int:
    found = urlsplit(address)
    return found.port or (80 if found.scheme == "http" else 443)


def _store(name: str, namespace: str) -> Object:
    etcd = {"app": "vcluster-etcd", "release": name}
    members, clients = _peer(etcd), _peer(_engine(name))
    arriving = ({"from": [members, clients], "ports": _tcp(2379)}, {"from": [members], "ports": _tcp(2380)})
    leaving = (_dns(), {"to": [members], "ports": _tcp(2379, 2380)})
    return _policy("nidus-store", namespace, etcd, arriving, leaving)


def _policy(
    name: str, namespace: str, pods: Mapping[str, str], arriving: Sequence[Rule], leaving: Sequence[Rule]
) -> Object:
    spec: dict[str, Any] = {
        "podSelector": _selected(pods),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": list(arriving) or None,  # null: what somebody writes there goes
        "egress": list(leaving) or None,
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _engine(name: str) -> dict[str, str]:
    return {"app": "vcluster", "release": name}


def _workload(name: str) -> dict[str, str]:
    return {MANAGED_BY: name}


def _peer(labels: Mapping[str, str]) -> Rule:
    return {"podSelector": _selected(labels)}


def _selected(labels: Mapping[str, str]) -> Rule:
    """Pods by label; the engine copies a tenant's labels to the host, so its own pods are those it did not sync."""
    if not labels:
        return {}
    if MANAGED_BY in labels:
        return {"matchLabels": dict(labels)}
    ours = {"key": MANAGED_BY, "operator": "DoesNotExist"}
    return {"matchLabels": dict(labels), "matchExpressions": [ours]}


def _named(namespace: str) -> Rule:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def _dns() -> Rule:
    host = {"namespaceSelector": _named("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
    ports = [{"port": 53, "protocol": protocol} for protocol in ("TCP", "UDP")]
    return {"to": [host, {"ipBlock": {"cidr": NODE_DNS}}], "ports": ports}


def _internet() -> Rule:
    blocks = {"0.0.0.0/0": PRIVATE, "::/0": PRIVATE_6}
    return {"to": [{"ipBlock": {"cidr": cidr, "except": list(private)}} for cidr, private in blocks.items()]}


def _tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"port": port, "protocol": "TCP"} for port in ports]
