"""Host names that a NestedCluster makes: that of its API server, those in annotations that make DNS records, and those of the
Ingresses it copies to the host.

They lie inside the operator's `policy.dnsPattern`, and each belongs to one cluster.
"""

import ipaddress
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any

from reconciler.model import ClusterDocument, ClusterSpec, Expose, NestedCluster
from reconciler.spec.claims import ALL, Claim, Claims
from reconciler.spec.codes import Code
from reconciler.spec.explain import pointer

Told = tuple[str, Code, str, str]
_NAMING = (
    "hostname",  # external-dns, and the load balancers of DigitalOcean, Hetzner, Vultr, Alibaba
    "-domains",
    "-fqdns",
    "-rdns",
    "dns-label-name",  # Azure
)
"""How annotations end whose values are host names. Among them `external-dns.alpha.kubernetes.io/hostname`,
`internal-hostname` and `cloudflare-custom-hostname` (its documented annotations)."""
_SWITCH = "use-hostname"  # true or false
_INSIDE = (".svc", ".cluster.local")
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_SHOWN = 5


def names(cluster: NestedCluster) -> frozenset[str]:
    """The host names the cluster makes, in lower case and without a trailing dot. `*.NAME` is all below NAME, which its
    tenant's Ingresses may name too (policy nidus-engine-ingresses)."""
    return frozenset(name for _, name in _claimed(cluster.spec))


def sorted_names(cluster: NestedCluster) -> tuple[str, ...]:
    """`names`, as a record keeps them."""
    return tuple(sorted(names(cluster)))


def check(cluster: NestedCluster, pattern: str) -> Iterator[Told]:
    """(pointer, code, message, hint) of what is no host name, or one outside the operator's pattern ("" = any)."""
    expose = cluster.spec.expose
    for place, name in _made(cluster.spec):
        if not _is_host(name):
            yield place, Code.EXPOSE_HOST, f"{_shown(name)} is not a host name", "separate several with commas"
        elif not _inside(name, pattern):
            yield place, Code.EXPOSE_HOST, *_outside(name, pattern)
    for index, name in enumerate(expose.extra_sans):
        if _public(_plain(name)) and not _inside(_plain(name), pattern):
            yield f"/spec/expose/extraSANs/{index}", Code.EXPOSE_HOST, *_outside(name, pattern)


def shared(
    clusters: Mapping[str, NestedCluster], accepted: Mapping[str, ClusterDocument]
) -> Iterator[tuple[str, Told]]:
    """(cluster, mistake) for host names that several clusters of one tree make. Whoever was accepted with the name keeps
    it; among others, none has it."""

    @cache
    def had(name: str) -> frozenset[str]:
        return names(accepted[name].cluster) if name in accepted else frozenset()

    made = {name: names(document) for name, document in clusters.items()}
    told: dict[tuple[str, str], Told] = {}
    for (cluster, name), rivals in collisions(made, lambda one: (one[1] not in had(one[0]), *one)):
        if name not in had(cluster):
            kept = rivals[0][1] in had(rivals[0][0])
            others = sorted({other for other, claim in rivals if (claim in had(other)) is kept})
            mistake = _taken(clusters[cluster], name, rivals[0][1], others)
            told.setdefault((cluster, mistake[0]), mistake)
    yield from ((cluster, mistake) for (cluster, _), mistake in told.items())


def collisions(
    made: Mapping[str, Collection[str]], rank: Callable[[Claim], Any]
) -> Iterator[tuple[Claim, list[Claim]]]:
    """(claim, what others make of it) for names that several clusters make, or that lie below a domain (`*.NAME`) of another;
    in the order of the names, domains last. Of many others the first by `rank`: thousands may want one name."""
    claims = [(cluster, name) for cluster, several in made.items() for name in several]
    known = Claims(claims, rank)
    for claim in sorted(claims, key=by_name):
        rivals = known.rivals(claim, _SHOWN + 1)
        if rivals:
            yield claim, rivals


def by_name(claim: Claim) -> tuple[bool, str, str]:
    """The order in which claims are told: that of their names, domains last."""
    return claim[1].startswith(ALL), claim[1], claim[0]


def place(cluster: NestedCluster, name: str) -> str:
    """Where the cluster makes this name, as a pointer."""
    return next((where for where, made in _claimed(cluster.spec) if made == name), "/spec/expose")


def _taken(cluster: NestedCluster, name: str, claim: str, others: list[str]) -> Told:
    more = " and more" if len(others) > _SHOWN else ""
    told = f"{name} is also" if name == claim else f"{name} meets {claim},"
    message = f"{told} the host name of {', '.join(others[:_SHOWN])}{more}"
    return place(cluster, name), Code.HOST_TAKEN, message, "a host name leads to one cluster: choose another"


def _claimed(spec: ClusterSpec) -> Iterator[tuple[str, str]]:
    yield from _made(spec)
    for index, name in enumerate(spec.sync.to_host.ingress_hosts):
        yield f"/spec/sync/toHost/ingressHosts/{index}", ALL + _plain(name)


def _made(spec: ClusterSpec) -> Iterator[tuple[str, str]]:
    """(pointer, host name) of each name made."""
    yield from _exposed(spec.expose)
    for index, name in enumerate(spec.sync.to_host.ingress_hosts):
        yield f"/spec/sync/toHost/ingressHosts/{index}", _plain(name)


def _exposed(expose: Expose) -> Iterator[tuple[str, str]]:
    if expose.host:
        yield "/spec/expose/host", _plain(expose.host)
    for annotation, value in expose.annotations.items():
        if annotation.endswith(_NAMING) and not annotation.endswith(_SWITCH):
            where = pointer(("spec", "expose", "annotations", annotation))
            parts = (value.replace(" ", ",") if annotation.endswith("-fqdns") else value).split(",")
            yield from ((where, _plain(part.strip())) for part in parts if part.strip())


def _plain(name: str) -> str:
    """One spelling of a name; what is not ASCII stays, so that it is no host name."""
    return name.lower().removesuffix(".") if name.isascii() else name


def _is_host(name: str) -> bool:
    """Whether it is a host name (RFC 1123), in lower case."""
    return len(name) <= 253 and all(_is_label(label) for label in name.split("."))


def _is_label(label: str) -> bool:
    return 0 < len(label) <= 63 and _CHARACTERS.issuperset(label) and "-" not in (label[0], label[-1])


def _inside(name: str, pattern: str) -> bool:
    """`*` stands for one label, as in a certificate; an empty pattern for any name."""
    if not pattern.startswith("*."):
        return pattern in ("", name)
    label, _, rest = name.partition(".")
    return rest == pattern.removeprefix("*.") and _is_label(label)


def _public(name: str) -> bool:
    """Whether a name of a certificate is one that clients outside look up: no address, and none of a cluster's own."""
    if "." not in name or name.endswith(_INSIDE):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return ":" not in name
    return False


def _outside(name: str, pattern: str) -> tuple[str, str]:
    message = f"{_shown(name)} is outside {pattern}, the policy.dnsPattern of the controller"
    return message, "choose a name inside it; only the operator of the controller can change it"


def _shown(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:80]}..."
