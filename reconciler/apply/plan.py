"""Executes a plan: layer by layer in dependency order, deletions last. A removed cluster is deleted from its engine to
its namespace (A4, D2)."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import groupby

from reconciler.apply import ending, hooks, side_by_side
from reconciler.apply import layers as standing
from reconciler.apply.object import WRITING, Ground, execute, stand
from reconciler.apply.run import Carry, Run, Step, hooked, waits
from reconciler.assignment import Assignment, Facts
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather import Gathered, Reader
from reconciler.inventory import ledger
from reconciler.inventory.store import State
from reconciler.model import (
    DESTRUCTIVE,
    Change,
    Layer,
    LayerStatus,
    Plan,
    Result,
    replace,
)
from reconciler.plan import allocations, behind, leaving, order, stored

WRITTEN = ledger.CONFIRMED | {"deleting"}


def carry_out(
    assignment: Assignment,
    gathered: Gathered,
    plan: Plan,
    state: State,
    facts: Facts,
    reader: Reader,
    now: float,
    current: Callable[[], bool],
) -> Iterator[Step]:
    """Execute layer by layer in dependency order; deletions last, and only when every layer could be applied (A4, I7). Nothing more is
    deleted or replaced, and no hook of it runs, once the assignment is not `current`: it may be wanted again (D1).

    The caller gets each result before a later step of the pass can fail.
    """
    has_hooks = any(change.hook for change in plan.changes)
    run = Run(assignment, gathered, plan, facts, reader, now, _hands(gathered, state, reader, current), has_hooks)
    layers: dict[str, LayerStatus] = {}
    results: list[Result] = []
    stopped = ""
    for layer in assignment.bundle.layers:
        first = len(results)
        stuck = _stuck(layer, gathered, layers)
        begun = None if stuck else (yield from _begun(run, layer, results))
        if begun is not None:
            stopped = stopped or f"layer {layer.name}: {begun.message}"
        layers[layer.name] = stuck or begun or (yield from _layer(run, layer, results, first))
    yield Step(layers=layers)
    rest = tuple(_rest(assignment, plan, run.carry))
    yield Step(rest)
    yield Step(tuple(run.carry(change) for change in plan.changes if ending.sleeps(change)))
    looked_at = {name: one for name, one in layers.items() if not one.sleeps}
    because = stopped or standing.unsafe_to_prune(looked_at, [*results, *rest])
    yield from ending.carried(run, [*results, *rest], because)


def _begun(run: Run, layer: Layer, results: list[Result]) -> Generator[Step, None, LayerStatus | None]:
    """The hooks before a layer's objects (K7): its state while they are not over. The chart's definitions come before them, as Helm has
    it."""
    if stored.keeps(run.gathered.desired, layer) and (blocked := (yield from _stored(run, layer, results))):
        return blocked
    due = hooks.changes(layer, run.plan, -1) if run.has_hooks else []
    if not due:
        return None
    yield from _sent(run, [one for one in _own(run.plan, layer) if order.defines(one.ref)], layer, results)
    return (yield from hooked(run, due, layer, results))


def _stored(run: Run, layer: Layer, results: list[Result]) -> Generator[Step, None, LayerStatus | None]:
    """Stores what the layer needs later (K7, K8); the layer's state where that is not done: then nothing of it is applied."""
    first = len(results)
    yield from _sent(run, [one for one in _own(run.plan, layer) if stored.host_side(layer, one.target)], layer, results)
    return next((standing.of_result(layer, one) for one in results[first:] if one.outcome in standing.BLOCKING), None)


def _layer(run: Run, layer: Layer, results: list[Result], first: int) -> Generator[Step, None, LayerStatus]:
    """Sends the changes of a layer and, where it is then Current, its hooks after that. Returns its state. `first`: where its
    results begin."""
    known = {(one.change.target, one.change.ref) for one in results[first:]}
    yield from _sent(run, [one for one in _own(run.plan, layer) if (one.target, one.ref) not in known], layer, results)
    done = [one for one in results[first:] if not one.change.hook]
    status, watch = standing.of(layer, done, run.assignment, run.gathered, run.facts, run.reader, run.now)
    yield Step(watch=watch)
    due = hooks.changes(layer, run.plan, 1) if run.has_hooks and status.state == "Current" else []
    ended = yield from hooked(run, due, layer, results)
    return status if ended is None else replace(ended, objects=status.objects)


