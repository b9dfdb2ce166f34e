"""What the engine itself uses of its namespace's quota, so that the tenant gets its whole share.

The figures are the chart's own defaults (0.36.1 values.yaml) deep-merged with the cluster's, plus what a LimitRange of ours
adds to containers that state nothing, plus the pods a rollout needs for a moment.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from msgspec import UNSET, Struct

from reconciler.engine import quantity
from reconciler.model import NestedCluster, Store

ETCD_MEMBERS = 3  # where the document does not say; never follows `replicas`
ETCD_RESOURCES = {"cpu": "100m", "memory": "256Mi"}
DEFAULT_LIMITS = {"memory": "512Mi", "ephemeral-storage": "8Gi"}
DEFAULT_REQUESTS = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"}

_ENGINE_REQUESTS = {"cpu": "200m", "memory": "256Mi", "ephemeral-storage": "1Gi"}
_ENGINE_LIMITS = {"memory": "4Gi", "ephemeral-storage": "10Gi"}
_INIT_REQUESTS = {"cpu": "40m", "memory": "64Mi"}
_INIT_LIMITS = {"memory": "256Mi"}
_DNS_REQUESTS = {"cpu": "20m", "memory": "64Mi"}
_DNS_LIMITS = {"memory": "170Mi"}
_DNS_PODS = 2  # one, and one more while it rolls out
_NODE_PORT = frozenset({"NodePort", "LoadBalancer"})  # one port of their Service: that of kubelets is off (values.py)
_PROBE_SERVICES = 2  # short-lived, at the first start: how the engine learns the host's service range

KEPT = 256  # sums kept: most clusters of a repository ask for the same resources

_Value = TypeVar("_Value")
Pairs = tuple[tuple[str, _Value], ...]


class Overhead(Struct, frozen=True):
    """The engine's own use: amounts by resource name, storage in bytes, counts in pieces."""

    requests: Mapping[str, Fraction]
    limits: Mapping[str, Fraction]
    storage: Fraction
    pods: int
    services: int
    load_balancers: int
    node_ports: int


def of(cluster: NestedCluster) -> Overhead:
    """The overhead of a cluster's control plane, its store and its DNS. Raises ValueError for a malformed quantity."""
    plane, etcd = cluster.spec.control_plane, cluster.spec.control_plane.store.type == "etcd"
    engines = plane.replicas + (max(1, -(-plane.replicas // 4)) if etcd else 0)
    own_members = members(plane.store)
    pods = {"engine": engines, "etcd": own_members, "dns": _DNS_PODS}
    own = plane.resources
    return Overhead(
        requests=_requests(tuple(pods.items()), tuple(own.requests.items())),
        limits=_limits(tuple(pods.items()), tuple(own.limits.items())),
        storage=(own_members or plane.replicas) * quantity.parse(plane.store.size),
        pods=sum(pods.values()),
        services=(3 if etcd else 2) + 1 + _PROBE_SERVICES,
        load_balancers=int(cluster.spec.expose.type == "LoadBalancer"),
        node_ports=int(cluster.spec.expose.type in _NODE_PORT),
    )


def members(store: Store) -> int:
    """How many members the store has, 0 where it is none of its own. Never changed: the chart starts every member as a new cluster, so
    growing from one to three splits the data."""
    if store.type != "etcd":
        return 0
    return ETCD_MEMBERS if store.members is UNSET else store.members


@lru_cache(maxsize=KEPT)
def _requests(pods: Pairs[int], own: Pairs[str]) -> Mapping[str, Fraction]:
    engine = _numbers(_ENGINE_REQUESTS | dict(own))
    each = {
        "engine": quantity.most([engine, _numbers(DEFAULT_REQUESTS | _INIT_REQUESTS)]),
        "etcd": _numbers(DEFAULT_REQUESTS | ETCD_RESOURCES),
        "dns": _numbers(DEFAULT_REQUESTS | _DNS_REQUESTS),
    }
    return _sum(pods, each)


@lru_cache(maxsize=KEPT)
def _limits(pods: Pairs[int], own: Pairs[str]) -> Mapping[str, Fraction]:
    engine = _numbers(_ENGINE_LIMITS | dict(own))
    each = {
        "engine": quantity.most([engine, _numbers(DEFAULT_LIMITS | _INIT_LIMITS)]),
        "etcd": _numbers(DEFAULT_LIMITS),
        "dns": _numbers(DEFAULT_LIMITS | _DNS_LIMITS),
    }
    return _sum(pods, each)


def _sum(pods: Pairs[int], each: Mapping[str, Mapping[str, Fraction]]) -> Mapping[str, Fraction]:
    return MappingProxyType(quantity.add(*(quantity.times(count, each[name]) for name, count in pods)))


def _numbers(amounts: Mapping[str, str]) -> dict[str, Fraction]:
    return {name: quantity.parse(amount) for name, amount in amounts.items()}
