"""What a step of a restore works with, what it comes to, and what the host says meanwhile (O9)."""

from collections.abc import Mapping

from msgspec import Struct

from reconciler.assignment import Assignment
from reconciler.engine import leftovers, readiness
from reconciler.health.reading import section
from reconciler.kube.client import Client
from reconciler.model import Errand, Keys, Object, ObjectRef, Ran, Record, Restore, Restores, replace
from reconciler.operations import backup


class Ground(Struct, frozen=True):
    """What a step works with. `up`: the control plane answers; `ready`: every layer is Current."""

    assignment: Assignment
    record: Record
    client: Client
    up: bool
    ready: bool
    now: float

    @property
    def known(self) -> Restores:
        return self.record.restores or Restores()


class Stepped(Struct, frozen=True):
    """What a step came to; `again` when to look, in seconds since the epoch; `hooks`: what ran of charts' hooks in
    the data that the engine gets, None where that is on record;
    `answered`: the answers that `restores` has the outcome of."""

    restores: Restores
    again: float | None = None
    errands: tuple[Errand, ...] = ()
    hooks: Mapping[str, Ran] | None = None
    answered: tuple[tuple[str, str], ...] = ()


def on(ground: Ground, run: Restore, *, problem: str = "", hooks: Mapping[str, Ran] | None = None) -> Stepped:
    """The next phase, looked at as soon as it is on record."""
    known = replace(ground.known, running=run, problem=problem)
    return Stepped(known, again=max(ground.now, run.since), hooks=hooks)


def still(ground: Ground) -> bool:
    """Whether the engine has no pods and is to have none, as the host says now."""
    bundle = ground.assignment.bundle
    live = ground.client.get(_workload(ground))
    if live is None or readiness.replicas(live) or section(live, "status").get("replicas"):
        return False
    one = leftovers.planes(bundle.cluster, bundle.namespace)
    return not ground.client.list(one.group, one.kind, namespace=one.namespace, labels=one.labels)[0]


def engine_of(ground: Ground) -> Object:
    """The engine's live StatefulSet. Raises ValueError where it is not there."""
    live = ground.client.get(_workload(ground))
    if live is None:
        raise ValueError("the engine's StatefulSet is not there")
    return live


def _workload(ground: Ground) -> ObjectRef:
    bundle = ground.assignment.bundle
    return ObjectRef("apps", "StatefulSet", bundle.namespace, bundle.cluster)


def keys_of(ground: Ground, run: Restore) -> Keys | None:
    """The credentials of the archive, None where the Secret has none."""
    ref = ObjectRef("", "Secret", ground.assignment.bundle.namespace, run.credentials)
    return backup.keys_of(ground.client.get(ref))


def uid_of(live: Object) -> str:
    """The UID of a live object."""
    return str(live["metadata"].get("uid", ""))
