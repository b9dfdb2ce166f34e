"""One step of a restore in a pass (O9): read the archive back, wait for an approval, and then, while the engine stands still, run the
pod that writes its store; back to the data of before where that fails.

Each phase is on record before anything is done in it, and what is done in one is found again by its name, so a process may end
anywhere. No phase needs the one before it to have been seen: the pods, the claim and the volume say what is there.
"""

from collections.abc import Callable

from reconciler.apply.restore_ground import Ground, Stepped, engine_of, keys_of, on, still, uid_of
from reconciler.apply.restore_reads import NO_KEYS, answered, comparing, reading
from reconciler.apply.single import gone, made
from reconciler.archives import concealed
from reconciler.assignment import Assignment, Facts, Outcome
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather import Reader
from reconciler.model import (
    Record,
    Report,
    Restore,
    Restored,
    Restores,
    Target,
    replace,
)
from reconciler.operations import backup, restore, restore_pod


def concerned(assignment: Assignment) -> bool:
    """Whether anything is to be done at all."""
    record, bundle = assignment.state.record, assignment.bundle
    if restore.running(record) is not None or restore.undecided(bundle, record):
        return True
    return restore.asked(assignment.requests, record) is not None


def stepped(
    assignment: Assignment, record: Record, report: Report, facts: Facts, reader: Reader, now: float
) -> Stepped:
    """One step after a pass. What fails there is told and tried again."""
    engine = next((one.name for one in assignment.bundle.layers if one.role == "engine"), "")
    asleep = report.sleep is not None and report.sleep.asleep
    up = any(one.name == engine and one.state == "Current" for one in report.layers) and not asleep
    ready = any(one.type == "Ready" and one.status == "True" for one in report.conditions)
    try:
        return step(Ground(assignment, record, reader.client(Target(facts.host.name)), up, ready, now))
    except LeaseLost:
        raise
    except (NidusError, ValueError) as error:
        told = error.told if isinstance(error, NidusError) else str(error)
        known = record.restores or Restores()
        return Stepped(replace(known, problem=told), again=now + 30.0)


def told(outcome: Outcome, done: Stepped) -> Outcome:
    """The outcome of a pass with that of its step."""
    times = [at for at in (outcome.report.next_at, done.again) if at is not None]
    report = replace(outcome.report, restores=done.restores, next_at=min(times, default=None))
    errands, answered = (*outcome.errands, *done.errands), (*outcome.answered, *done.answered)
    return replace(outcome, report=report, errands=errands, answered=answered)


def step(ground: Ground) -> Stepped:
    """One step. Raises NidusError where the host refuses it; the next pass does it."""
    run = restore.running(ground.record)
    if ground.assignment.bundle.tombstone is not None or ground.assignment.bundle.document is None:
        return _abandoned(ground, run)
    if run is None:
        return _begun(ground)
    if run.fresh and restore.source_of(ground.assignment.bundle) is None and run.phase != "waking":
        return _left(ground, run)
    done, answer = _PHASES[run.phase](ground, run), (f"{run.id}-{run.phase}", "read")
    return replace(done, answered=(answer,)) if answer in ground.assignment.answers else done


def _abandoned(ground: Ground, run: Restore | None) -> Stepped:
    """The cluster is removed: no pod of a restore outlives that. Where its volume stays, the restore goes on once it is back."""
    if run is not None and run.phase in restore.STILL:
        gone(ground.client, restore_pod.refs(run, ground.assignment.bundle))
    return Stepped(ground.known)


def _left(ground: Ground, run: Restore) -> Stepped:
    """restoreFrom left the document before it was done: the cluster begins empty. What a pod may have written goes with the claim that was
    made for it."""
    bundle = ground.assignment.bundle
    if not gone(ground.client, (*restore_pod.refs(run, bundle), restore_pod.claim_ref(bundle))):
        return Stepped(ground.known, again=ground.now + restore.LOOK)
    return Stepped(restore.ended(ground.known, run, ground.now, whole=False, why="it left the file"), again=ground.now)


