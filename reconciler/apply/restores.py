"""One step of a restore in a pass (O9): read the archive back, wait for an approval, and then, while the engine stands still, run the
pod that writes its store; back to the data of before where that fails.

Each phase is on record before anything is done in it, and what is done in one is found again by its name, so a process may end
anywhere. No phase needs the one before it to have been seen: the pods, the claim and the volume say what is there.
"""

from reconciler.apply.restore_ground import ended, engine_of, on, problem, still, waits
from reconciler.apply.restore_reads import answered, comparing, reading
from reconciler.apply.steps import Ground, Machine, Stepped, gone, keys_of, made, no_keys, uid_of
from reconciler.archives import concealed
from reconciler.assignment import Assignment
from reconciler.errors import Retry
from reconciler.model import Restore, Restored, Restores, replace
from reconciler.operations import backup, restore, restore_pod, situation


def _concerned(assignment: Assignment) -> bool:
    record, bundle = assignment.state.record, assignment.bundle
    if restore.running(record) is not None or restore.undecided(bundle, record):
        return True
    return restore.asked(assignment.requests, record) is not None


def _enter(ground: Ground, run: Restore | None) -> Ground | Stepped:
    """Whether the cluster, or what its file says that it begins with, is there no more."""
    if ground.bundle.tombstone is not None or ground.bundle.document is None:
        return _abandoned(ground, run)
    if run is not None and run.fresh and restore.source_of(ground.bundle) is None and run.phase != "waking":
        return _left(ground, run)
    return ground


def _abandoned(ground: Ground, run: Restore | None) -> Stepped:
    """The cluster is removed: no pod of a restore outlives that. Where its volume stays, the restore goes on once it is back."""
    if run is not None and run.phase in restore.STILL:
        gone(ground.client, restore_pod.refs(run, ground.bundle))
    return Stepped(ground.record)


def _left(ground: Ground, run: Restore) -> Stepped:
    """restoreFrom left the document before it was done: the cluster begins empty. What a pod may have written goes with the claim that was
    made for it."""
    made_for_it = (*restore_pod.refs(run, ground.bundle), restore_pod.claim_ref(ground.bundle))
    return ended(ground, run, "it left the file") if gone(ground.client, made_for_it) else waits(ground)


def _begin(ground: Ground) -> Stepped:
    """Answer a request, or what the document of a new cluster says."""
    if restore.undecided(ground.bundle, ground.record):
        return _fresh(ground)
    request = restore.asked(ground.assignment.requests, ground.record)
    if request is None:
        return Stepped(ground.record)
    found = restore.in_place(request, ground.record, backup.of(ground.bundle), ground.now)
    wanted = request.items[0] if request.items else ""
    return _answered(ground, found, wanted)


def _fresh(ground: Ground) -> Stepped:
    """What a new cluster begins with. Where its snapshot is not on record yet, that is waited for."""
    bundle, asks = ground.bundle, restore.source_of(ground.bundle)
    assert asks is not None  # it is undecided
    if ground.record.applied or ground.client.get(restore_pod.claim_ref(bundle)) is not None:
        why = "restoreFrom is for a cluster without data, and this one has some"
        return _answered(ground, why, asks.url or asks.id)
    found = restore.afresh(asks, ground.assignment.archive, bundle, ground.now)
    if isinstance(found, str):
        return Stepped(replace(ground.record, restores=Restores(problem=found)), ground.now + 60.0)
    return _answered(ground, replace(found, owner=ground.assignment.owner), "")


def _answered(ground: Ground, found: Restore | str, wanted: str) -> Stepped:
    """The restore is under way, or ended before it began. So are all that were asked for until now."""
    known = restore.known(ground.record)
    seen = situation.answered(
        ground.assignment.requests, restore.KINDS, ground.record.cluster, situation.seen_of(known)
    )
    known = replace(known, seen=seen)
    if isinstance(found, str):
        known = replace(known, last=Restored("", wanted[:253], ground.now, False, found))
    else:
        known = replace(known, running=found, problem="")
    return Stepped(replace(ground.record, restores=known), ground.now)


def _held(ground: Ground, run: Restore) -> Stepped:
    what = restore.held(run, ground.bundle)
    whose = ("", "") if run.owner else (ground.bundle.cluster, ground.assignment.source)
    if restore.approved(what, ground.assignment.requests, *whose, ground.now):
        if backup.running(ground.record) is None:
            return on(ground, restore.moved(run, "comparing", ground.now))
        return problem(ground, "waits for the snapshot under way", ground.now + restore.LOOK)
    if run.fresh:
        return problem(ground, "", None)
    if ground.now >= run.ends:
        return ended(ground, run, "nobody approved it in time")
    return problem(ground, "", run.ends)


