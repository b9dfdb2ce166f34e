"""What a pass comes to: the results of its steps, and its report. Pure, but for the jitter of the next look."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from reconciler import conditions, jitter, operations
from reconciler.apply.run import Step
from reconciler.assignment import Assignment, Facts
from reconciler.engine import readiness
from reconciler.errors import few
from reconciler.gather import Gathered
from reconciler.inventory.store import State
from reconciler.memory import looks
from reconciler.model import (
    Condition,
    Desired,
    Held,
    Layer,
    LayerStatus,
    Object,
    ObjectRef,
    Plan,
    Report,
    Result,
    Target,
    replace,
)
from reconciler.operations import Situation, expiry, exposure, restore, sleep, upgrade
from reconciler.plan import leaving, mark, request

LOOK_AGAIN = (
    300.0  # seconds: nothing tells us of drift inside nested clusters, so they are read again now and then (R1)
)
JITTER = 0.2  # of it
LEFT = 2  # fields that a layer's message names


class Done(Struct, frozen=True):
    """What was done: every result, the state of each layer, what to watch, and the layers whose hooks are not over, with until when
    the one that runs may take."""

    results: tuple[Result, ...]
    layers: Mapping[str, LayerStatus]
    watch: tuple[ObjectRef, ...]
    hooked: Mapping[str, float]


def done(steps: Sequence[Step]) -> Done:
    """All steps of a pass together."""
    results = tuple(result for step in steps for result in step.results)
    layers = {name: status for step in steps for name, status in step.layers.items()}
    hooked = {name: until for step in steps for name, until in step.hooked.items()}
    return Done(results, layers, tuple(ref for step in steps for ref in step.watch), hooked)


def report(
    assignment: Assignment,
    gathered: Gathered,
    plan: Plan,
    state: State,
    done: Done,
    since: Mapping[str, float],
    facts: Facts,
    now: float,
) -> Report:
    bundle, slept = assignment.bundle, state.record.slept
    situation = _situation(assignment, gathered, state, facts, now)
    held, ending = _held(plan) or operations.held(situation), expiry.ending(situation)
    over = ending is not None and ending.warned == expiry.OVER
    states = tuple(_states(assignment, gathered, state, done))
    found, word = conditions.compute(
        states,
        done.results,
        held=held,
        suspended=bundle.suspend,
        tombstone=bundle.tombstone,
        invalid=assignment.invalid,
        never_applied=not assignment.state.record.applied,
        unreachable="" if sleep.waking(state.record) else _unreachable(assignment, gathered, done, facts),
        asleep=ending.told if ending is not None and over else sleep.told(gathered.sleep),
        restoring=restore.told(state.record),
        expired=over,
    )
    return Report(
        bundle.cluster,
        bundle.revision,
        plan,
        done.results,
        states,
        (*found, *_exposed(assignment, gathered)),
        word,
        held,
        _endpoint(assignment, gathered, facts),
        next_at=_next_at(situation, assignment, done, since),
        sleep=gathered.sleep,
        ending=ending,
        woke=now - slept.woken if slept is not None and slept.woken and word == "Ready" else 0.0,
    )


def _situation(assignment: Assignment, gathered: Gathered, state: State, facts: Facts, now: float) -> Situation:
    up = answers(assignment, gathered) or not gathered.upgrade
    waits, requests = assignment.held.end if assignment.held is not None else "", assignment.requests
    return Situation(assignment.bundle, state.record, requests, now, gathered.sleep, up, facts.grace, end_waits=waits)


def _states(assignment: Assignment, gathered: Gathered, state: State, done: Done) -> Iterator[LayerStatus]:
    """Of every layer of the bundle, then of those that leave."""
    step = upgrade.told(assignment.bundle, state.record)
    left = {one.layer.name: _left(one) for one in gathered.desired}
    for layer in assignment.bundle.layers:
        yield _state(layer, done.layers[layer.name], step, left.get(layer.name, ""))
    for one in leaving.layers(gathered.desired):
        if one.layer.name in done.layers:
            yield done.layers[one.layer.name]


def _left(one: Desired) -> str:
    """Which fields of the layer's objects are left to the engine, "" where none is."""
    found = [f"{mark.ref_of(obj)}: {flag}" for obj in one.objects for flag in request.left(obj, one.layer)]
    return few(found, LEFT)


