"""Executes a plan: layer by layer in dependency order, deletions last. A removed cluster is deleted from its engine to
its namespace (A4, D2)."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from msgspec import Struct, field

from reconciler.apply import hooks, side_by_side
from reconciler.apply import layers as standing
from reconciler.apply.object import WRITING, Ground, execute, stand
from reconciler.assignment import Assignment, Facts
from reconciler.engine.leftovers import HOLDS
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather import Gathered, Reader, leftovers
from reconciler.inventory import ledger
from reconciler.inventory.store import State
from reconciler.model import (
    PRUNING_WAITS,
    TENANTS,
    Change,
    Layer,
    LayerStatus,
    ObjectRef,
    Plan,
    Result,
    Target,
    replace,
)
from reconciler.plan import allocations, behind, frozen, mark, order

WRITTEN = ledger.CONFIRMED | {"deleting"}
Carry = Callable[[Change], Result]


class Step(Struct, frozen=True):
    """A part of the outcome of a plan: results as soon as they exist, then the state of their layer. `watch`: nested
    objects whose change could make a layer Current. `hooked`: a layer whose hooks are not over, and until when one may take (seconds
    since the epoch)."""

    results: tuple[Result, ...] = ()
    layers: Mapping[str, LayerStatus] = field(default_factory=dict)
    watch: tuple[ObjectRef, ...] = ()
    hooked: Mapping[str, float] = field(default_factory=dict)


def carry_out(
    assignment: Assignment, gathered: Gathered, plan: Plan, state: State, facts: Facts, reader: Reader, now: float
) -> Iterator[Step]:
    """Execute layer by layer in dependency order; deletions last, and only when every layer could be applied (A4, I7).

    The caller gets each result before a later step of the pass can fail.
    """
    hooked = any(change.hook for change in plan.changes)
    run = _Run(assignment, gathered, plan, facts, reader, now, _hands(gathered, state, reader), hooked)
    layers: dict[str, LayerStatus] = {}
    results: list[Result] = []
    behind = ""
    for layer in assignment.bundle.layers:
        first = len(results)
        stuck = _stuck(layer, gathered, layers)
        begun = None if stuck else (yield from _begun(run, layer, results))
        if begun is not None:
            behind = behind or f"layer {layer.name}: {begun.message}"
        layers[layer.name] = stuck or begun or (yield from _layer(run, layer, results, first))
    yield Step(layers=layers)
    rest = tuple(_rest(assignment, plan, run.carry))
    yield Step(rest)
    yield Step(tuple(run.carry(change) for change in plan.changes if _sleeps(change)))
    looked_at = {name: one for name, one in layers.items() if not one.sleeps}
    waits = behind or standing.unsafe_to_prune(looked_at, [*results, *rest])
    yield from _ending(run, [*results, *rest], waits)


def _sleeps(change: Change) -> bool:
    """Whether a tenant's pod goes because its cluster sleeps: that waits for nothing, the engine is gone already (O3)."""
    return change.action == "delete" and change.reason == TENANTS


def _begun(run: "_Run", layer: Layer, results: list[Result]) -> Generator[Step, None, LayerStatus | None]:
    """The hooks before a layer's objects (K7): its state while they are not over. The chart's definitions come before them, as Helm has
    it."""
    if frozen.freezes(layer) and (blocked := (yield from _stored(run, layer, results))):
        return blocked
    due = hooks.changes(layer, run.plan, -1) if run.hooked else []
    if not due:
        return None
    yield from _sent(run, [one for one in _own(run.plan, layer) if order.defines(one.ref)], layer, results)
    return (yield from _hooked(run, due, layer, results))


def _stored(run: "_Run", layer: Layer, results: list[Result]) -> Generator[Step, None, LayerStatus | None]:
    """Stores what the layer's chart made up (K8); the layer's state where that is not done: then nothing of it is applied."""
    first = len(results)
    yield from _sent(run, [one for one in _own(run.plan, layer) if frozen.host_side(layer, one.target)], layer, results)
    return next((standing.of_result(layer, one) for one in results[first:] if one.outcome in standing.BLOCKING), None)


def _layer(run: "_Run", layer: Layer, results: list[Result], first: int) -> Generator[Step, None, LayerStatus]:
    """Sends the changes of a layer and, where it is then Current, its hooks after that. Returns its state. `first`: where its
    results begin."""
    known = {(one.change.target, one.change.ref) for one in results[first:]}
    yield from _sent(run, [one for one in _own(run.plan, layer) if (one.target, one.ref) not in known], layer, results)
    done = [one for one in results[first:] if not one.change.hook]
    status, watch = standing.of(layer, done, run.assignment, run.gathered, run.facts, run.reader, run.now)
    yield Step(watch=watch)
    due = hooks.changes(layer, run.plan, 1) if run.hooked and status.state == "Current" else []
    ended = yield from _hooked(run, due, layer, results)
    return status if ended is None else replace(ended, objects=status.objects)


