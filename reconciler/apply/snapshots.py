"""One step of a cluster's snapshots in a pass: ask the engine, look how far it is, copy its answer, remove the request (O7).

What asks the engine is no desired object: it is made once, the engine changes it, and it ends. It is on record before it is made, carries
no mark of ours, because an engine may not write what does, and goes by its UID. Archives are read and removed beside the passes.
"""

from typing import Any

from msgspec import Struct

from reconciler.apply.single import made
from reconciler.archives import concealed
from reconciler.assignment import Assignment, Facts, Outcome
from reconciler.errors import LeaseLost, NidusError, Retry
from reconciler.gather import Reader
from reconciler.kube.client import Client
from reconciler.model import (
    Answer,
    Archive,
    Backup,
    BackupRun,
    Backups,
    Errand,
    Keys,
    Location,
    ObjectRef,
    Record,
    Target,
    replace,
)
from reconciler.operations import Situation, backup, restore, upgrade

CANCELLING = 60.0  # seconds for which the removal of a cluster waits for a snapshot under way
NO_KEYS = "Secret {} in {} has no " + f"{backup.ACCESS} and {backup.SECRET}"


class Ground(Struct, frozen=True):
    """What a step works with. `up`: the control plane runs and answers."""

    assignment: Assignment
    record: Record
    client: Client
    up: bool
    now: float

    @property
    def known(self) -> Backups:
        return self.record.backups or Backups()


class Stepped(Struct, frozen=True):
    """What a step came to; `again` when to look, in seconds since the epoch; `answered`: the answers that `backups` has the outcome of."""

    backups: Backups
    errands: tuple[Errand, ...] = ()
    again: float | None = None
    answered: tuple[tuple[str, str], ...] = ()


def concerned(assignment: Assignment) -> bool:
    """Whether anything is to be done at all."""
    known = assignment.state.record.backups
    return backup.of(assignment.bundle) is not None or (known is not None and known.running is not None)


def stepped(assignment: Assignment, record: Record, facts: Facts, reader: Reader, now: float, *, up: bool) -> Stepped:
    """One step after a pass; `up`: the control plane answers. What fails there is told and tried again."""
    try:
        return step(Ground(assignment, record, reader.client(Target(facts.host.name)), up, now))
    except LeaseLost:
        raise
    except NidusError as error:
        return Stepped(replace(record.backups or Backups(), problem=error.told), again=now + 60.0)


def told(outcome: Outcome, done: Stepped) -> Outcome:
    """The outcome of a pass with that of its step."""
    times = [at for at in (outcome.report.next_at, done.again) if at is not None]
    report = replace(outcome.report, backups=done.backups, next_at=min(times, default=None))
    return replace(outcome, report=report, errands=done.errands, answered=done.answered)


def cancel(assignment: Assignment, facts: Facts, reader: Reader, now: float) -> None:
    """Before the engine of a removed cluster goes, what it makes a snapshot for is taken back (D2). Raises Retry while it is not."""
    tombstone, known = assignment.bundle.tombstone, assignment.state.record.backups
    if tombstone is None or known is None or known.running is None or now > tombstone.due + CANCELLING:
        return
    client, namespace = reader.client(Target(facts.host.name)), assignment.bundle.namespace
    if client.get(ObjectRef("", "Namespace", "", namespace)) is None:
        return
    ground = Ground(assignment, assignment.state.record, client, False, now)
    _removed(ground, known.running)
    if any(client.get(ref) is not None for ref in backup.refs_of(known.running, assignment.bundle)):
        raise Retry("waits until the engine has cancelled the snapshot under way", reason="SnapshotUnderWay", after=2.0)


def step(ground: Ground) -> Stepped:
    """One step. Raises ApiError where the host refuses it; the next pass does it."""
    asks = backup.of(ground.assignment.bundle)
    known = upgrade.decided(
        ground.known, ground.assignment.bundle, ground.record, ground.assignment.requests, ground.now
    )
    if asks is None:
        return _stopped(ground, known)
    if known.cleared != ground.known.cleared:
        return Stepped(known, again=ground.now)
    keys = backup.keys_of(ground.client.get(_secret(ground, asks)))
    if keys is None:
        told = NO_KEYS.format(asks.credentials, ground.assignment.bundle.namespace)
        return Stepped(replace(known, problem=told), again=ground.now + 60.0)
    known, answered = _answered(ground, replace(known, problem=""), asks, keys), _concerns(ground)
    begun = _begun(ground, known, asks)
    if begun.running is not None:
        return replace(_under_way(ground, begun, asks, keys), answered=answered)
    errands = tuple(_errand(ground, one, "remove", keys) for one in backup.surplus(begun, asks, ground.now))
    return Stepped(begun, errands, backup.next_at(asks, ground.now), answered)


def _secret(ground: Ground, asks: Backup) -> ObjectRef:
    return ObjectRef("", "Secret", ground.assignment.bundle.namespace, asks.credentials)


