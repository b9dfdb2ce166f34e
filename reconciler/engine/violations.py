"""Rules of the engine that no schema has: the chart would render, but the engine would not start or the host would
refuse it."""

from collections.abc import Iterator, Mapping

from msgspec import UNSET

from reconciler.engine import quantity, versions
from reconciler.engine.choice import asked
from reconciler.model import NO_VERSIONS, Expose, NestedCluster, Quota, Rules, ToHost, Toleration, Versions

Found = tuple[str, str, str]

_BALANCERS = (
    "cloud.google.com/",
    "external-dns.alpha.kubernetes.io/",
    "io.cilium/",
    "load-balancer.hetzner.cloud/",
    "metallb.io/",
    "metallb.universe.tf/",
    "networking.gke.io/",
    "service.beta.kubernetes.io/",
)
_NGINX = "nginx.ingress.kubernetes.io/"
ANNOTATIONS: dict[str, tuple[str, ...]] = {
    "None": (),
    "LoadBalancer": _BALANCERS,
    "NodePort": ("external-dns.alpha.kubernetes.io/",),
    "Ingress": (
        "external-dns.alpha.kubernetes.io/",
        "haproxy.org/ssl-passthrough",
        "ingress.kubernetes.io/ssl-passthrough",
        f"{_NGINX}backend-protocol",
        f"{_NGINX}proxy-connect-timeout",
        f"{_NGINX}proxy-read-timeout",
        f"{_NGINX}proxy-send-timeout",
        f"{_NGINX}ssl-passthrough",
        f"{_NGINX}ssl-redirect",
        f"{_NGINX}whitelist-source-range",
    ),
    "TLSRoute": ("external-dns.alpha.kubernetes.io/",),
}
_ONLY: dict[str, tuple[str, ...]] = {
    "ingressClassName": ("Ingress",),
    "gateway": ("TLSRoute",),
    "nodePort": ("NodePort",),
    "sourceRanges": ("LoadBalancer",),
    "externalTrafficPolicy": ("LoadBalancer", "NodePort"),
    "loadBalancerClass": ("LoadBalancer",),
    "host": ("LoadBalancer", "NodePort", "Ingress", "TLSRoute"),
}


def impossible(document: NestedCluster) -> list[Found]:
    """(JSON pointer, message, hint) of everything the engine or the host would refuse whatever the operator offers, in the document's
    order."""
    spec = document.spec
    return [
        *_control_plane(document),
        *_expose(spec.expose),
        *_quota(spec.quota or Quota()),
        *(
            found
            for index, one in enumerate(spec.scheduling.tolerations)
            for found in toleration(f"/spec/scheduling/tolerations/{index}", one)
        ),
        *_copied(spec.sync.to_host),
    ]


def unoffered(document: NestedCluster, rules: Rules, running: Versions = NO_VERSIONS) -> Iterator[Found]:
    """The same of versions that the operator does not offer, or that do not fit together.

    A version that is `running` may be written although it is not offered any more: that is the operator's doing, not
    this file's.
    """
    written, wanted = document.spec, asked(document, rules)
    engines = [chart.version for chart in rules.engines]
    kubernetes = rules.kubernetes_versions
    if wanted.engine not in (*engines, running.engine or None):
        hint = f"one of: {', '.join(engines)}" if engines else "the operator must configure engine.versions"
        what = written.engine.version or "version"
        yield "/spec/engine/version", f"engine {what} is not offered by this controller", hint
    elif written.kubernetes.version and wanted.kubernetes not in (*kubernetes, running.kubernetes):
        hint = f"one of: {', '.join(kubernetes)}"
        yield "/spec/kubernetes/version", f"Kubernetes {wanted.kubernetes} is not offered by this controller", hint
    elif not versions.runs(wanted.engine, wanted.kubernetes) and not _default_moved(document, running):
        message = f"engine {wanted.engine} does not run Kubernetes {wanted.kubernetes}"
        yield "/spec/kubernetes/version", message, "choose a pair the engine ships"


