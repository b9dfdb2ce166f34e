"""The steps of a cluster's snapshots: ask the engine, look how far it is, copy its answer, remove the request (O7).

What asks the engine is made once, the engine changes it, and it ends. It carries no mark of ours, because an engine may not write what
does, and goes by its UID. Archives are read and removed beside the passes.
"""

from typing import Any

from reconciler.apply.steps import Ground, Machine, Stepped, keys_of, made, no_keys, uid_of
from reconciler.archives import concealed
from reconciler.assignment import Assignment
from reconciler.errors import Retry
from reconciler.gather import Reader
from reconciler.kube.client import Client
from reconciler.model import (
    Archive,
    Backup,
    BackupRun,
    Backups,
    Bundle,
    Errand,
    Keys,
    ObjectRef,
    Record,
    Target,
    replace,
)
from reconciler.operations import Situation, backup, restore, upgrade
from reconciler.operations.situation import answered, seen_of

CANCELLING = 60.0  # seconds for which the removal of a cluster waits for a snapshot under way
REFUSED = 60.0  # seconds until a removal that failed is tried again


def cancel(assignment: Assignment, host: Target, reader: Reader, now: float) -> None:
    """Before the engine of a removed cluster goes, what it makes a snapshot for is taken back (D2). Raises Retry while it is not."""
    bundle, run = assignment.bundle, backup.running(assignment.state.record)
    if bundle.tombstone is None or run is None or now > bundle.tombstone.due + CANCELLING:
        return
    client = reader.client(host)
    if client.get(ObjectRef("", "Namespace", "", bundle.namespace)) is None:
        return
    _removed(client, run, bundle)
    if any(client.get(ref) is not None for ref in backup.refs_of(run, bundle)):
        raise Retry("waits until the engine has cancelled the snapshot under way", reason="SnapshotUnderWay", after=2.0)


def _concerned(assignment: Assignment) -> bool:
    return backup.concerned(assignment.bundle, assignment.state.record)


def _owns(record: Record, name: str) -> bool:
    """Every answer that is no restore's, also one that nothing waits for any more."""
    return not restore.owns(record, name)


def _enter(ground: Ground, run: BackupRun | None) -> Ground | Stepped:
    """Whether a change of versions may go on stands on record first. Where snapshots left the document, what is under way is taken
    back, and what was made stays where it is."""
    known = backup.known(ground.record)
    decided = upgrade.decided(known, ground.bundle, ground.record, ground.assignment.requests, ground.now)
    if backup.of(ground.bundle) is None:
        if run is not None:
            _removed(ground.client, run, ground.bundle)
        return _kept(ground, replace(decided, running=None, problem=""))
    if decided.cleared != known.cleared:
        return replace(_kept(ground, decided, ground.now), unread=True)
    return replace(ground, record=replace(ground.record, backups=_cleared(ground, replace(decided, problem=""))))


def _begin(ground: Ground) -> Stepped:
    """A snapshot that is due is noted; else retention has its turn."""
    asks, known = _asks(ground), backup.known(ground.record)
    keys = _keys(ground)
    run = _due(ground, known, asks) if ground.up or ground.answers else None
    if run is not None:
        return _kept(ground, run, ground.now)
    if known.problem:  # the store refused a removal just now
        return _kept(ground, known, ground.now + REFUSED)
    surplus = backup.surplus(known, asks, ground.now, ground.assignment.awaited)
    return _kept(ground, known, None, *(_errand(ground, one, "remove", keys) for one in surplus))


def _due(ground: Ground, known: Backups, asks: Backup) -> Backups | None:
    """The record with the snapshot that is to be made now, None where none is."""
    at_store = restore.running(ground.record)
    if at_store is not None and at_store.phase not in ("reading", "held"):
        return None
    record = replace(ground.record, backups=known)
    situation = Situation(ground.bundle, record, ground.assignment.requests, ground.now)
    wanted = upgrade.pending(ground.bundle, record)
    if wanted and known.tried != wanted:
        return replace(known, running=backup.before(situation, asks, wanted), tried=wanted)
    run = backup.due(situation, asks)
    if run is None:
        return None
    seen = answered(ground.assignment.requests, backup.KINDS, ground.bundle.cluster, seen_of(known))
    return replace(known, running=run, handled=ground.now, seen=seen)