def _stopping(ground: Ground, run: Restore) -> Stepped:
    """Until no pod of the engine and no other pod of this restore is left; then the claim, where there is none."""
    bundle, client = ground.bundle, ground.client
    if not gone(client, restore_pod.refs(run, bundle)) or ground.now < run.since or not still(ground):
        return waits(ground, max(run.since, ground.now + restore.LOOK))
    if client.get(restore_pod.claim_ref(bundle)) is None:
        made(client, restore_pod.claim(bundle, engine_of(ground)))
    return on(ground, restore.moved(run, "restoring", ground.now))


def _restoring(ground: Ground, run: Restore) -> Stepped:
    live = ground.client.get(restore_pod.pod_ref(run, ground.bundle))
    if live is None and run.uid:
        return _failed(ground, run, "its pod is gone")
    if live is None:
        return _sent(ground, run) if ground.now - run.since < restore.MADE else _unmade(ground, run)
    if not restore_pod.ours(live):
        raise Retry(f"somebody else made pod {live['metadata']['name']}")
    end, why = restore_pod.verdict(live)
    if end == "done":
        return on(ground, restore.moved(run, "restored" if run.back else "proving", ground.now))
    if end == "failed" or ground.now - run.since > restore.POD:
        keys, why = keys_of(ground, run.credentials), why or f"its pod took longer than {restore.POD:.0f} s"
        return _failed(ground, run, concealed(why, keys) if keys else why, untouched=restore_pod.untouched(live))
    found = replace(restore.known(ground.record), running=replace(run, uid=uid_of(live)))
    record = replace(ground.record, restores=replace(found, problem=restore_pod.waits(live)))
    return Stepped(record, ground.now + restore.LOOK)


def _sent(ground: Ground, run: Restore) -> Stepped:
    """Make the pod: once, while nothing of the engine runs."""
    if not still(ground):
        return waits(ground)
    if not run.back:
        keys = keys_of(ground, run.credentials)
        if keys is None:
            return _failed(ground, run, no_keys(ground, run.credentials), untouched=True)
        made(ground.client, restore_pod.secret(run, ground.bundle, keys))
    uid = made(ground.client, restore_pod.pod(run, ground.bundle, engine_of(ground)))
    known = replace(restore.known(ground.record), running=replace(run, uid=uid), problem="")
    return Stepped(replace(ground.record, restores=known), ground.now + restore.LOOK)


def _unmade(ground: Ground, run: Restore) -> Stepped:
    """The host refuses the pod, as where deploy/rbac.yaml is of an older release: nothing was written."""
    why = f"its pod could not be made for {restore.MADE:.0f} s: {restore.known(ground.record).problem}".rstrip(": ")
    return _failed(ground, run, why, untouched=True)


def _failed(ground: Ground, run: Restore, why: str, *, untouched: bool = False) -> Stepped:
    """What the pod did counts for nothing: back to the data of before. The way back itself is tried until it is done."""
    if run.back:
        return on(ground, restore.moved(run, "stopping", ground.now + 60.0), why=why)
    if untouched and not run.fresh:
        return on(ground, restore.moved(run, "restored", ground.now, why))
    if run.fresh:
        gone(ground.client, restore_pod.refs(run, ground.bundle))
    return on(ground, restore.backwards(run, why, ground.now), why=why if run.fresh else "")


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
    return problem(ground, found.why, ground.now + 30.0)


def _restored(ground: Ground, run: Restore) -> Stepped:
    """The engine is let go only when no pod of the restore is left: two would write one store. In other data no hook of a chart ran; in
    that of before, those on record did."""
    if not gone(ground.client, restore_pod.refs(run, ground.bundle)):
        return waits(ground)
    if run.back:
        ran = ground.record.hooks if run.hooks is None else run.hooks
    else:
        run, ran = replace(run, hooks=ground.record.hooks), {}
    done = on(ground, restore.moved(run, "waking", ground.now))
    return replace(done, record=replace(done.record, hooks=ran))


def _waking(ground: Ground, run: Restore) -> Stepped:
    """Until the cluster is Ready again. A control plane that does not come up with what was restored goes back."""
    waited, up = ground.now - run.since, ground.up
    if run.back and (up or waited > restore.READY):
        why = run.why if up else f"{run.why}; its data of before is back, and its control plane does not come up"
        return ended(ground, run, why)
    if ground.ready or (up and waited > restore.READY):
        return ended(ground, run, "", whole=True)
    if not up and not run.fresh and waited > restore.COMES_UP:
        why = f"its control plane did not come up within {restore.COMES_UP:.0f} s"
        return on(ground, restore.backwards(run, why, ground.now))
    return waits(ground)


MACHINE = Machine[Restore](
    _concerned,
    restore.running,
    restore.owns,
    _enter,
    _begin,
    {
        "reading": reading,
        "held": _held,
        "comparing": comparing,
        "stopping": _stopping,
        "restoring": _restoring,
        "proving": _proving,
        "restored": _restored,
        "waking": _waking,
    },
    restore.troubled,
)
