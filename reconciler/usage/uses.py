"""What one object of the host asks for, from its encoded form. An object that asks for nothing gives None.

A pod counts from when it has a node until it ended; its request is what the scheduler reserves
(https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers): the containers and
sidecars together, or the largest init container with the sidecars before it, and the overhead of its RuntimeClass. A claim
counts while it is bound, a Service while it is of type LoadBalancer. Of a quota, what it reserves.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.engine import quantity
from reconciler.usage import items

ENGINE: Final = "engine"  # how many pods of the control plane run
QUOTA_CPU: Final = "quotaCpu"
QUOTA_MEMORY: Final = "quotaMemory"
NAMESPACE: Final = (
    "vcluster.loft.sh/namespace"  # the label with the namespace inside, on what the engine copies to the host
)
OWNER: Final = 63  # characters of the name of a namespace
MOST: Final = 1 << 62  # of one amount: no node has more of anything

Amounts = dict[str, int]


class Use(Struct, frozen=True):
    """`owner`: the namespace inside, "" for the engine itself; `amounts`: in millicores, bytes and pieces."""

    owner: str
    amounts: Amounts


class _Resources(Struct):
    requests: dict[str, str] | None = None


class _Container(Struct, rename="camel"):
    resources: _Resources | None = None
    restart_policy: str | None = None


class _PodSpec(Struct, rename="camel"):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    node_name: str | None = None
    overhead: dict[str, str] | None = None
    resources: _Resources | None = None


class _Phase(Struct):
    phase: str | None = None
    capacity: dict[str, str] | None = None


class _Meta(Struct):
    name: str = ""
    labels: dict[str, str] | None = None


class _Pod(Struct):
    spec: _PodSpec
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    status: _Phase | None = None


class _ClaimSpec(Struct, rename="camel"):
    storage_class_name: str | None = None


class _Claim(Struct):
    spec: _ClaimSpec
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    status: _Phase | None = None


class _ServiceSpec(Struct):
    type: str | None = None


class _Service(Struct):
    spec: _ServiceSpec
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _QuotaSpec(Struct):
    hard: dict[str, str] | None = None


class _Quota(Struct):
    spec: _QuotaSpec
    metadata: _Meta = msgspec.field(default_factory=_Meta)


Vector = Mapping[str, Fraction]


def of_pod(raw: bytes, engine: bool) -> Use | None:
    """`engine`: it is a pod of a control plane. Raises ValueError for a pod that is none."""
    pod = decoding.decoded(raw, _Pod)
    ended = (pod.status.phase if pod.status else None) in ("Succeeded", "Failed")
    if ended or not pod.spec.node_name:
        return None
    amounts = _amounts(_requested(pod.spec)) | ({ENGINE: 1} if engine else {})
    return _use(pod.metadata, amounts, engine)


def requested(spec: Mapping[str, Any]) -> Amounts:
    """What a pod with this spec asks for. Raises ValueError for a spec that is none."""
    return {name: amount for name, amount in _amounts(_requested(decoding.converted(spec, _PodSpec))).items() if amount}


def of_claim(raw: bytes, engine: bool, classes: Collection[str]) -> Use | None:
    """`classes`: storage classes with a price of their own. Raises ValueError for a claim that is none."""
    claim = decoding.decoded(raw, _Claim)
    if claim.status is None or claim.status.phase != "Bound":
        return None
    size = _whole(quantity.parse((claim.status.capacity or {}).get("storage", "0")))
    kind = claim.spec.storage_class_name or ""
    return _use(claim.metadata, {items.PERCLASS + kind if kind in classes else items.STORAGE: size}, engine)


def of_service(raw: bytes, engine: bool) -> Use | None:
    """Raises ValueError for a Service that is none."""
    service = decoding.decoded(raw, _Service)
    return _use(service.metadata, {items.LOAD_BALANCER: 1}, engine) if service.spec.type == "LoadBalancer" else None


def of_quota(raw: bytes) -> Use | None:
    """Raises ValueError for a quota that is none."""
    hard = decoding.decoded(raw, _Quota).spec.hard or {}
    told = {QUOTA_CPU: ("requests.cpu", 1000), QUOTA_MEMORY: ("requests.memory", 1)}
    amounts = {name: _whole(quantity.parse(hard[key]) * scale) for name, (key, scale) in told.items() if key in hard}
    return Use("", amounts) if amounts else None


def _use(meta: _Meta, amounts: Amounts, engine: bool) -> Use | None:
    kept = {name: amount for name, amount in sorted(amounts.items()) if amount}
    owner = "" if engine else (meta.labels or {}).get(NAMESPACE, "")[:OWNER]
    return Use(owner, kept) if kept else None


def _requested(spec: _PodSpec) -> Vector:
    """What the scheduler reserves for a pod."""
    inits = spec.init_containers or []
    sidecars = [one for one in inits if one.restart_policy == "Always"]
    running = quantity.add(*(_of(one) for one in (*(spec.containers or ()), *sidecars)))
    found = quantity.most([running, *_starting(inits)])
    whole = _numbers((spec.resources.requests if spec.resources else None) or {})
    return quantity.add(found | whole, _numbers(spec.overhead or {}))


def _starting(inits: Iterable[_Container]) -> Iterable[Vector]:
    """For each init container what runs while it runs: itself, and the sidecars before it."""
    before: Vector = {}
    for one in inits:
        if one.restart_policy == "Always":
            before = quantity.add(before, _of(one))
        else:
            yield quantity.add(before, _of(one))


def _of(one: _Container) -> Vector:
    return _numbers((one.resources.requests if one.resources else None) or {})


def _numbers(amounts: Mapping[str, str]) -> dict[str, Fraction]:
    return {name: quantity.parse(text) for name, text in amounts.items()}


def _amounts(asked: Vector) -> Amounts:
    gpus = sum((amount for name, amount in asked.items() if name.endswith("/gpu")), Fraction(0))
    none = Fraction(0)
    amounts = {items.CPU: asked.get("cpu", none) * 1000, items.MEMORY: asked.get("memory", none), items.GPU: gpus}
    return {name: _whole(amount) for name, amount in amounts.items()}


def _whole(amount: Fraction) -> int:
    """Rounded up, as Kubernetes does, and never below nothing."""
    return min(MOST, max(0, -(-amount.numerator // amount.denominator)))


Reads = Callable[[bytes], Use | None]


def readers(classes: Collection[str]) -> dict[tuple[str, bool], Reads]:
    """(kind, whether it is the engine's own) -> how its use is read."""
    return {
        ("Pod", False): lambda raw: of_pod(raw, False),
        ("Pod", True): lambda raw: of_pod(raw, True),
        ("PersistentVolumeClaim", False): lambda raw: of_claim(raw, False, classes),
        ("PersistentVolumeClaim", True): lambda raw: of_claim(raw, True, classes),
        ("Service", False): lambda raw: of_service(raw, False),
        ("Service", True): lambda raw: of_service(raw, True),
        ("ResourceQuota", True): of_quota,
    }
