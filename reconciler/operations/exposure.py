"""Condition Exposed: whether people outside reach a cluster that is to be exposed, and what is in the way. Pure.

What the host's objects say comes first, then what came of trying the address.
"""

from collections.abc import Mapping

from reconciler.engine import readiness
from reconciler.engine.readiness import HTTPS
from reconciler.errors import one_line
from reconciler.health.reading import number, rows, section
from reconciler.model import Bundle, Condition, Expose, Exposure, Found, Object, Outside, Tried

TYPE = "Exposed"
LISTENERS = 64  # of one Gateway, by its CRD
PASSES: Mapping[str, str] = {
    "k8s.io/ingress-nginx": "nginx.ingress.kubernetes.io/ssl-passthrough",
    "haproxy.org/ingress-controller/haproxy": "haproxy.org/ssl-passthrough",
    "haproxy-ingress.github.io/controller": "ingress.kubernetes.io/ssl-passthrough",
}
"""Controller of an IngressClass -> the annotation with which it passes TLS through to the API server."""
ENDS_TLS = frozenset({"traefik.io/ingress-controller"})  # controllers that end TLS of every Ingress
_ADVICE: Mapping[Found, str] = {
    "NameUnresolved": "make a DNS record for it, or a wildcard one for all clusters",
    "NotReached": "look at the load balancer, the node's port and what filters between",
    "NotTls": "whatever listens there passes no TLS through",
    "ForeignCertificate": "something ends TLS before the API server: turn passthrough on (ingress-nginx: --enable-ssl-passthrough)",
    "NameNotInCertificate": "another cluster answers there; look at where the name leads, and at expose.extraSANs",
}


def of(bundle: Bundle) -> Expose | None:
    """How a cluster is to be exposed; None where it is not, or where it is removed."""
    if bundle.document is None or bundle.tombstone is not None or bundle.document.cluster.spec.expose.type == "None":
        return None
    return bundle.document.cluster.spec.expose


def target(expose: Expose, service: Object | None, port: int = 0) -> tuple[str, int]:
    """The host and the port that people use, ("", 0) while there is none. `service`: the live one of the control plane; `port`: of the
    Gateway's listener, 0 where it could not be read."""
    if expose.type == "Ingress":
        return expose.host, HTTPS
    if expose.type == "TLSRoute":
        return expose.host, port
    if expose.type == "LoadBalancer":
        host = expose.host or readiness.address(service)
        return (host, HTTPS) if host and readiness.address(service) else ("", 0)
    ports = rows(section(service or {}, "spec"), "ports")
    port = next((number(one, "nodePort") for one in ports if one.get("name") == "https"), 0)
    host = expose.host or next(iter(expose.extra_sans), "")
    return (host, port) if host and port else ("", 0)


def no_target(expose: Expose) -> tuple[str, str]:
    """Reason and message where there is no address to try."""
    if expose.type == "NodePort" and not expose.host and not expose.extra_sans:
        return "HostMissing", "nobody says at which host the node's port is; name it in expose.host or expose.extraSANs"
    if expose.type == "LoadBalancer":
        named = f" of class {expose.load_balancer_class}" if expose.load_balancer_class else ""
        return "NoAddress", f"no load balancer{named} has given the Service an address: is there one on the host?"
    return "NoAddress", "the Service has no port of a node yet"


def of_class(expose: Expose, found: Object | None, ingress: Object | None) -> tuple[str, str]:
    """Reason and message of what an IngressClass says against it, ("", "") where nothing. `ingress`: the live one."""
    name = expose.ingress_class_name
    if found is None:
        return "ClassMissing", f"the host has no IngressClass {name} (expose.ingressClassName)"
    does = str(section(found, "spec").get("controller"))[:200]
    if does in ENDS_TLS:
        return (
            "NoPassthrough",
            f"IngressClass {name} is of {does}, which ends TLS of every Ingress; use another class or type",
        )
    note = PASSES.get(does)
    notes = section(ingress or {}, "metadata", "annotations")
    if note is not None and ingress is not None and notes.get(note) != "true":
        return "NoPassthrough", f'IngressClass {name} is of {does}, which needs the annotation {note}: "true"'
    return "", ""