def _cleared(ground: Ground, known: Backups) -> Backups:
    """The record without the archives that are removed by now."""
    for (name, does), answer in ground.assignment.answers.items():
        if does == "remove" and not answer.why:
            known = replace(known, archives=tuple(one for one in known.archives if one.id != name))
        elif does == "remove":
            known = replace(known, problem=f"snapshot {name} could not be removed: {answer.why}")
    return known


def _noted(ground: Ground, run: BackupRun) -> Stepped:
    """Ask the engine: the Secret first. One that is there already is ours of a pass that was cut."""
    keys, uid = _keys(ground), ""
    for one in backup.request_of(run, ground.bundle, backup.place(run, _asks(ground)), keys, ground.record.versions):
        uid = made(ground.client, one)
    return _on(ground, replace(run, phase="sent", uid=uid), ground.now + backup.LOOK)


def _sent(ground: Ground, run: BackupRun) -> Stepped:
    """Look how far the engine is."""
    live = ground.client.get(backup.refs_of(run, ground.bundle)[1])
    gone = live is None or run.uid not in ("", uid_of(live))
    phase, message = backup.answer_of(live) if live is not None and not gone else ("Failed", "its request is gone")
    if phase == "Completed":
        return _on(ground, replace(run, phase="reading"), ground.now)
    late = ground.now - run.at > backup.LONGEST
    if phase not in backup.ENDED and not late:
        return _on(ground, run, ground.now + backup.LOOK)
    why = message or (f"the engine took longer than {backup.LONGEST:.0f} s" if late else f"the engine says {phase}")
    why = concealed(why, _keys(ground))
    _removed(ground.client, run, ground.bundle)
    return _ended(ground, run, completed=False, why=why)


def _reading(ground: Ground, run: BackupRun) -> Stepped:
    """The engine's answer is on record: its request goes, and the archive is read back."""
    answer = ground.assignment.answers.get((run.id, "read"))
    if answer is not None:
        read = {"size": answer.size, "keys": answer.keys, "sha256": answer.sha256}
        return _ended(ground, run, completed=not answer.why, why=answer.why, **read)
    keys = _keys(ground)
    _removed(ground.client, run, ground.bundle)
    one = Archive(run.id, run.key, backup.place(run, _asks(ground)), run.at, completed=False)
    return _kept(ground, backup.known(ground.record), ground.now + 60.0, _errand(ground, one, "read", keys))


def _ended(ground: Ground, run: BackupRun, **fields: Any) -> Stepped:
    place = backup.place(run, _asks(ground))
    return _kept(ground, backup.ended(backup.known(ground.record), run, place, ground.record, **fields), ground.now)


def _on(ground: Ground, run: BackupRun, again: float) -> Stepped:
    return _kept(ground, replace(backup.known(ground.record), running=run), again)


def _kept(ground: Ground, known: Backups, again: float | None = None, *errands: Errand) -> Stepped:
    return Stepped(replace(ground.record, backups=known), again, errands)


def _asks(ground: Ground) -> Backup:
    found = backup.of(ground.bundle)
    assert found is not None  # `_enter` lets nothing else pass
    return found


def _keys(ground: Ground) -> Keys:
    """Raises Retry where the Secret has no credentials."""
    name = _asks(ground).credentials
    keys = keys_of(ground, name)
    if keys is None:
        raise Retry(no_keys(ground, name), after=60.0)
    return keys


def _removed(client: Client, run: BackupRun, bundle: Bundle) -> None:
    """Our objects of a request go: each by the UID it has, the ConfigMap only if it is the one we made."""
    for ref in backup.refs_of(run, bundle):
        uid = uid_of(client.get(ref))
        if uid and (ref.kind != "ConfigMap" or run.uid in ("", uid)):
            client.delete(ref, uid)


def _errand(ground: Ground, one: Archive, does: Any, keys: Keys) -> Errand:
    return Errand(ground.bundle.cluster, one.id, does, one.location, one.key, keys)


MACHINE = Machine[BackupRun](
    _concerned,
    backup.running,
    _owns,
    _enter,
    _begin,
    {"noted": _noted, "sent": _sent, "reading": _reading},
    backup.troubled,
)
