"""Whether a nested control plane can be used, and where."""

from collections.abc import Mapping

from reconciler import health
from reconciler.errors import one_line
from reconciler.health.reading import number, rows, section
from reconciler.model import Health, NestedCluster, Object, ObjectRef

HTTPS = 443
ROLLOUTS = frozenset({"StatefulSet", "Deployment"})
_WORST = ("Failed", "Terminating", "NotFound", "InProgress", "Unknown")


def compute(objects: Mapping[ObjectRef, Object], secret: bool, answers: bool) -> Health:
    """Health of the engine's layer: every object Current, then the credentials, then an API server that answers.

    `objects`: the live objects of the layer; `secret`: `vc-NAME` is there and can be read; `answers`: the nested /readyz
    said ok.
    """
    if not any(ref.kind in ROLLOUTS for ref in objects):
        return Health("InProgress", "NotStarted", "the control plane does not exist yet")
    worst = _worst(objects)
    if worst is not None:
        return worst
    if any(ref.kind in ROLLOUTS and replicas(one) == 0 for ref, one in objects.items()):
        return Health("InProgress", "ScaledToZero", "the control plane has no replicas")
    if not secret:
        return Health("InProgress", "CredentialsMissing", "the engine has not written its credentials yet")
    if not answers:
        return Health("InProgress", "NotAnswering", "the nested API server does not answer yet")
    return Health("Current", "Current")


def replicas(workload: Object) -> int:
    """How many pods a workload of the engine is to have."""
    return number(section(workload, "spec"), "replicas", 1)


def endpoint(cluster: NestedCluster, namespace: str, service: Object | None, port: int = HTTPS) -> str:
    """The URL people use, "" while an exposed one has no address yet; inside the host where it is not exposed.

    `service`: live Service NAME; `port`: of the Gateway's listener.
    """
    expose = cluster.spec.expose
    if expose.type == "Ingress":
        return f"https://{expose.host}"
    if expose.type == "TLSRoute":
        return f"https://{expose.host}" + (f":{port}" if port != HTTPS else "")
    if expose.type == "LoadBalancer":
        name = expose.host or address(service)
        return f"https://{_host(name)}" if name else ""
    if expose.type == "NodePort":
        port, host = _node_port(service), expose.host or next(iter(expose.extra_sans), "")
        return f"https://{_host(host)}:{port}" if port and host else ""
    return f"https://{cluster.metadata.name}.{namespace}"


def address(service: Object | None) -> str:
    """The address that a load balancer gave the Service, "" while there is none."""
    entry = next(iter(rows(section(service or {}, "status", "loadBalancer"), "ingress")), {})
    return one_line(entry.get("ip")) or one_line(entry.get("hostname"))


def _worst(objects: Mapping[ObjectRef, Object]) -> Health | None:
    found = [(ref, health.compute(objects[ref])) for ref in sorted(objects)]
    for status in _WORST:
        for ref, one in found:
            if one.status == status:
                return Health(one.status, one.reason, f"{ref}: {one.message}".rstrip(": "))
    return None


def _node_port(service: Object | None) -> int:
    ports = rows(section(service or {}, "spec"), "ports")
    return next((number(port, "nodePort") for port in ports if port.get("name") == "https"), 0)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