def _default_moved(document: NestedCluster, running: Versions) -> bool:
    """Whether the pair that does not fit comes from the operator's newest while another pair runs: that is held, and no
    mistake of this file."""
    written = document.spec.engine.version and document.spec.kubernetes.version
    return not written and "" not in (running.engine, running.kubernetes)


def _control_plane(document: NestedCluster) -> Iterator[Found]:
    plane = document.spec.control_plane
    if plane.replicas > 1 and plane.store.type != "etcd":
        yield "/spec/controlPlane/replicas", "more than one replica needs store type etcd", "set store: {type: etcd}"
    if plane.store.members is not UNSET and plane.store.type != "etcd":
        yield (
            "/spec/controlPlane/store/members",
            "members are of store type etcd",
            "leave members out, or set type: etcd",
        )
    yield from _amounts("/spec/controlPlane/store", {"size": plane.store.size})
    yield from _amounts("/spec/controlPlane/resources/requests", plane.resources.requests)
    yield from _amounts("/spec/controlPlane/resources/limits", plane.resources.limits)


def _expose(expose: Expose) -> Iterator[Found]:
    values = {
        "ingressClassName": expose.ingress_class_name,
        "gateway": expose.gateway,
        "nodePort": expose.node_port,
        "sourceRanges": expose.source_ranges,
        "externalTrafficPolicy": expose.external_traffic_policy,
        "loadBalancerClass": expose.load_balancer_class,
        "host": expose.host,
    }
    for name, types in _ONLY.items():
        if values[name] and expose.type not in types:
            yield f"/spec/expose/{name}", f"{name} has no meaning with type {expose.type}", f"for: {', '.join(types)}"
    if expose.type in ("Ingress", "TLSRoute") and not expose.host:
        told = f"type {expose.type} needs a host"
        yield "/spec/expose/host", told, "the name clients use, passed through by its TLS name"
    if expose.type == "TLSRoute" and expose.gateway is None:
        yield (
            "/spec/expose/gateway",
            "type TLSRoute needs a gateway",
            "gateway: {name: ..., namespace: ...} of the host",
        )
    yield from _annotations(expose)


def _annotations(expose: Expose) -> Iterator[Found]:
    allowed = ANNOTATIONS.get(expose.type, ())
    for name in expose.annotations:
        if not any(name == one or (one.endswith("/") and name.startswith(one)) for one in allowed):
            hint = f"allowed: {', '.join(allowed)}" if allowed else "no annotation is"
            yield f"/spec/expose/annotations/{_escaped(name)}", f"not allowed with type {expose.type}: {name}", hint


def _quota(quota: Quota) -> Iterator[Found]:
    names = {
        "cpu": quota.cpu,
        "memory": quota.memory,
        "storage": quota.storage,
        "ephemeralStorage": quota.ephemeral_storage,
    }
    yield from _amounts("/spec/quota", {name: amount for name, amount in names.items() if amount})


def _amounts(pointer: str, amounts: Mapping[str, str]) -> Iterator[Found]:
    for name, amount in amounts.items():
        try:
            quantity.parse(amount)
        except ValueError:
            yield f"{pointer}/{_escaped(name)}", "not a quantity", "such as 250m, 5Gi or 2"


def toleration(pointer: str, one: Toleration) -> Iterator[Found]:
    """What is wrong with the toleration at this place: Kubernetes or the engine would refuse it."""
    if one.operator == "Exists" and one.value:
        yield f"{pointer}/value", "operator Exists takes no value", "leave value out, or use Equal"
    if one.operator == "Equal" and not one.key:
        yield f"{pointer}/key", "operator Equal needs a key", "use operator Exists to tolerate every taint"
    if set(one.key + one.value) & set(":="):
        yield pointer, "a key or value with : or = cannot be handed to the engine", "use a plain label key and value"


def _copied(chosen: ToHost) -> Iterator[Found]:
    if chosen.ingress_hosts and not chosen.ingresses:
        yield "/spec/sync/toHost/ingressHosts", "no Ingress is copied to the host", "write ingresses: true, or no hosts"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
