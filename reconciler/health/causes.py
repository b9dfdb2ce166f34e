"""Why an object is not Current: from it down to the pod, its container and the last Event (U1). Pure: over what was read.

`queries` says what to read below an object, `below` which of the objects read is the next one, `chain` what the whole way tells.
All of it comes from an API server that may be a tenant's, so every text is bounded and printable.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from reconciler.errors import one_line
from reconciler.health import links
from reconciler.health.reading import condition, rows, section
from reconciler.health.workloads import pod as pod_health
from reconciler.model import Link, Object
from reconciler.patterns import lazy

DEPTH = 5  # objects of one chain; a longer one cannot be
_BELOW = {
    "Deployment": ("apps", "ReplicaSet"),
    "ReplicaSet": ("", "Pod"),
    "StatefulSet": ("", "Pod"),
    "DaemonSet": ("", "Pod"),
    "Job": ("", "Pod"),
    "Pod": ("", "PersistentVolumeClaim"),
    "PersistentVolumeClaim": ("", ""),
}
_PLAIN = lazy(r"[A-Za-z0-9.-]{1,253}")
_SELECTOR = lazy(r"[A-Za-z0-9._/=(),\- ]{1,2000}")
_REVISION = "deployment.kubernetes.io/revision"


class Query(Struct, frozen=True):
    """A list to read: `labels` and `fields` are selectors."""

    group: str
    kind: str
    namespace: str
    labels: str = ""
    fields: str = ""


def followed(obj: Object) -> bool:
    """Whether something below an object of this kind can tell why it is not Current."""
    return obj.get("kind") in _BELOW


def queries(obj: Object) -> tuple[Query, ...]:
    """What to read to find the object below `obj`; () where nothing is below it."""
    group, kind = _BELOW.get(str(obj.get("kind")), ("", ""))
    namespace, labels = one_line(section(obj, "metadata").get("namespace"), links.NAME), _selector(obj)
    if kind == "PersistentVolumeClaim":
        return tuple(Query(group, kind, namespace, fields=f"metadata.name={name}") for name in _claims(obj)[:3])
    return (Query(group, kind, namespace, labels),) if kind and labels else ()


def events(obj: Object) -> Query:
    """The Events about `obj`."""
    metadata = section(obj, "metadata")
    uid = one_line(metadata.get("uid"), links.NAME)
    return Query("", "Event", one_line(metadata.get("namespace"), links.NAME), fields=f"involvedObject.uid={uid}")


def below(obj: Object, found: Iterable[Object]) -> Object | None:
    """The next object of the way down: the newest ReplicaSet, the pod in the worst state, a claim that is not bound."""
    kind = _BELOW.get(str(obj.get("kind")), ("", ""))[1]
    mine = [one for one in found if one.get("kind") == kind and _belongs(one, obj)]
    if kind == "ReplicaSet":
        return max(mine, key=_revision, default=None)
    if kind == "Pod":
        return min(
            (one for one in mine if _severity(one)), key=lambda one: (-_severity(one), links.name(one)), default=None
        )
    unbound = (one for one in mine if section(one, "status").get("phase") != "Bound")
    return min(unbound, key=links.name, default=None)


def chain(root: Object, found: Sequence[Object]) -> tuple[Link, ...]:
    """The links from `root` down to the last object that `found` knows, and its last Event."""
    way, at = [links.of(root)], root
    while len(way) < DEPTH and (under := below(at, found)) is not None:
        way.append(links.of(under))
        at = under
    uid = section(at, "metadata").get("uid")
    about = (one for one in found if one.get("kind") == "Event" and section(one, "involvedObject").get("uid") == uid)
    last = max(about, key=links.order, default=None)
    return (*way, links.event(last)) if last is not None else tuple(way)


def told(way: Sequence[Link]) -> str:
    """A chain as one sentence: its first object, then what the last one and its Event say; "" where nothing more is known."""
    objects = [one for one in way if one.kind != "Event"]
    said = next((one for one in way if one.kind == "Event"), None)
    first, last = objects[0], objects[-1]
    parts = [f"{first.kind} {first.place} {first.state}".rstrip()]
    if last is not first:
        parts.append(_short(last))
    if last.message:
        parts.append(last.message)
    elif said is not None:
        parts.append(f"{said.state}: {said.message}")
    return ": ".join(parts) if len(parts) > 1 else ""


def _short(link: Link) -> str:
    """pod shop-6f9 CrashLoopBackOff (5 restarts), image ghcr.io/x/y:1"""
    text = f"{link.kind.lower()} {link.name} {link.state}".rstrip()
    text += f" ({link.restarts} restart{'' if link.restarts == 1 else 's'})" if link.restarts else ""
    return text + (f", image {link.image}" if link.image else "")


def _severity(pod: Object) -> int:
    """How bad a pod is: 0 ready, ended well or going; 1 on its way; 2 without a node; 3 failed."""
    if section(pod, "metadata").get("deletionTimestamp"):
        return 0
    health = pod_health(pod)
    if health.status == "Current":
        return 0
    containers = rows(section(pod, "status"), "containerStatuses")
    if health.status == "Failed" or any(map(links.trouble, containers)):
        return 3
    return 2 if health.reason == "Unschedulable" else 1


def _belongs(one: Object, obj: Object) -> bool:
    """Whether the object is owned by `obj`, or is a claim that a pod names."""
    if one.get("kind") == "PersistentVolumeClaim":
        return links.name(one) in _claims(obj)
    uid = section(obj, "metadata").get("uid")
    return any(row.get("uid") == uid for row in rows(section(one, "metadata"), "ownerReferences"))


def _claims(pod: Object) -> list[str]:
    """The claims of a pod that has no node yet."""
    if condition(pod, "PodScheduled").get("status") != "False":
        return []
    volumes = rows(section(pod, "spec"), "volumes")
    names = (section(one, "persistentVolumeClaim").get("claimName") for one in volumes)
    return [name for name in names if isinstance(name, str) and _PLAIN.fullmatch(name)]


def _selector(obj: Object) -> str:
    """The selector of a workload as a list takes it; "" where it has none, or one that is not plain."""
    selector = section(obj, "spec", "selector")
    parts = [f"{key}={value}" for key, value in section(selector, "matchLabels").items()]
    for row in rows(selector, "matchExpressions"):
        values = row.get("values")
        told = ",".join(map(str, values)) if isinstance(values, list) else ""
        sign = {"In": "in", "NotIn": "notin"}.get(str(row.get("operator")))
        if sign is not None:
            parts.append(f"{row.get('key')} {sign} ({told})")
    text = ",".join(parts)
    return text if _SELECTOR.fullmatch(text) else ""


def _revision(replica_set: Object) -> tuple[int, str]:
    text = one_line(section(replica_set, "metadata", "annotations").get(_REVISION), 20)
    return int(text) if text.isascii() and text.isdigit() else 0, links.name(replica_set)