def of_gateway(expose: Expose, found: Object | None, route: Object | None) -> tuple[str, str, int]:
    """Reason and message of what a Gateway says against it, ("", "") where nothing, and the port of the listener that passes its TLS
    through (Gateway API, SectionName and TLSModeType). `route`: the live one."""
    asks = expose.gateway
    named = f"Gateway {asks.namespace}/{asks.name}" if asks else "the Gateway"
    if asks is None or found is None:
        return "GatewayMissing", f"the host has no {named} (expose.gateway)", 0
    listeners = list(rows(section(found, "spec"), "listeners")[:LISTENERS])
    if asks.section_name:
        listeners = [one for one in listeners if one.get("name") == asks.section_name]
        named = f"{named}, listener {asks.section_name},"
    fits = [one for one in listeners if _takes(one.get("hostname"), expose.host)]
    passing = [one for one in fits if one.get("protocol") == "TLS" and section(one, "tls").get("mode") == "Passthrough"]
    if not listeners:
        return "ListenerMissing", f"{named} is not there (expose.gateway)", 0
    if not fits:
        return "ListenerMissing", f"{named} takes no name {expose.host}", 0
    if not passing:
        return "NoPassthrough", f"{named} has no listener of protocol TLS and mode Passthrough for {expose.host}", 0
    refused = _refused(route)
    port = number(passing[0], "port", HTTPS)
    return ("RouteRefused", f"{named} refuses the TLSRoute: {refused}", port) if refused else ("", "", port)


def _takes(pattern: object, host: str) -> bool:
    """Whether a listener's hostname takes this name; `*` stands for one label or more."""
    if not isinstance(pattern, str) or not pattern:
        return True
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _refused(route: Object | None) -> str:
    """Why a controller of Gateways refuses the route as it is now, in its own words; "" where none does."""
    generation = section(route or {}, "metadata").get("generation")
    for parent in rows(section(route or {}, "status"), "parents"):
        for one in rows(parent, "conditions"):
            current = one.get("observedGeneration", generation) == generation
            if current and one.get("type") in ("Accepted", "ResolvedRefs") and one.get("status") == "False":
                return one_line(f"{one.get('reason')}: {one.get('message')}", 200)
    return ""


def wanted(outside: Outside | None, tried: Tried | None) -> Exposure | None:
    """The address to try, None where there is none. One that could not be read whole is the one that was tried last, while it is at the
    same place: a read that failed once says nothing of the address."""
    one = outside.exposure if outside is not None else None
    if outside is None or one is None or not outside.unread:
        return one
    if tried is None or tried.exposure.host != one.host or one.port not in (0, tried.exposure.port):
        return None
    return tried.exposure


def port(outside: Outside | None, tried: Tried | None) -> int:
    """The port of the Gateway's listener; the one that was tried last where it could not be read."""
    if outside is None:
        return HTTPS
    return outside.port or (tried.exposure.port if tried is not None else 0) or HTTPS


def condition(outside: Outside | None, tried: Tried | None, asleep: str) -> Condition | None:
    """The condition; None for a cluster that is not to be exposed."""
    if outside is None:
        return None
    if asleep:
        return Condition(TYPE, "Unknown", "Asleep", asleep)
    one = wanted(outside, tried)
    if outside.unread and one is None:
        return Condition(TYPE, "Unknown", "NotTried", outside.unread)
    if outside.reason:
        return Condition(TYPE, "False", outside.reason, outside.message)
    if one is None or tried is None or tried.exposure != one:
        return Condition(TYPE, "Unknown", "NotTried", "it is being tried")
    return _told(one, tried)


def _told(one: Exposure, tried: Tried) -> Condition:
    where = f"{one.host}:{one.port}"
    if not tried.found:
        return Condition(TYPE, "True", TYPE, f"its API server answers at {where}")
    said = {
        "NameUnresolved": f"{one.host} leads nowhere, or to an address that nobody outside reaches",
        "NotReached": f"the controller reaches nothing at {where}",
        "NotTls": f"no TLS is spoken at {where}",
        "ForeignCertificate": f"the certificate served at {where} is not the cluster's own",
        "NameNotInCertificate": f"the certificate served at {where} does not have this name",
    }[tried.found]
    status = "Unknown" if tried.found == "NotReached" else "False"  # others may reach what the controller does not
    return Condition(TYPE, status, tried.found, f"{said}; {_ADVICE[tried.found]}")
