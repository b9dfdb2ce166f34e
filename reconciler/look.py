"""The part of a pass that writes nothing: what a plan shows and a pass executes (P6). Nothing that changes a server is loaded for it."""

from reconciler.assignment import Assignment, Facts
from reconciler.gather import Gathered, Reader, gather
from reconciler.memory import contended
from reconciler.model import Plan, replace
from reconciler.operations import removed_apis, upgrade
from reconciler.plan import hook_runs, hooks, mark
from reconciler.plan.compute import compute


def look(assignment: Assignment, facts: Facts, now: float, reader: Reader) -> tuple[Gathered, Plan]:
    """Everything that was read for a cluster, and what is to change in it. Raises NidusError where nothing could be read."""
    gathered = gather(assignment, facts, now, reader)
    nonce = assignment.state.record.nonce
    gathered = replace(
        gathered, ran=hook_runs.advanced(_ground(assignment, gathered, now), assignment.state.record.hooks)
    )
    plan = compute(
        assignment.bundle,
        gathered.desired,
        gathered.observed,
        gathered.entries,
        salt=facts.salt,
        unknown={**gathered.dark, **gathered.broken},
        nonce=nonce,
        now=now,
        consented=assignment.consented,
        absent=gathered.absent,
        hooks=gathered.ran,
    )
    steps = upgrade.steps(assignment.bundle, assignment.state.record)
    removed = removed_apis.told(assignment.bundle, gathered.desired)
    plan = replace(plan, steps=steps, waits=gathered.waits, removed=removed)
    return gathered, contended(plan, assignment.memory, now)


def _ground(assignment: Assignment, gathered: Gathered, now: float) -> hooks.Ground:
    entries = mark.entries_of(gathered.entries, gathered.observed) if hooks.concerned(gathered.desired) else {}
    dark = frozenset(gathered.dark) | frozenset(gathered.broken)
    nonce = assignment.state.record.nonce
    return hooks.Ground(assignment.bundle, gathered.desired, gathered.observed, entries, dark, nonce, now)