def _begun(ground: Ground) -> Stepped:
    """Answer a request, or what the document of a new cluster says."""
    bundle, known = ground.assignment.bundle, ground.known
    asks = restore.source_of(bundle)
    if asks is not None and restore.undecided(bundle, ground.record):
        if ground.record.applied or ground.client.get(restore_pod.claim_ref(bundle)) is not None:
            why = "restoreFrom is for a cluster without data, and this one has some"
            last = Restored("", asks.url or asks.id, ground.now, False, why)
            return Stepped(replace(known, last=last, handled=ground.now), again=ground.now)
        found = restore.afresh(asks, ground.assignment.archive, bundle, ground.now)
        found = replace(found, owner=ground.assignment.owner) if not isinstance(found, str) else found
        if isinstance(found, str):
            return Stepped(Restores(problem=found), again=ground.now + 60.0)
        return Stepped(replace(known, running=found, handled=ground.now, problem=""), again=ground.now)
    request = restore.asked(ground.assignment.requests, ground.record)
    if request is None:
        return Stepped(known)
    found = restore.in_place(request, ground.record, backup.of(bundle), ground.now)
    if isinstance(found, str):
        wanted = request.items[0] if request.items else ""
        last = Restored("", wanted[:253], ground.now, False, found)
        return Stepped(replace(known, last=last, handled=request.created), again=ground.now)
    return Stepped(replace(known, running=found, handled=request.created, problem=""), again=ground.now)


def _held(ground: Ground, run: Restore) -> Stepped:
    what = restore.held(run, ground.assignment.bundle)
    busy = ground.record.backups is not None and ground.record.backups.running is not None
    cluster = "" if run.owner else ground.assignment.bundle.cluster
    if restore.approved(what, ground.assignment.requests, cluster, ground.now):
        if not busy:
            return on(ground, restore.moved(run, "comparing", ground.now))
        return Stepped(replace(ground.known, problem="waits for the snapshot under way"), ground.now + restore.LOOK)
    if run.fresh:
        return Stepped(replace(ground.known, problem=""))
    if ground.now >= run.ends:
        return Stepped(
            restore.ended(ground.known, run, ground.now, whole=False, why="nobody approved it in time"), ground.now
        )
    return Stepped(replace(ground.known, problem=""), run.ends)


def _stopping(ground: Ground, run: Restore) -> Stepped:
    """Until no pod of the engine and no other pod of this restore is left; then the claim, where there is none."""
    bundle, client = ground.assignment.bundle, ground.client
    if not gone(client, restore_pod.refs(run, bundle)) or ground.now < run.since or not still(ground):
        return Stepped(ground.known, again=max(run.since, ground.now + restore.LOOK))
    if client.get(restore_pod.claim_ref(bundle)) is None:
        made(client, restore_pod.claim(bundle, engine_of(ground)))
    return on(ground, restore.moved(run, "restoring", ground.now))


def _restoring(ground: Ground, run: Restore) -> Stepped:
    bundle, client = ground.assignment.bundle, ground.client
    live = client.get(restore_pod.pod_ref(run, bundle))
    if live is None and run.uid:
        return _failed(ground, run, "its pod is gone")
    if live is None:
        return _sent(ground, run) if ground.now - run.since < restore.MADE else _unmade(ground, run)
    late = ground.now - run.since > restore.LONGEST
    if not restore_pod.ours(live):
        raise ValueError(f"somebody else made pod {live['metadata']['name']}")
    end, why = restore_pod.verdict(live)
    if end == "done":
        return on(ground, restore.moved(run, "restored" if run.back else "proving", ground.now))
    if end == "failed" or late:
        keys = keys_of(ground, run)
        why = why or f"its pod took longer than {restore.LONGEST:.0f} s"
        return _failed(ground, run, concealed(why, keys) if keys else why, untouched=restore_pod.untouched(live))
    known = replace(ground.known, problem=restore_pod.waits(live), running=replace(run, uid=uid_of(live)))
    return Stepped(known, again=ground.now + restore.LOOK)


