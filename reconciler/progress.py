"""How far the layers of a cluster are: what may start, what is Current, what waits for what (A4). Pure, over results and live objects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler import health
from reconciler.model import Desired, Health, Layer, LayerStatus, Object, ObjectRef, Result
from reconciler.plan import mark

BLOCKING = ("failed", "waiting", "held")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a layer's state is read from: the live objects by ref (results included) and what its changes came to."""

    live: Mapping[ObjectRef, Object]
    results: Sequence[Result]
    override: Health | None = None  # the engine's readiness, where plain health is not enough


def blockers(layer: Layer, states: Mapping[str, LayerStatus]) -> tuple[str, ...]:
    """The layers it depends on that are not Current."""
    return tuple(name for name in layer.depends_on if name not in states or states[name].state != "Current")


def waiting(layer: Layer, because: str, objects: int = 0) -> LayerStatus:
    return LayerStatus(layer.name, str(layer.target), "Waiting", because, objects)


def failed(layer: Layer, because: str) -> LayerStatus:
    return LayerStatus(layer.name, str(layer.target), "Failed", because)


def state_of(one: Desired, ground: Ground, since: float, now: float) -> LayerStatus:
    """One layer after its changes were executed. Not ready for longer than its timeout is Failed, and is still watched."""
    layer, count = one.layer, len(one.objects)
    word, message = _worst(one, ground)
    if word == "InProgress" and now - since > layer.timeout:
        word, message = "Failed", f"not ready after {layer.timeout:.0f} s: {message}"
    return LayerStatus(layer.name, str(layer.target), word, message, count)


def unready(one: Desired, ground: Ground) -> tuple[ObjectRef, ...]:
    """The objects, and the objects of gates, whose change could make the layer Current: what to watch."""
    refs = tuple(ref for ref in map(mark.ref_of, one.objects) if _health(ground, ref).status != "Current")
    return refs + tuple(gate_refs(one.layer))


def gate_refs(layer: Layer) -> Iterable[ObjectRef]:
    """The objects that the layer's ready.checks read."""
    for check in layer.gates:
        if check.crd:
            yield ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", check.crd)
        if check.condition:
            named = check.condition
            yield ObjectRef(named.group, named.kind, named.namespace or layer.namespace, named.name)


def _worst(one: Desired, ground: Ground) -> tuple[str, str]:
    problems = [_of_result(result) for result in ground.results if result.outcome in BLOCKING]
    if problems:
        return problems[0]
    healths = [(ref, _health(ground, ref)) for ref in map(mark.ref_of, one.objects)]
    gates = [health.gate(check, ground.live) for check in one.layer.gates]
    found = [(_named(ref, state), state) for ref, state in healths] + [(gate.message, gate) for gate in gates]
    if ground.override is not None:
        found.append((ground.override.message, ground.override))
    for status in ("Failed", "Terminating", "NotFound", "Unknown", "InProgress"):
        messages = sorted(message for message, state in found if state.status == status)
        if messages:
            return ("Failed" if status == "Failed" else "InProgress"), messages[0]
    return "Current", ""


def _of_result(result: Result) -> tuple[str, str]:
    if result.outcome == "held":
        return "Held", f"{result.change.ref}: {result.error}"
    if result.outcome == "waiting":
        return "InProgress", f"{result.change.ref}: {result.error}"
    return "Failed", f"{result.change.ref}: {result.reason}: {result.error}"


def _health(ground: Ground, ref: ObjectRef) -> Health:
    live = ground.live.get(ref)
    return health.compute(live) if live is not None else Health("NotFound", "NotFound", "is not there yet")


def _named(ref: ObjectRef, state: Health) -> str:
    return f"{ref}: {state.message or state.reason or state.status}"
