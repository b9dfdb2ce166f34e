"""The deletions of a plan, after everything else. A removed cluster is deleted from its engine to its namespace (A4, D2)."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from reconciler.apply import leaving
from reconciler.apply.run import Carry, Run, Step, all_gone, waits
from reconciler.assignment import Assignment, Facts
from reconciler.engine.leftovers import HOLDS
from reconciler.errors import NidusError
from reconciler.gather import Reader, leftovers
from reconciler.model import PRUNING_WAITS, TENANTS, Change, ObjectRef, Result, Target
from reconciler.plan import mark, prune


def carried(run: Run, results: Sequence[Result], because: str) -> Iterator[Step]:
    """The deletions of the plan, or what each of them waits for (`because`). What leaves with hooks goes between its hooks (K7)."""
    gone = [result.change for result in results]  # already deleted for the objects that replace them
    due = [one for one in run.plan.changes if one.action == "delete" and not one.hook and not sleeps(one)]
    doomed = [one for one in due if one not in gone]
    if because:
        yield Step(tuple(run.carry(one) for one in doomed if prune.revokes(one)))
        yield Step(_put_off([one for one in doomed if not prune.revokes(one)], because))
    elif run.assignment.bundle.tombstone is not None:
        because = yield from leaving.before_removal(run)
        if because:
            yield Step(_put_off(doomed, because))
            return
        going = [result for result in results if result.change.reason == "Terminating"]
        yield from _bury(run.assignment, doomed, going, run.carry, run.facts, run.reader)
    else:
        done: list[Result] = []
        rest = yield from leaving.pruned(run, doomed, done)
        yield from _pruned(rest, done, run.carry)


def sleeps(change: Change) -> bool:
    """Whether a tenant's pod goes because its cluster sleeps: that waits for nothing, the engine is gone already (O3)."""
    return change.action == "delete" and change.reason == TENANTS


def _put_off(doomed: Sequence[Change], because: str) -> tuple[Result, ...]:
    return tuple(waits(change, f"pruning waits for {because}", PRUNING_WAITS) for change in doomed)


def _pruned(changes: Sequence[Change], before: Sequence[Result], carry: Carry) -> Iterator[Step]:
    """Deletes in plan order; a namespace goes only when all else is observed gone (D2), `before` included."""
    results = list(before)
    for change in changes:
        wait = change.ref.kind == "Namespace" and not all_gone(results)
        results.append(waits(change) if wait else carry(change))
        yield Step((results[-1],))


def _bury(
    assignment: Assignment,
    changes: Sequence[Change],
    going: Sequence[Result],
    carry: Carry,
    facts: Facts,
    reader: Reader,
) -> Iterator[Step]:
    """Delete the engine, then the pods it left running, then the policies, then the namespace. Each step begins when
    all objects of the step before are observed gone. The policies contain our own rights in the namespace, so they go
    late. `going`: objects that an earlier pass deleted."""
    results: list[Result] = list(going)
    for layer, group in groupby(changes, key=lambda change: change.layer):
        if layer != leftovers.LAYER and all_gone(results):
            deleted = {one.change.ref for one in results if one.outcome == "deleted"}
            left = _left(assignment, facts, reader, may_read=leftovers.bound(assignment.state.entries, deleted))
            results += left
            yield Step(tuple(left))
        ready = layer == leftovers.LAYER or all_gone(results)
        for change in group:
            results.append(carry(change) if ready else waits(change))
            yield Step((results[-1],))


def _left(assignment: Assignment, facts: Facts, reader: Reader, *, may_read: bool) -> list[Result]:
    """The pods of the engine that are still there, or that they could not be listed. What it held goes once they are gone (D5)."""
    host = Target(facts.host.name)
    try:
        client = reader.client(host)
        held = leftovers.held(assignment.bundle, client) if may_read else []
        found = leftovers.left(assignment.bundle, client, all_of_it=bool(held))
        for one in held if not found else ():
            client.rewrite(
                mark.ref_of(one), one, {"finalizers": [x for x in one["metadata"]["finalizers"] if x != HOLDS]}
            )
    except NidusError as error:
        change = Change("skip", host, ObjectRef("", "Pod", assignment.bundle.namespace, "*"), leftovers.LAYER)
        return [Result(change, "failed", error=error.message, reason=error.reason)]
    going = partial(Result, outcome="waiting", error="is being deleted with the engine", reason="LeftByEngine")
    return [going(Change("skip", host, ref, leftovers.LAYER, reason="LeftByEngine")) for ref in found]