def _sent(ground: Ground, run: Restore) -> Stepped:
    """Make the pod: once, while nothing of the engine runs."""
    bundle, client = ground.assignment.bundle, ground.client
    if not still(ground):
        return Stepped(ground.known, again=ground.now + restore.LOOK)
    if not run.back:
        keys = keys_of(ground, run)
        if keys is None:
            return _failed(ground, run, NO_KEYS.format(run.credentials, bundle.namespace), untouched=True)
        made(client, restore_pod.secret(run, bundle, keys))
    uid = made(client, restore_pod.pod(run, bundle, engine_of(ground)))
    known = replace(ground.known, running=replace(run, uid=uid), problem="")
    return Stepped(known, again=ground.now + restore.LOOK)


def _unmade(ground: Ground, run: Restore) -> Stepped:
    """The host refuses the pod, as where deploy/rbac.yaml is of an older release: nothing was written."""
    why = f"its pod could not be made for {restore.MADE:.0f} s: {ground.known.problem}".rstrip(": ")
    return _failed(ground, run, why, untouched=True)


def _failed(ground: Ground, run: Restore, why: str, *, untouched: bool = False) -> Stepped:
    """What the pod did counts for nothing: back to the data of before. The way back itself is tried until it is done."""
    if run.back:
        known = replace(ground.known, problem=why, running=restore.moved(run, "stopping", ground.now + 60.0))
        return Stepped(known, again=ground.now + 60.0)
    if untouched and not run.fresh:
        return on(ground, restore.moved(run, "restored", ground.now, why))
    if run.fresh:
        gone(ground.client, restore_pod.refs(run, ground.assignment.bundle))
    return on(ground, restore.backwards(run, why, ground.now), problem=why if run.fresh else "")


def _proving(ground: Ground, run: Restore) -> Stepped:
    """What the pod restored counts only where the archive is the same after it as before."""
    found, late = answered(ground, run), ground.now - run.since > restore.PROVEN
    if isinstance(found, Stepped):
        return (
            _failed(ground, run, f"its archive could not be read again for {restore.PROVEN:.0f} s") if late else found
        )
    if not found.why:
        return on(ground, restore.moved(run, "restored", ground.now))
    if found.unsound or late:
        return _failed(ground, run, f"what its pod restored is not proven: {found.why}")
    return Stepped(replace(ground.known, problem=found.why), again=ground.now + 30.0)


def _restored(ground: Ground, run: Restore) -> Stepped:
    """The engine is let go only when no pod of the restore is left: two would write one store. In other data no hook of a chart ran; in
    that of before, those on record did."""
    if not gone(ground.client, restore_pod.refs(run, ground.assignment.bundle)):
        return Stepped(ground.known, again=ground.now + restore.LOOK)
    kept = replace(run, hooks=ground.record.hooks) if not run.back else run
    return on(ground, restore.moved(kept, "waking", ground.now), hooks=run.hooks if run.back else {})


def _waking(ground: Ground, run: Restore) -> Stepped:
    """Until the cluster is Ready again. A control plane that does not come up with what was restored goes back."""
    waited = ground.now - run.since
    if run.back and (ground.up or waited > restore.READY):
        why = run.why if ground.up else f"{run.why}; its data of before is back, and its control plane does not come up"
        return Stepped(restore.ended(ground.known, run, ground.now, whole=False, why=why), again=ground.now)
    if ground.ready or (ground.up and waited > restore.READY):
        return Stepped(restore.ended(ground.known, run, ground.now, whole=True), again=ground.now)
    if not ground.up and not run.fresh and waited > restore.COMES_UP:
        why = f"its control plane did not come up within {restore.COMES_UP:.0f} s"
        return on(ground, restore.backwards(run, why, ground.now))
    return Stepped(ground.known, again=ground.now + restore.LOOK)


_PHASES: dict[str, Callable[[Ground, Restore], Stepped]] = {
    "reading": reading,
    "held": _held,
    "comparing": comparing,
    "stopping": _stopping,
    "restoring": _restoring,
    "proving": _proving,
    "restored": _restored,
    "waking": _waking,
}