def _own(plan: Plan, layer: Layer) -> list[Change]:
    return [one for one in plan.changes if one.layer == layer.name and not behind.prunes(one) and not one.hook]


def _sent(run: "_Run", changes: list[Change], layer: Layer, results: list[Result]) -> Iterator[Step]:
    sent, error = _applied(changes, layer, run.carry)
    if error is not None:
        yield Step(tuple(sent))
        raise error
    done = tuple(_with_room(sent, run.plan, results, run.carry))
    results += done
    yield Step(done)


def _hooked(
    run: "_Run", due: list[Change], layer: Layer, results: list[Result]
) -> Generator[Step, None, LayerStatus | None]:
    """Sends the hooks of one phase; None once it is over, and the layer's state before."""
    found: hooks.Open | None = None
    for one in hooks.phase(layer, due, run.carry, run.reader, run.now):
        if isinstance(one, hooks.Open):
            found = one
            yield Step(watch=one.watch, hooked={layer.name: one.until})
        else:
            results.append(one)
            yield Step((one,))
    return found.status if found is not None else None


class _Run(Struct, frozen=True):
    """What all parts of carrying a plan out need."""

    assignment: Assignment
    gathered: Gathered
    plan: Plan
    facts: Facts
    reader: Reader
    now: float
    carry: Carry
    hooked: bool


def _hands(gathered: Gathered, state: State, reader: Reader) -> Carry:
    entries = {(entry.target, entry.ref): entry for entry in state.entries}

    def carry(change: Change) -> Result:
        key = (change.target, change.ref)
        ground = Ground(gathered.observed.get(key), entries.get(key))
        if change.action not in WRITING:
            return stand(change, ground)
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
    waits = ", ".join(standing.blockers(layer, layers))
    return standing.waiting(layer, f"waits for {waits}") if waits else None


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
        yield _waits(change, f"waits until {left[0]} is gone: {result.error}") if left else carry(change)


def _rest(assignment: Assignment, plan: Plan, carry: Carry) -> list[Result]:
    """Results for objects that belong to no layer any more, and for held deletions: with the reason why they stay."""
    names = {layer.name for layer in assignment.bundle.layers}
    stays = (one for one in plan.changes if one.layer not in names or behind.prunes(one))
    return [carry(change) for change in stays if change.action != "delete"]


def _ending(run: "_Run", results: Sequence[Result], waits: str) -> Iterator[Step]:
    """The deletions of the plan, or what each of them `waits` for."""
    gone = [result.change for result in results]  # already deleted for the objects that replace them
    due = [one for one in run.plan.changes if one.action == "delete" and not one.hook and not _sleeps(one)]
    doomed = [one for one in due if one not in gone]
    if waits:
        yield Step(tuple(_waits(change, f"pruning waits for {waits}", PRUNING_WAITS) for change in doomed))
    elif run.assignment.bundle.tombstone is not None:
        going = [result for result in results if result.change.reason == "Terminating"]
        yield from _bury(run.assignment, doomed, going, run.carry, run.facts, run.reader)
    else:
        yield from _prune(doomed, run.carry)


def _prune(changes: Sequence[Change], carry: Carry) -> Iterator[Step]:
    """Deletes in plan order; a namespace goes only when all else is observed gone (D2)."""
    results: list[Result] = []
    for change in changes:
        wait = change.ref.kind == "Namespace" and not _all_gone(results)
        results.append(_waits(change) if wait else carry(change))
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
        if layer != leftovers.LAYER and _all_gone(results):
            deleted = {one.change.ref for one in results if one.outcome == "deleted"}
            left = _left(assignment, facts, reader, may_read=leftovers.bound(assignment.state.entries, deleted))
            results += left
            yield Step(tuple(left))
        ready = layer == leftovers.LAYER or _all_gone(results)
        for change in group:
            results.append(carry(change) if ready else _waits(change))
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


def _all_gone(results: Sequence[Result]) -> bool:
    return all(result.outcome == "deleted" for result in results)


def _waits(change: Change, what: str = "waits until everything in it is gone", reason: str = "Waiting") -> Result:
    return Result(change, "waiting", error=what, reason=reason)
