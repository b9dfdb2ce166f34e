"""Executes a plan: layer by layer in dependency order, deletions last. A removed cluster is deleted from its engine to
its namespace (A4, D2)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct, field

from reconciler.apply import layers as standing
from reconciler.apply import side_by_side
from reconciler.apply.object import WRITING, Ground, execute, stand
from reconciler.assignment import Assignment, Facts
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather import Gathered, Reader, leftovers
from reconciler.inventory import ledger
from reconciler.inventory.store import State
from reconciler.model import PRUNING_WAITS, TENANTS, Change, Layer, LayerStatus, ObjectRef, Plan, Result, Target
from reconciler.plan import allocations, order

WRITTEN = ledger.CONFIRMED | {"deleting"}
Carry = Callable[[Change], Result]


class Step(Struct, frozen=True):
    """A part of the outcome of a plan: results as soon as they exist, then the state of their layer. `watch`: nested
    objects whose change could make a layer Current."""

    results: tuple[Result, ...] = ()
    layers: Mapping[str, LayerStatus] = field(default_factory=dict)
    watch: tuple[ObjectRef, ...] = ()


def carry_out(
    assignment: Assignment, gathered: Gathered, plan: Plan, state: State, facts: Facts, reader: Reader, now: float
) -> Iterator[Step]:
    """Execute layer by layer in dependency order; deletions last, and only when every layer could be applied (A4, I7).

    The caller gets each result before a later step of the pass can fail.
    """
    carry = _hands(gathered, state, reader)
    layers: dict[str, LayerStatus] = {}
    results: list[Result] = []
    for layer in assignment.bundle.layers:
        stuck = _stuck(layer, gathered, layers)
        if stuck is not None:
            layers[layer.name] = stuck
            continue
        sent, error = _applied(layer, plan, carry)
        if error is not None:
            yield Step(tuple(sent))
            raise error
        done = tuple(_with_room(sent, plan, results, carry))
        results += done
        yield Step(done)
        layers[layer.name], watch = standing.of(layer, done, assignment, gathered, facts, reader, now)
        yield Step(watch=watch)
    yield Step(layers=layers)
    rest = tuple(_rest(assignment, plan, carry))
    yield Step(rest)
    yield Step(tuple(carry(change) for change in plan.changes if _sleeps(change)))
    looked_at = {name: one for name, one in layers.items() if not (gathered.sleep.asleep and one.state == "Waiting")}
    yield from _ending(assignment, plan, [*results, *rest], looked_at, carry, facts, reader)


def _sleeps(change: Change) -> bool:
    """Whether a tenant's pod goes because its cluster sleeps: that waits for nothing, the engine is gone already (O3)."""
    return change.action == "delete" and change.reason == TENANTS


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
    if layer.target in gathered.unreachable:
        return standing.unknown(layer, gathered.unreachable[layer.target])
    if layer.target in gathered.down:
        return standing.waiting(layer, gathered.down[layer.target])
    waits = ", ".join(standing.blockers(layer, layers))
    return standing.waiting(layer, f"waits for {waits}") if waits else None


def _applied(layer: Layer, plan: Plan, carry: Carry) -> tuple[list[Result], BaseException | None]:
    """The changes of one layer without its deletions: first those that others need, then the rest in parallel."""
    changes = [one for one in plan.changes if one.layer == layer.name and one.action != "delete"]
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
    """Results for objects that belong to no layer any more and are not deleted, with the reason."""
    names = {layer.name for layer in assignment.bundle.layers}
    return [carry(change) for change in plan.changes if change.layer not in names and change.action != "delete"]


def _ending(
    assignment: Assignment,
    plan: Plan,
    results: Sequence[Result],
    layers: Mapping[str, LayerStatus],
    carry: Carry,
    facts: Facts,
    reader: Reader,
) -> Iterator[Step]:
    """The deletions of the plan, or what each of them waits for."""
    gone = [result.change for result in results]  # already deleted for the objects that replace them
    doomed = [one for one in plan.changes if one.action == "delete" and not _sleeps(one) and one not in gone]
    waits = standing.unsafe_to_prune(layers, results)
    if waits:
        yield Step(tuple(_waits(change, f"pruning waits for {waits}", PRUNING_WAITS) for change in doomed))
    elif assignment.bundle.tombstone is not None:
        going = [result for result in results if result.change.reason == "Terminating"]
        yield from _bury(assignment, doomed, going, carry, facts, reader)
    else:
        yield from _prune(doomed, carry)


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
            left = _left(assignment, facts, reader)
            results += left
            yield Step(tuple(left))
        ready = layer == leftovers.LAYER or _all_gone(results)
        for change in group:
            results.append(carry(change) if ready else _waits(change))
            yield Step((results[-1],))


def _left(assignment: Assignment, facts: Facts, reader: Reader) -> list[Result]:
    """The pods of the engine that are still there, or that they could not be listed."""
    host = Target(facts.host.name)
    try:
        found = leftovers.left(assignment.bundle, reader.client(host))
    except NidusError as error:
        change = Change("skip", host, ObjectRef("", "Pod", assignment.bundle.namespace, "*"), leftovers.LAYER)
        return [Result(change, "failed", error=error.message, reason=error.reason)]
    changes = [Change("skip", host, ref, leftovers.LAYER, reason="LeftByEngine") for ref in found]
    return [
        Result(change, "waiting", error="is being deleted with the engine", reason="LeftByEngine") for change in changes
    ]


def _all_gone(results: Sequence[Result]) -> bool:
    return all(result.outcome == "deleted" for result in results)


def _waits(change: Change, what: str = "waits until everything in it is gone", reason: str = "Waiting") -> Result:
    return Result(change, "waiting", error=what, reason=reason)