def _state(layer: Layer, status: LayerStatus, step: str, left: str) -> LayerStatus:
    """The state of a layer; `step`: what to know of a step of an upgrade while the engine is not through it, `left`: what is not as in
    Git although the layer is Current."""
    if left and status.state == "Current":
        status = replace(status, message=f"{status.message}; {left}" if status.message else left)
    if step and layer.role == "engine" and status.state != "Current":
        status = replace(status, message=f"{status.message}; {step}")
    return replace(status, depends_on=layer.depends_on)


def _unreachable(assignment: Assignment, gathered: Gathered, done: Done, facts: Facts) -> str:
    """Why the API server of a cluster that was up before could not be read; "" where it was read, or never was up."""
    if not assignment.state.record.applied:
        return ""
    nested = Target(facts.host.name, assignment.bundle.cluster)
    if nested in gathered.down:
        engine = next((one.layer.name for one in gathered.desired if one.layer.role == "engine"), "")
        return f"its control plane is not up: {done.layers[engine].message}" if engine else gathered.down[nested]
    return gathered.unreachable.get(nested, "")


def _held(plan: Plan) -> Held | None:
    changes = [change for change in plan.changes if change.action == "hold"]
    changes = [
        change for change in changes if change.hook not in leaving.EVENTS
    ] or changes  # those are held with what leaves
    if not changes:
        return None
    message = f"{len(changes)} held: {changes[0].ref}: {conditions.way(changes[0].why)}"
    return Held(changes[0].reason, message, plan.consent.digest, plan.consent.items)


def answers(assignment: Assignment, gathered: Gathered) -> bool:
    """Whether an engine whose layer waits answers: it runs as it was."""
    return bool(gathered.waits) and not silent(assignment, gathered)


def silent(assignment: Assignment, gathered: Gathered) -> bool:
    """Whether the control plane is not up, or did not answer."""
    return any(target.nested == assignment.bundle.cluster for target in (*gathered.down, *gathered.unreachable))


def _next_at(situation: Situation, assignment: Assignment, done: Done, since: Mapping[str, float]) -> float:
    """When to look again: the first of all that is due, or that may be too late by then."""
    now, layers = situation.now, assignment.bundle.layers
    due = [now + LOOK_AGAIN * jitter.between(1 - JITTER, 1 + JITTER)]
    due += [since[layer.name] + layer.timeout for layer in layers if layer.name in since]
    due += [until + 1 for until in done.hooked.values()]
    due += [*looks(assignment.memory, done.layers, since, now), *operations.turns(situation)]
    return min(at for at in due if at > now)


def _exposed(assignment: Assignment, gathered: Gathered) -> Iterator[Condition]:
    """Whether its address outside answers, where it has one."""
    found = exposure.condition(gathered.outside, assignment.tried, sleep.told(gathered.sleep))
    if found is not None:
        yield found


def _endpoint(assignment: Assignment, gathered: Gathered, facts: Facts) -> str:
    """Where its API server is reached; "" where its file is gone."""
    bundle = assignment.bundle
    if bundle.document is None:
        return ""
    port = exposure.port(gathered.outside, assignment.tried)
    return readiness.endpoint(bundle.document.cluster, bundle.namespace, _service(assignment, gathered, facts), port)


def _service(assignment: Assignment, gathered: Gathered, facts: Facts) -> Object | None:
    ref = ObjectRef("", "Service", assignment.bundle.namespace, assignment.bundle.cluster)
    seen = gathered.observed.get((Target(facts.host.name), ref))
    return seen.live if seen else None
