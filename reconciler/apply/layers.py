"""The state of a cluster's layers: which may start, which are Current, which wait and for what (A4)."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from reconciler import health
from reconciler.assignment import Assignment, Facts
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather import Gathered, Reader, gates, woken
from reconciler.gather import causes as reading
from reconciler.health import causes
from reconciler.model import Desired, Health, Layer, LayerStatus, Object, ObjectRef, Result, Target, replace
from reconciler.operations import sleep, upgrade
from reconciler.plan import mark
from reconciler.plan.compute import ENDED

BLOCKING = ("failed", "waiting", "held")
_WORST = ("Failed", "Terminating", "NotFound", "Unknown", "InProgress")


class Ground(Struct, frozen=True):
    """The values that a layer's state is computed from: the live objects by ref (results included) and the results of
    its changes. `more`: the engine's readiness, or why an object of `ready.checks` could not be read. `unhurried`: claims that
    wait for a pod; `ended`: Jobs that ran and are gone. `below`: what was read below the object that is not Current (U1);
    `behind`: workloads whose status is of before a sleep."""

    live: Mapping[ObjectRef, Object]
    results: Sequence[Result]
    more: tuple[Health, ...] = field(default=())
    unhurried: frozenset[ObjectRef] = frozenset()
    ended: frozenset[ObjectRef] = frozenset()
    below: tuple[Object, ...] = ()
    behind: Mapping[ObjectRef, Health] = field(default_factory=dict)


class _Worst(Struct, frozen=True):
    """The state of a layer's objects, and the object that decides it where one does."""

    word: str
    message: str
    ref: ObjectRef | None = None


def of(
    layer: Layer,
    results: Sequence[Result],
    assignment: Assignment,
    gathered: Gathered,
    facts: Facts,
    reader: Reader,
    now: float,
) -> tuple[LayerStatus, tuple[ObjectRef, ...]]:
    """The state of the layer after its changes, and the nested objects to watch while it is not Current."""
    one = next(each for each in gathered.desired if each.layer.name == layer.name)
    ground = _ground(one, results, assignment, gathered, facts, reader)
    worst = _worst(one, ground)
    ground = _explained(one, worst, ground, reader)
    state = _state(one, worst, ground, assignment.memory.since.get(layer.name, now), now)
    waits = state.state != "Current" and layer.target.nested
    return state, unready(one, ground) if waits else ()


def blockers(layer: Layer, states: Mapping[str, LayerStatus]) -> tuple[str, ...]:
    """The layers it depends on that are not Current."""
    return tuple(name for name in layer.depends_on if name not in states or states[name].state != "Current")


def waiting(layer: Layer, because: str, *, sleeps: bool = False) -> LayerStatus:
    return LayerStatus(layer.name, str(layer.target), "Waiting", because, sleeps=sleeps)


def failed(layer: Layer, because: str) -> LayerStatus:
    return LayerStatus(layer.name, str(layer.target), "Failed", because)


def of_result(layer: Layer, result: Result) -> LayerStatus:
    """The layer of which nothing is applied because of this result."""
    worst = _of_result(result)
    return LayerStatus(layer.name, str(layer.target), worst.word, worst.message, ref=worst.ref)


def unknown(layer: Layer, because: str) -> LayerStatus:
    """The layer could not be read; its earlier state may have changed."""
    return LayerStatus(layer.name, str(layer.target), "Unknown", because)


def _state(one: Desired, worst: _Worst, ground: Ground, since: float, now: float) -> LayerStatus:
    """One layer after its changes were executed. A layer that is not ready for longer than its timeout is Failed; it is
    still watched."""
    layer, count = one.layer, len(one.objects) + len(one.unplaced)
    live = ground.live.get(worst.ref) if worst.ref is not None and worst.word != "Current" else None
    chain = causes.chain(live, ground.below) if live is not None and causes.followed(live) else ()
    word, message = worst.word, (causes.told(chain) if chain else "") or worst.message
    if word == "InProgress" and now - since > layer.timeout:
        word, message = "Failed", f"not ready after {layer.timeout:.0f} s: {message}"
    return LayerStatus(layer.name, str(layer.target), word, message, count, worst.ref, chain)


def unready(one: Desired, ground: Ground) -> tuple[ObjectRef, ...]:
    """The objects, and the objects of gates, whose change could make the layer Current: what to watch."""
    refs = tuple(ref for ref in map(mark.ref_of, one.objects) if _health(ground, ref).status != "Current")
    return refs + tuple(gates.refs(one.layer))


def unsafe_to_prune(layers: Mapping[str, LayerStatus], results: Sequence[Result]) -> str:
    """What pruning waits for, "" where it may begin. One layer that could not be read, rendered or applied holds all
    deletions (I7: an error is never an absence)."""
    for layer in layers.values():
        if layer.state in ("Waiting", "Unknown"):
            return f"layer {layer.name}: {layer.message or layer.state}"
    for result in results:
        if result.outcome == "failed" or (result.outcome == "waiting" and result.change.reason != "Terminating"):
            return f"{result.change.ref}: {result.error or result.reason}"
    return ""