def _stopped(ground: Ground, known: Backups) -> Stepped:
    """Snapshots left the document: what is under way is taken back, what was made stays where it is."""
    if known.running is not None:
        _removed(ground, known.running)
    return Stepped(replace(known, running=None, problem=""), answered=_concerns(ground))


def _answered(ground: Ground, known: Backups, asks: Backup, keys: Keys) -> Backups:
    """With what was done beside the passes since the last one."""
    for name, does in _concerns(ground):
        answer = ground.assignment.answers[name, does]
        run = known.running
        if does == "read" and run is not None and run.id == name and run.phase == "reading":
            known = _read(known, run, asks, ground.record, answer)
        elif does == "remove" and not answer.why:  # what retention took
            known = replace(known, archives=tuple(one for one in known.archives if one.id != name))
        elif does == "remove":
            known = replace(known, problem=f"snapshot {name} could not be removed: {concealed(answer.why, keys)}")
    return known


def _concerns(ground: Ground) -> tuple[tuple[str, str], ...]:
    """The answers that are no restore's, also those that nothing waits for any more."""
    run = restore.running(ground.record)
    return tuple(one for one in ground.assignment.answers if run is None or one[0] != run.id)


def _read(known: Backups, run: BackupRun, asks: Backup, record: Record, answer: Answer) -> Backups:
    fields: dict[str, Any] = {"completed": not answer.why, "why": answer.why}
    fields |= {"size": answer.size, "keys": answer.keys, "sha256": answer.sha256}
    return backup.ended(known, run, _place(run, asks), record, **fields)


def _begun(ground: Ground, known: Backups, asks: Backup) -> Backups:
    if known.running is not None or not ground.up:
        return known
    assignment = ground.assignment
    record = replace(ground.record, backups=known)
    situation = Situation(assignment.bundle, record, assignment.requests, ground.now)
    wanted = upgrade.pending(assignment.bundle, record)
    if wanted and known.tried != wanted:
        return replace(known, running=backup.before(situation, asks, wanted), tried=wanted)
    run = backup.due(situation, asks)
    return known if run is None else replace(known, running=run, handled=ground.now)


def _under_way(ground: Ground, known: Backups, asks: Backup, keys: Keys) -> Stepped:
    run = known.running
    assert run is not None
    soon = ground.now + backup.LOOK
    if run.phase == "noted" and ground.record.backups is not None and ground.record.backups.running == run:
        return Stepped(replace(known, running=_sent(ground, run, asks, keys)), again=soon)
    if run.phase == "noted":
        return Stepped(known, again=ground.now)  # it is on record first
    if run.phase == "reading":
        _removed(ground, run)  # its answer is on record
        return Stepped(known, (_errand(ground, _archive(run, asks), "read", keys),), ground.now + 60.0)
    return _looked(ground, known, run, asks, keys)


def _sent(ground: Ground, run: BackupRun, asks: Backup, keys: Keys) -> BackupRun:
    """The request at the engine: the Secret first. One that is there already is ours of a pass that was cut."""
    bundle = ground.assignment.bundle
    uid = ""
    for one in backup.request_of(run, bundle, _place(run, asks), keys, ground.record.versions):
        uid = made(ground.client, one)
    return replace(run, phase="sent", uid=uid)


def _looked(ground: Ground, known: Backups, run: BackupRun, asks: Backup, keys: Keys) -> Stepped:
    _, ref = backup.refs_of(run, ground.assignment.bundle)
    live = ground.client.get(ref)
    gone = live is None or run.uid not in ("", live["metadata"]["uid"])
    phase, message = backup.answer_of(live) if live is not None and not gone else ("Failed", "its request is gone")
    if phase == "Completed":
        return Stepped(replace(known, running=replace(run, phase="reading")), again=ground.now)
    late = ground.now - run.at > backup.LONGEST
    if phase in backup.ENDED or late:
        why = message or (f"the engine took longer than {backup.LONGEST:.0f} s" if late else f"the engine says {phase}")
        _removed(ground, run)
        over = backup.ended(known, run, _place(run, asks), ground.record, completed=False, why=concealed(why, keys))
        return Stepped(over, again=ground.now)
    return Stepped(known, again=ground.now + backup.LOOK)


def _removed(ground: Ground, run: BackupRun) -> None:
    """Our objects of a request go: each by the UID it has, the ConfigMap only if it is the one we made."""
    for ref in backup.refs_of(run, ground.assignment.bundle):
        live = ground.client.get(ref)
        uid = str(live["metadata"]["uid"]) if live is not None else ""
        if uid and (ref.kind != "ConfigMap" or run.uid in ("", uid)):
            ground.client.delete(ref, uid)


def _place(run: BackupRun, asks: Backup) -> Location:
    """Where its archive lies, whatever the document says by now."""
    return run.location or asks.location


def _archive(run: BackupRun, asks: Backup) -> Archive:
    return Archive(run.id, run.key, _place(run, asks), run.at, completed=False)


def _errand(ground: Ground, one: Archive, does: Any, keys: Keys) -> Errand:
    return Errand(ground.assignment.bundle.cluster, one.id, does, one.location, one.key, keys)
