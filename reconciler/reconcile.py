"""One pass over one nested cluster: gather, plan, permit, guard, intend, apply, confirm, report.

Create, change, delete, review and drift are this same pass with other inputs. There is no second apply and no separate
delete.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from reconciler.apply import after, outcomes, snapshots
from reconciler.apply.finished import finished
from reconciler.apply.outcomes import Done
from reconciler.apply.plan import carry_out
from reconciler.apply.run import Step
from reconciler.apply.steps import Ground, Stepped
from reconciler.assignment import Assignment, Facts, Outcome
from reconciler.errors import ErrorClass
from reconciler.gather import Gathered, Reader, exposure
from reconciler.gather.reader import Key
from reconciler.inventory import ledger
from reconciler.inventory.store import State
from reconciler.look import look
from reconciler.memory import Memory, corrections
from reconciler.model import (
    NO_VERSIONS,
    PRUNING_WAITS,
    Destructive,
    Permit,
    Plan,
    Ran,
    Record,
    Report,
    Result,
    Target,
    Versions,
    replace,
)
from reconciler.operations import backup, sleep, upgrade
from reconciler.operations.exposure import wanted
from reconciler.plan import consent, hook_runs, suspects
from reconciler.plan.guard import guard


class Writer(Struct, frozen=True):
    """What a pass may do besides reading: save its state, ask which deletions and replacements are permitted (AD3), and before
    each of them whether no newer commit overtook it."""

    save: Callable[[State], State]
    permit: Callable[[Destructive], Permit]
    current: Callable[[], bool]


def reconcile(assignment: Assignment, facts: Facts, now: float, reader: Reader, writer: Writer) -> Outcome:
    """One pass. Raises NidusError where nothing could be read or saved."""
    gathered, plan = look(assignment, facts, now, reader)
    gathered = replace(gathered, outside=exposure.read(assignment.bundle, gathered, reader, Target(facts.host.name)))
    permit = writer.permit(_destructive(assignment, plan))
    plan = guard(plan, permit, assignment.requests, now, assignment.source)
    snapshots.cancel(assignment, Target(facts.host.name), reader, now)
    intended = ledger.intend(gathered.entries, plan.changes, facts.salt)
    record = sleep.recorded(_known(assignment.state.record, gathered), gathered.sleep, now)
    state = writer.save(replace(assignment.state, record=record, entries=intended))
    steps: list[Step] = []
    try:
        for step in carry_out(assignment, gathered, plan, state, facts, reader, now, writer.current):
            steps.append(step)
    finally:  # results are confirmed even if a later step fails (A3)
        done = outcomes.done(steps)
        record = replace(state.record, hooks=_ran(assignment, gathered, plan, done, now))
        state = writer.save(replace(state, record=record, entries=ledger.confirm(state.entries, plan, done.results)))
    outcome = _outcome(assignment, gathered, plan, state, done, facts, now)
    record = _proven(state.record, outcome.report, assignment, gathered.runs)
    host, answers = Target(facts.host.name), outcomes.answers(assignment, gathered)
    silent = outcomes.silent(assignment, gathered)
    ground = Ground(assignment, record, outcome.report, reader, host, answers, now, gathered.volumes, silent)
    done_on_host = after.steps(ground)
    outcome, record = _with(outcome, done_on_host, assignment), done_on_host.record
    return outcome if record == state.record else replace(outcome, state=writer.save(replace(state, record=record)))


def _with(outcome: Outcome, done: Stepped, assignment: Assignment) -> Outcome:
    """The outcome of a pass with what operations did on the host."""
    times = [at for at in (outcome.report.next_at, done.again) if at is not None]
    snapshots = backup.concerned(assignment.bundle, assignment.state.record)
    report = replace(
        outcome.report,
        backups=done.record.backups if snapshots else None,
        restores=done.record.restores,
        kubeconfigs=done.record.kubeconfigs,
        growth=done.record.growth,
        next_at=min(times, default=None),
    )
    return replace(outcome, report=report, errands=done.errands, answered=done.answered)


def _ran(assignment: Assignment, gathered: Gathered, plan: Plan, done: Done, now: float) -> Mapping[str, Ran]:
    tombstone = assignment.bundle.tombstone
    ran = hook_runs.recorded(gathered.ran, gathered.desired, done.results, removed=tombstone is not None)
    if tombstone is None:
        return ran
    return hook_runs.counted(ran, gathered.desired, plan.changes, done.results, tombstone.due, now)


def _known(record: Record, gathered: Gathered) -> Record:
    """The record with what is known before anything is applied."""
    runs = record.versions if gathered.runs == NO_VERSIONS else gathered.runs
    return replace(record, hooks=gathered.ran, versions=runs)


def _proven(record: Record, report: Report, assignment: Assignment, live: Versions) -> Record:
    """The record with what this pass found: the revision and the bundle that are applied, and the versions of an engine that is rolled
    out. `live`: those that the engine kept, though the bundle names others."""
    bundle = assignment.bundle
    roles = {layer.name: layer.role for layer in bundle.layers}
    if report.word == "Ready":
        waits = (
            assignment.held is not None or assignment.invalid
        )  # what its newest commit asks for is not what is Ready
        brought = record.brought if waits else ()
        record = replace(record, applied=str(report.revision), ready=bundle.digest, slept=None, brought=brought)
    asleep = report.sleep is not None and report.sleep.asleep
    if asleep or live != NO_VERSIONS or upgrade.pending(bundle, record):
        return record  # no pod runs the versions of its engine layer
    rolled_out = any(roles.get(one.name) == "engine" and one.state == "Current" for one in report.layers)
    if not rolled_out or bundle.versions == NO_VERSIONS:
        return record
    return replace(record, versions=upgrade.proven(record.versions, bundle, ready=report.word == "Ready"))


def _destructive(assignment: Assignment, plan: Plan) -> Destructive:
    return Destructive(plan.cluster, plan.consent, consent.destroyed(plan.changes), len(assignment.state.entries))


def _outcome(
    assignment: Assignment, gathered: Gathered, plan: Plan, state: State, done: Done, facts: Facts, now: float
) -> Outcome:
    since = {
        name: assignment.memory.since.get(name, now)
        for name, layer in done.layers.items()
        if layer.state in ("InProgress", "Failed") and name not in done.hooked
    }
    known = {key: kept for key, kept in assignment.memory.settled.items() if key in gathered.observed}
    settled = {**known, **_stamps(gathered, done.results)}
    memory = Memory(settled, since, corrections(assignment.memory, done.results, now))
    soon = any(one.outcome == "waiting" and one.reason == str(ErrorClass.KIND_MISSING) for one in done.results)
    failing = any(one.outcome == "failed" and not one.stalls for one in done.results)
    report = outcomes.report(assignment, gathered, plan, state, done, since, facts, now)
    return Outcome(
        report,
        state,
        memory,
        done.watch,
        retry=_again(gathered, done),
        soon=soon and not failing,
        over=finished(assignment.bundle, gathered.entries, plan, done.results),
        due=report.ending is not None and report.ending.due <= now,
        unanswered=any(target.nested for target in gathered.unreachable),
        exposure=wanted(gathered.outside, assignment.tried),
    )


def _again(gathered: Gathered, done: Done) -> bool:
    """Whether to look again with backoff: something failed, waits or was not read, or no watch tells when it is ready
    (A5)."""
    engine = next((one for one in gathered.desired if one.layer.role == "engine"), None)
    starting = engine is not None and done.layers[engine.layer.name].state == "InProgress"
    unseen = any(layer.state == "Unknown" for layer in done.layers.values())
    open_ = any(
        result.outcome in ("failed", "waiting", "deleting") and result.reason != PRUNING_WAITS
        for result in done.results
    )  # the layer or object that deletions wait for decides when to look again
    open_ = open_ or any(one.change.hook and one.outcome in ledger.CONFIRMED for one in done.results)
    return open_ or unseen or starting or bool(gathered.unreachable)


def _stamps(gathered: Gathered, results: Sequence[Result]) -> dict[Key, str]:
    """The pairs that a dry-run found equal, so that the next pass needs no dry-run for them (P3)."""
    quiet = {(result.change.target, result.change.ref) for result in results if result.outcome == "unchanged"}
    stamps = {}
    for key, (layer, item) in suspects.firsts(gathered.desired).items():
        seen = gathered.observed.get(key)
        if key in quiet and seen and seen.live and seen.merged:
            stamps[key] = suspects.digest(suspects.request(item, layer, seen.live, seen.driven), seen.live)
    return stamps
