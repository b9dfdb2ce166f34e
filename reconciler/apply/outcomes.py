"""What a pass comes to: the results of its steps, and its report. Pure, but for the jitter of the next look."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from reconciler import conditions, jitter, operations
from reconciler.apply.run import Step
from reconciler.assignment import Assignment, Facts
from reconciler.engine import readiness
from reconciler.gather import Gathered
from reconciler.inventory.store import State
from reconciler.memory import looks
from reconciler.model import Held, Layer, LayerStatus, Object, ObjectRef, Plan, Report, Result, Target, replace
from reconciler.operations import Situation, expiry, exposure, restore, sleep, upgrade
from reconciler.plan import leaving

LOOK_AGAIN = (
    300.0  # seconds: nothing tells us of drift inside nested clusters, so they are read again now and then (R1)
)
JITTER = 0.2  # of it


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
    bundle = assignment.bundle
    up = answers(assignment, gathered) or not gathered.upgrade
    situation = Situation(bundle, state.record, assignment.requests, now, gathered.sleep, up, facts.grace)
    held = _held(plan) or operations.held(situation)
    step = upgrade.told(bundle, state.record)
    states = tuple(_state(layer, done.layers[layer.name], step) for layer in bundle.layers)
    left = [one.layer.name for one in leaving.layers(gathered.desired)]
    states += tuple(done.layers[name] for name in left if name in done.layers)
    ending = expiry.ending(situation)
    found, word = conditions.compute(
        states,
        done.results,
        held=held,
        suspended=bundle.suspend,
        tombstone=bundle.tombstone,
        invalid=assignment.invalid,
        never_applied=not assignment.state.record.applied,
        unreachable="" if sleep.waking(state.record) else _unreachable(assignment, gathered, done, facts),
        asleep=ending.told if ending and ending.warned == expiry.OVER else sleep.told(gathered.sleep),
        restoring=restore.told(state.record),
        expired=ending is not None and ending.warned == expiry.OVER,
    )
    slept = state.record.slept
    timeouts = [since[layer.name] + layer.timeout for layer in bundle.layers if layer.name in since]
    timeouts += [until + 1 for until in done.hooked.values()]
    timeouts += looks(assignment.memory, done.layers, since, now)
    again = now + LOOK_AGAIN * jitter.between(1 - JITTER, 1 + JITTER)
    service = _service(assignment, gathered, facts)
    exposed = exposure.condition(gathered.outside, assignment.tried, sleep.told(gathered.sleep))
    port = exposure.port(gathered.outside, assignment.tried)
    endpoint = readiness.endpoint(bundle.document.cluster, bundle.namespace, service, port) if bundle.document else ""
    return Report(
        bundle.cluster,
        bundle.revision,
        plan,
        done.results,
        states,
        (*found, *([exposed] if exposed is not None else [])),
        word,
        held,
        endpoint,
        next_at=min([again, *(at for at in (*timeouts, *operations.turns(situation)) if at > now)]),
        sleep=gathered.sleep,
        ending=ending,
        woke=now - slept.woken if slept is not None and slept.woken and word == "Ready" else 0.0,
    )


def _state(layer: Layer, status: LayerStatus, step: str) -> LayerStatus:
    """The state of a layer; `step`: what to know of a step of an upgrade while the engine is not through it."""
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


def _service(assignment: Assignment, gathered: Gathered, facts: Facts) -> Object | None:
    ref = ObjectRef("", "Service", assignment.bundle.namespace, assignment.bundle.cluster)
    seen = gathered.observed.get((Target(facts.host.name), ref))
    return seen.live if seen else None
