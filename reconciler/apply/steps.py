"""What an operation does on the host step by step, beside the plan: a snapshot, a restore. One machine, a table of phases for each.

A pass does one step of each. A phase is on record before anything is done in it, and what is done in one is found again by its name,
so a process may end anywhere. What it makes is no desired object, and not in the inventory.
"""

from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from reconciler.assignment import Assignment
from reconciler.errors import ApiError, ErrorClass, LeaseLost, NidusError, Retry
from reconciler.gather import Reader
from reconciler.kube.client import Client
from reconciler.model import Bundle, Errand, Keys, Object, ObjectRef, Record, Report, Target, Volumes, replace
from reconciler.operations import backup

AGAIN = 30.0  # seconds until a step that failed is tried again


class Ground(Struct, frozen=True):
    """What a step works with: the record and the report of the pass so far. `answers`: the control plane does, though its layer waits;
    `volumes`: those that are to grow; `silent`: the control plane was not read in this pass."""

    assignment: Assignment
    record: Record
    report: Report
    reader: Reader
    host: Target
    answers: bool
    now: float
    volumes: Volumes | None = None
    silent: bool = False

    @property
    def bundle(self) -> Bundle:
        return self.assignment.bundle

    @property
    def client(self) -> Client:
        """Raises NidusError where the host cannot be reached."""
        return self.reader.client(self.host)

    @property
    def up(self) -> bool:
        """Whether the engine is awake and rolled out."""
        engine = next((one.name for one in self.bundle.layers if one.role == "engine"), "")
        return not self.asleep and self.current(engine)

    @property
    def asleep(self) -> bool:
        return self.report.sleep is not None and self.report.sleep.asleep

    def current(self, layer: str) -> bool:
        """Whether all of a layer is applied and ready."""
        return any(one.name == layer and one.state == "Current" for one in self.report.layers)

    @property
    def ready(self) -> bool:
        return any(one.type == "Ready" and one.status == "True" for one in self.report.conditions)


class Stepped(Struct, frozen=True):
    """What a step came to; `again`: when to look, in seconds since the epoch; `answered`: the answers that `record` has the outcome of;
    `unread`: none of them was looked at."""

    record: Record
    again: float | None = None
    errands: tuple[Errand, ...] = ()
    answered: tuple[tuple[str, str], ...] = ()
    unread: bool = False


class _Run(Protocol):
    @property
    def phase(self) -> str: ...


R = TypeVar("R", bound=_Run)


class Machine(Struct, Generic[R], frozen=True):
    """An operation's steps. `concerned`: whether anything is to be done at all; `running`: what is under way; `owns`: whether it waits for
    an answer with this name; `enter`: what comes before any step, or the ground of one; `begin`: the step where nothing is under way;
    `troubled`: the record with why a step failed."""

    concerned: Callable[[Assignment], bool]
    running: Callable[[Record], R | None]
    owns: Callable[[Record, str], bool]
    enter: Callable[[Ground, R | None], Ground | Stepped]
    begin: Callable[[Ground], Stepped]
    phases: Mapping[str, Callable[[Ground, R], Stepped]]
    troubled: Callable[[Record, str], Record]


def step(machine: Machine[R], ground: Ground) -> Stepped:
    """One step. What fails in it is told and tried again."""
    try:
        done = _step(machine, ground)
    except LeaseLost:
        raise
    except NidusError as error:
        after = error.after if isinstance(error, Retry) else None
        return Stepped(machine.troubled(ground.record, error.told), ground.now + (after or AGAIN))
    if done.unread:
        return done
    mine = (one for one in ground.assignment.answers if machine.owns(ground.record, one[0]))
    return replace(done, answered=tuple(mine))


def _step(machine: Machine[R], ground: Ground) -> Stepped:
    run = machine.running(ground.record)
    entered = machine.enter(ground, run)
    if isinstance(entered, Stepped):
        return entered
    return machine.begin(entered) if run is None else machine.phases[run.phase](entered, run)


def rarer(now: float, since: float) -> float:
    """When to look again at what has waited or failed `since` then: each later look is twice as far away."""
    return now + max(AGAIN, now - since)


def keys_of(ground: Ground, secret: str) -> Keys | None:
    """The credentials of an object store, None where the Secret has none."""
    return backup.keys_of(ground.client.get(ObjectRef("", "Secret", ground.bundle.namespace, secret)))


def no_keys(ground: Ground, secret: str) -> str:
    """Where they are looked for."""
    return f"Secret {secret} in {ground.bundle.namespace} has no {backup.ACCESS} and {backup.SECRET}"


def made(client: Client, one: Object) -> str:
    """Create it and return its UID; one that is there already is ours of a pass that was cut. Raises ApiError."""
    try:
        return uid_of(client.create(one))
    except ApiError as error:
        if error.kind is not ErrorClass.RACED:
            raise
    ref = ObjectRef("", str(one["kind"]), one["metadata"]["namespace"], one["metadata"]["name"])
    return uid_of(client.get(ref))


def gone(client: Client, refs: tuple[ObjectRef, ...]) -> bool:
    """Delete what is there of them, each by its UID; whether none was there. Raises ApiError."""
    found = [(ref, live) for ref in refs if (live := client.get(ref)) is not None]
    for ref, live in found:
        client.delete(ref, uid_of(live))
    return not found


def uid_of(live: Object | None) -> str:
    """The UID of a live object, "" where it is not there."""
    return str(live["metadata"].get("uid", "")) if live is not None else ""