def _ground(
    one: Desired,
    results: Sequence[Result],
    assignment: Assignment,
    gathered: Gathered,
    facts: Facts,
    reader: Reader,
) -> Ground:
    """The live objects of one layer after its results, with what its gates read besides."""
    layer = one.layer
    live = {
        ref: seen.live
        for (target, ref), seen in gathered.observed.items()
        if target == layer.target and seen.live is not None
    }
    live.update({result.change.ref: result.live for result in results if result.live is not None})
    mine = {ref: live[ref] for ref in map(mark.ref_of, one.objects) if ref in live}
    found, unread = gates.read(layer, live, reader)
    more = [unread] if unread else []
    if layer.role == "engine" and gathered.sleep.asleep:
        more += [Health("InProgress", "PodsLeft", f"{ref} still runs") for ref in gathered.staying]
    elif layer.role == "engine":
        nested = Target(facts.host.name, assignment.bundle.cluster)
        version = upgrade.expects(assignment.bundle, assignment.state.record)
        more.append(gates.engine(mine, nested, gathered.unreachable.get(nested, ""), reader, version))
    ended = frozenset(one.change.ref for one in results if one.change.reason == ENDED)
    unhurried, behind = gates.unhurried(mine, layer.target, reader), _behind(layer, mine, assignment, facts, reader)
    return Ground({**live, **found}, results, tuple(more), unhurried, ended, behind=behind)


def _behind(
    layer: Layer, mine: Mapping[ObjectRef, Object], assignment: Assignment, facts: Facts, reader: Reader
) -> Mapping[ObjectRef, Health]:
    """The workloads inside that were Ready before the cluster slept and are not yet again; nothing is read of one that is up."""
    if not layer.target.nested or not sleep.waking(assignment.state.record):
        return {}
    return woken.behind(assignment.bundle, mine, layer.target, Target(facts.host.name), reader)


def _explained(one: Desired, worst: _Worst, ground: Ground, reader: Reader) -> Ground:
    """The ground, with what is below the object that keeps the layer from being Current. Nothing is read while it is, nor where the
    object was not written: that is the reason, and what runs is of before."""
    live = ground.live.get(worst.ref) if worst.ref is not None else None
    if live is None or worst.word not in ("InProgress", "Failed") or _refused(ground):
        return ground
    try:
        client = reader.client(one.layer.target)
    except LeaseLost:
        raise
    except NidusError:  # the target stopped answering: the next pass says so
        return ground
    return replace(ground, below=reading.read(live, client, reader.reads))


def _refused(ground: Ground) -> bool:
    return any(result.outcome in BLOCKING for result in ground.results)


def _worst(one: Desired, ground: Ground) -> _Worst:
    problems = [_of_result(result) for result in ground.results if result.outcome in BLOCKING]
    if problems:
        return min(problems, key=lambda problem: ("Failed", "Held", "InProgress").index(problem.word))
    states = [(ref, _health(ground, ref)) for ref in map(mark.ref_of, one.objects)]
    found: list[tuple[str, Health, ObjectRef | None]] = [
        (_named(ref, state), state, ref) for ref, state in states if state.status in _WORST
    ]
    found += [(state.message, state, None) for state in (health.gate(check, ground.live) for check in one.layer.gates)]
    found += [(state.message, state, None) for state in ground.more]
    unread = next((state for state in ground.more if state.status == "Unknown"), None)
    if unread is not None:
        return _Worst("Unknown", unread.message)
    for status in _WORST:
        worst = sorted(
            ((message, ref) for message, state, ref in found if state.status == status), key=lambda one: one[0]
        )
        if worst:
            return _Worst("Failed" if status == "Failed" else "InProgress", *worst[0])
    return _Worst(
        "Current",
        "; ".join(sorted(_named(ref, state) for ref, state in states if state.reason in {*health.PAUSED, ENDED})),
    )


def _of_result(result: Result) -> _Worst:
    ref = result.change.ref
    if result.outcome == "held":
        return _Worst("Held", f"{ref}: {result.error}", ref)
    if result.outcome == "waiting":
        return _Worst("InProgress", f"{ref}: {result.error}", ref)
    return _Worst("Failed", f"{ref}: {result.reason}: {result.error}", ref)


def _health(ground: Ground, ref: ObjectRef) -> Health:
    if ref in ground.ended:
        return Health("Current", ENDED, "it ended, and its ttlSecondsAfterFinished removed it")
    if ref in ground.unhurried:
        return Health("Current", "WaitsForConsumer", "the claim is bound when a pod uses it")
    if ref in ground.behind:
        return ground.behind[ref]
    live = ground.live.get(ref)
    return health.compute(live) if live is not None else Health("NotFound", "NotFound", "is not there yet")


def _named(ref: ObjectRef, state: Health) -> str:
    return f"{ref}: {state.message or state.reason or state.status}"
