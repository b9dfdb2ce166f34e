"""What runs inside a nested cluster, as rows of a table. Pure: over objects as the nested API server told them, which a tenant
may have written; every text is one printable line, and what has another type reads as empty."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler import health
from reconciler.engine import quantity
from reconciler.errors import one_line
from reconciler.health.reading import number, rows, section
from reconciler.model import Object
from reconciler.usage import uses

NAME: Final = 253  # characters of a name
TEXT: Final = 200  # of any other text
IMAGES: Final = 20  # of one object


class Workload(Struct, frozen=True):
    """`ready`: so many of so many, "" where that means nothing; `cpu` in millicores and `memory` in bytes, requested by all its
    replicas; `made`: RFC 3339; `detail`: what else matters of the kind, or why it is not Current."""

    kind: str
    namespace: str
    name: str
    ready: str = ""
    status: str = ""
    restarts: int = 0
    cpu: int = 0
    memory: int = 0
    images: tuple[str, ...] = ()
    made: str = ""
    detail: str = ""


class Inside(Struct, frozen=True):
    """What runs in one cluster; `notes` say in sentences what is missing, and why."""

    rows: tuple[Workload, ...]
    notes: tuple[str, ...] = ()


class Part(Struct, frozen=True):
    """What is particular to a kind."""

    ready: str = ""
    replicas: int = 1
    status: str = ""
    restarts: int = 0
    detail: str = ""


def requests(one: Workload) -> tuple[str, str]:
    """CPU and memory that it requests, as quantities; "" where it requests none."""
    cpu = quantity.cores(Fraction(one.cpu, 1000)) if one.cpu else ""
    return cpu, quantity.size(Fraction(one.memory)) if one.memory else ""


def row(obj: Object) -> Workload:
    """The row of one object of KINDS."""
    kind, meta = str(obj["kind"]), obj["metadata"]
    part = KINDS[kind][1](obj)
    found = health.compute(obj)
    pods = section(obj, *PODS[kind]) if kind in PODS else {}
    asked = _asked(pods, part.replicas)
    return Workload(
        kind,
        one_line(meta.get("namespace"), NAME),
        one_line(meta.get("name"), NAME),
        part.ready,
        part.status or found.status,
        part.restarts,
        asked.get("cpu", 0),
        asked.get("memory", 0),
        _images(pods),
        one_line(meta.get("creationTimestamp"), 40),
        part.detail or ("" if found.status == "Current" else one_line(found.message, TEXT)),
    )


def _asked(pods: Mapping[str, Any], replicas: int) -> Mapping[str, int]:
    try:
        return {name: amount * replicas for name, amount in uses.requested(pods).items()} if pods else {}
    except (ValueError, msgspec.MsgspecError):
        return {}


def _images(pods: Mapping[str, Any]) -> tuple[str, ...]:
    found = (one_line(one.get("image"), TEXT) for one in (*rows(pods, "initContainers"), *rows(pods, "containers")))
    return tuple(dict.fromkeys(filter(None, found)))[:IMAGES]


def _replicated(have: str, wanted: int, obj: Object) -> Part:
    return Part(f"{number(section(obj, 'status'), have)}/{wanted}", max(0, wanted))


def _deployment(obj: Object) -> Part:
    return _replicated("readyReplicas", number(section(obj, "spec"), "replicas", 1), obj)


def _daemon_set(obj: Object) -> Part:
    return _replicated("numberReady", number(section(obj, "status"), "desiredNumberScheduled"), obj)


def _job(obj: Object) -> Part:
    spec = section(obj, "spec")
    done = number(section(obj, "status"), "succeeded")
    return Part(f"{done}/{number(spec, 'completions', 1)}", max(0, number(spec, "parallelism", 1)))


def _cron_job(obj: Object) -> Part:
    spec = section(obj, "spec")
    paused = spec.get("suspend") is True
    return Part(status="Suspended" if paused else "", detail=one_line(spec.get("schedule"), TEXT))


def _pod(obj: Object) -> Part:
    states = rows(section(obj, "status"), "containerStatuses")
    wanted = len(rows(section(obj, "spec"), "containers"))
    ready = sum(1 for one in states if one.get("ready") is True)
    found = health.compute(obj)
    status = found.reason if found.status != "Current" else one_line(section(obj, "status").get("phase"), TEXT)
    return Part(f"{ready}/{wanted}", 1, status, sum(number(one, "restartCount") for one in states))


def _service(obj: Object) -> Part:
    spec = section(obj, "spec")
    ports = ",".join(
        f"{number(one, 'port')}/{one_line(one.get('protocol'), 10) or 'TCP'}" for one in rows(spec, "ports")
    )
    return Part(detail=f"{one_line(spec.get('type'), TEXT)} {ports}".strip()[:TEXT])


def _ingress(obj: Object) -> Part:
    hosts = (one_line(one.get("host"), NAME) for one in rows(section(obj, "spec"), "rules"))
    return Part(detail=", ".join(filter(None, hosts))[:TEXT])


def _claim(obj: Object) -> Part:
    status, spec = section(obj, "status"), section(obj, "spec")
    size = one_line(section(status, "capacity").get("storage"), TEXT)
    kind = one_line(spec.get("storageClassName"), NAME)
    return Part(status=one_line(status.get("phase"), TEXT), detail=f"{size} {kind}".strip())


def _namespace(obj: Object) -> Part:
    return Part(status=one_line(section(obj, "status").get("phase"), TEXT))


KINDS: Final[Mapping[str, tuple[str, Callable[[Object], Part]]]] = {
    "Namespace": ("", _namespace),
    "Deployment": ("apps", _deployment),
    "StatefulSet": ("apps", _deployment),
    "DaemonSet": ("apps", _daemon_set),
    "Job": ("batch", _job),
    "CronJob": ("batch", _cron_job),
    "Pod": ("", _pod),
    "Service": ("", _service),
    "Ingress": ("networking.k8s.io", _ingress),
    "PersistentVolumeClaim": ("", _claim),
}
"""Kind -> its API group, and what is particular to it; in the order of the table."""

_TEMPLATE = ("spec", "template", "spec")
PODS: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
    "Pod": ("spec",),
}
"""Where the spec of its pods stands."""
