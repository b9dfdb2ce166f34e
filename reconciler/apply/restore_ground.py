"""What the phases of a restore come to, and what the host says of the engine meanwhile (O9)."""

from reconciler.apply.steps import Ground, Stepped
from reconciler.engine import leftovers, readiness
from reconciler.errors import Retry
from reconciler.health.reading import section
from reconciler.model import Object, ObjectRef, Restore, replace
from reconciler.operations import restore, restore_pod


def on(ground: Ground, run: Restore, *, why: str = "") -> Stepped:
    """The next phase, looked at as soon as it is on record; `why` the last one did not end well."""
    known = replace(restore.known(ground.record), running=run, problem=why)
    return Stepped(replace(ground.record, restores=known), max(ground.now, run.since))


def waits(ground: Ground, again: float | None = None) -> Stepped:
    """The same phase, looked at again."""
    return Stepped(ground.record, ground.now + restore.LOOK if again is None else again)


def problem(ground: Ground, why: str, again: float | None) -> Stepped:
    """The same phase, with why it does not go on."""
    return Stepped(restore.troubled(ground.record, why), again)


def ended(ground: Ground, run: Restore, why: str, *, whole: bool = False) -> Stepped:
    """The restore is over: whole, or not, and then why."""
    known = restore.ended(ground.record, run, ground.now, whole=whole, why=why)
    return Stepped(replace(ground.record, restores=known), ground.now)


def still(ground: Ground) -> bool:
    """Whether the engine has no pods and is to have none, as the host says now."""
    live = _workload(ground)
    if live is None or readiness.replicas(live) or section(live, "status").get("replicas"):
        return False
    one = leftovers.planes(ground.bundle.cluster, ground.bundle.namespace)
    return not ground.client.list(one.group, one.kind, namespace=one.namespace, labels=one.labels)[0]


def engine_of(ground: Ground) -> restore_pod.Engine:
    """The parts of the engine's live StatefulSet. Raises Retry where it has them not."""
    found = restore_pod.engine(_workload(ground))
    if isinstance(found, str):
        raise Retry(found)
    return found


def _workload(ground: Ground) -> Object | None:
    return ground.client.get(ObjectRef("apps", "StatefulSet", ground.bundle.namespace, ground.bundle.cluster))