def _own(plan: Plan, layer: Layer) -> list[Change]:
    return [one for one in plan.changes if one.layer == layer.name and not behind.prunes(one) and not one.hook]


def _sent(run: Run, changes: list[Change], layer: Layer, results: list[Result]) -> Iterator[Step]:
    sent, error = _applied(changes, layer, run.carry)
    if error is not None:
        yield Step(tuple(sent))
        raise error
    done = tuple(_with_room(sent, run.plan, results, run.carry))
    results += done
    yield Step(done)


def _hands(gathered: Gathered, state: State, reader: Reader, current: Callable[[], bool]) -> Carry:
    entries = {(entry.target, entry.ref): entry for entry in state.entries}

    def carry(change: Change) -> Result:
        key = (change.target, change.ref)
        ground = Ground(gathered.observed.get(key), entries.get(key))
        if change.action not in WRITING:
            return stand(change, ground)
        if (change.action in DESTRUCTIVE or change.hook in leaving.EVENTS) and not current():
            return waits(change, "a newer commit was admitted meanwhile", "Overtaken")
        try:
            client = reader.client(change.target)
        except LeaseLost:
            raise
        except NidusError as error:  # the target stopped answering since it was looked at (A7)
            return Result(change, "failed", error=error.message, reason=error.reason)
        result = execute(change, client, ground)
        if result.live is not None and result.outcome in WRITTEN:
            reader.merge(change.target, result.live)
        return result

    return carry


def _stuck(layer: Layer, gathered: Gathered, layers: Mapping[str, LayerStatus]) -> LayerStatus | None:
    """The state of a layer that cannot be applied in this pass; None where it may start."""
    if layer.name in gathered.broken:
        return standing.failed(layer, gathered.broken[layer.name])
    sleeps = gathered.sleep.asleep and layer.target in gathered.down
    if layer.name in gathered.fetching and not sleeps:
        return standing.waiting(layer, gathered.fetching[layer.name])
    if layer.role == "engine" and gathered.waits:
        return standing.waiting(layer, gathered.waits)
    if layer.target in gathered.unreachable:
        return standing.unknown(layer, gathered.unreachable[layer.target])
    if layer.target in gathered.down:
        return standing.waiting(layer, gathered.down[layer.target], sleeps=sleeps)
    blockers = ", ".join(standing.blockers(layer, layers))
    return standing.waiting(layer, f"waits for {blockers}") if blockers else None


def _applied(changes: list[Change], layer: Layer, carry: Carry) -> tuple[list[Result], BaseException | None]:
    """Changes of one layer: first those that others need, then the rest in parallel."""
    results: list[Result] = []
    for _, group in groupby(changes, key=lambda one: order.rank(one.ref)):
        found, error = side_by_side.each(list(group), carry, WRITING, nested=bool(layer.target.nested))
        results += found
        if error is not None:
            return results, error
    return results, None


def _with_room(done: Sequence[Result], plan: Plan, before: Sequence[Result], carry: Carry) -> Iterator[Result]:
    """The results. Where the server refused a change because an object of ours that is to be deleted holds the
    allocation it needs, that object is deleted, if the plan allows it, and the change is tried once more (A1)."""
    gone = {(one.change.target, one.change.ref): one for one in before if one.change.action == "delete"}
    for result in done:
        change = result.change
        if result.outcome != "failed" or not change.after or not allocations.taken(result.error):
            yield result
            continue
        for one in plan.changes:
            key = (one.target, one.ref)
            if one.action == "delete" and key in change.after and key not in gone:
                gone[key] = carry(one)
                yield gone[key]
        left = [key[1] for key in change.after if key in gone and gone[key].outcome != "deleted"]
        yield waits(change, f"waits until {left[0]} is gone: {result.error}") if left else carry(change)


def _rest(assignment: Assignment, plan: Plan, carry: Carry) -> list[Result]:
    """Results for objects that belong to no layer any more, and for held deletions: with the reason why they stay."""
    names = {layer.name for layer in assignment.bundle.layers}
    stays = (one for one in plan.changes if (one.layer not in names and not one.hook) or behind.prunes(one))
    return [carry(change) for change in stays if change.action != "delete"]
