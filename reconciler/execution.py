"""Carrying a plan out: layer by layer in dependency order, pruning last; a removed cluster from its engine to its namespace (A4, D2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from reconciler import progress, remnants
from reconciler.apply import WRITING, Ground, execute, stand
from reconciler.engine import readiness
from reconciler.errors import ApiError, Retry, Stalled
from reconciler.inventory import ledger
from reconciler.inventory.store import State
from reconciler.memory import Key, Memory
from reconciler.model import (
    Bundle,
    Change,
    Desired,
    Health,
    LayerStatus,
    Object,
    ObjectRef,
    Observed,
    Plan,
    Policy,
    Request,
    Result,
    Target,
)
from reconciler.observe import Sight
from reconciler.plan import mark

WRITTEN = ledger.CONFIRMED | {"deleting"}
Carry = Callable[[Change], Result]


@dataclass(frozen=True, slots=True)
class Work:
    """What a pass is about; `memory` is what the last one remembered."""

    bundle: Bundle
    state: State
    policy: Policy
    salt: bytes
    now: float
    requests: tuple[Request, ...] = ()
    memory: Memory = field(default_factory=Memory)
    invalid: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What a pass saw and would do. `broken` layers could not be rendered, `dark` ones not be looked at."""

    desired: tuple[Desired, ...]
    observed: Mapping[Key, Observed]
    broken: Mapping[str, str]
    dark: Mapping[str, str]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of a plan. `watch`: nested objects whose change could make a layer Current."""

    results: tuple[Result, ...]
    layers: Mapping[str, LayerStatus]
    watch: tuple[ObjectRef, ...] = ()


def carry_out(work: Work, view: View, plan: Plan, state: State, sight: Sight) -> Carried:
    """Layer by layer in dependency order; pruning last, and only when every layer could be applied (A4, I7)."""
    carry = _hands(view, state, sight)
    results: list[Result] = []
    layers: dict[str, LayerStatus] = {}
    watch: list[ObjectRef] = []
    for one in work.bundle.layers:
        stuck = _stuck(one.name, view) or ", ".join(progress.blockers(one, layers))
        if stuck:
            layers[one.name] = _not_started(one.name, view, work, stuck)
            continue
        done = [carry(change) for change in plan.changes if change.layer == one.name and change.action != "delete"]
        results += done
        layers[one.name], unready = _state(one.name, view, done, work, sight)
        watch += unready
    results += _rest(work.bundle, plan, carry)
    doomed = [change for change in plan.changes if change.action == "delete"]
    if not _unsafe_to_prune(layers, results):
        going = [result for result in results if result.change.reason == "Terminating"]
        results += _bury(work, doomed, going, carry, sight) if work.bundle.tombstone else _prune(doomed, carry)
    return Carried(tuple(results), layers, tuple(watch))


def _hands(view: View, state: State, sight: Sight) -> Carry:
    entries = {(entry.target, entry.ref): entry for entry in state.entries}

    def carry(change: Change) -> Result:
        ground = Ground(view.observed.get((change.target, change.ref)), entries.get((change.target, change.ref)))
        if change.action not in WRITING:
            return stand(change, ground)
        result = execute(change, sight.client(change.target), ground)
        if result.live is not None and result.outcome in WRITTEN:
            sight.merge(change.target, result.live)
        return result

    return carry


def _state(
    name: str, view: View, done: Sequence[Result], work: Work, sight: Sight
) -> tuple[LayerStatus, tuple[ObjectRef, ...]]:
    """How far the layer is after its changes, and what to watch inside while it is not Current."""
    one = next(each for each in view.desired if each.layer.name == name)
    ground = _ground(one, view, done, work, sight)
    state = progress.state_of(one, ground, work.memory.since.get(name, work.now), work.now)
    waits = state.state != "Current" and one.layer.target.nested
    return state, progress.unready(one, ground) if waits else ()


def _rest(bundle: Bundle, plan: Plan, carry: Carry) -> list[Result]:
    """What belongs to no layer any more and is not deleted: it is said why it stays."""
    names = {layer.name for layer in bundle.layers}
    return [carry(change) for change in plan.changes if change.layer not in names and change.action != "delete"]


def _prune(changes: Sequence[Change], carry: Carry) -> list[Result]:
    """Deletes in plan order; a namespace goes only when all else is observed gone (D2)."""
    results: list[Result] = []
    for change in changes:
        wait = change.ref.kind == "Namespace" and not _all_gone(results)
        results.append(_waits(change) if wait else carry(change))
    return results


def _bury(work: Work, changes: Sequence[Change], going: Sequence[Result], carry: Carry, sight: Sight) -> list[Result]:
    """The engine, then what it left running, then the policies, the namespace last; each when all before it is observed gone.
    The policies hold our own rights in the namespace, so they may not go earlier. `going`: what an earlier pass deleted."""
    results: list[Result] = []
    for layer, group in groupby(changes, key=lambda change: change.layer):
        if layer != remnants.LAYER and _all_gone([*going, *results]):
            results += _left(work, sight)
        ready = layer == remnants.LAYER or _all_gone([*going, *results])
        results += [carry(change) if ready else _waits(change) for change in group]
    return results


def _left(work: Work, sight: Sight) -> list[Result]:
    host = Target(work.policy.host)
    found = remnants.left(work.bundle, sight.client(host))
    changes = [Change("skip", host, ref, remnants.LAYER, reason="LeftByEngine") for ref in found]
    return [Result(change, "waiting", error="is going with the engine", reason="LeftByEngine") for change in changes]


def _all_gone(results: Sequence[Result]) -> bool:
    return all(result.outcome == "deleted" for result in results)


def _waits(change: Change) -> Result:
    return Result(change, "waiting", error="waits until everything in it is gone", reason="Waiting")


def _unsafe_to_prune(layers: Mapping[str, LayerStatus], results: Sequence[Result]) -> bool:
    """Errors are never absence: one layer that could not be seen, rendered or applied, and nothing is pruned (I7)."""
    return any(layer.state in ("Waiting", "Unknown") for layer in layers.values()) or any(
        result.outcome == "failed" or (result.outcome == "waiting" and result.change.reason != "Terminating")
        for result in results
    )


def _stuck(name: str, view: View) -> str:
    return view.broken.get(name) or view.dark.get(name) or ""


def _not_started(name: str, view: View, work: Work, because: str) -> LayerStatus:
    layer = next(layer for layer in work.bundle.layers if layer.name == name)
    if name in view.broken:
        return progress.failed(layer, because)
    message = because if name in view.dark else f"waits for {because}"
    return progress.waiting(layer, message)


def _ground(one: Desired, view: View, results: Sequence[Result], work: Work, sight: Sight) -> progress.Ground:
    """The live objects of one layer after its results, with what its gates read besides."""
    target = one.layer.target
    live = {ref: seen.live for (where, ref), seen in view.observed.items() if where == target and seen.live is not None}
    live.update({result.change.ref: result.live for result in results if result.live is not None})
    for ref in progress.gate_refs(one.layer):
        found = live.get(ref) or sight.client(target).get(ref)
        live.update({ref: found} if found else {})
    mine = {ref: live[ref] for ref in map(mark.ref_of, one.objects) if ref in live}
    override = _engine_health(mine, work, sight) if one.layer.name == "engine" else None
    return progress.Ground(live, results, override)


def _engine_health(live: Mapping[ObjectRef, Object], work: Work, sight: Sight) -> Health:
    """The engine is Current when its rollout is complete and its API server answers us (vcluster.md 2.7)."""
    secret = answers = False
    rolled_out = readiness.compute(live, secret=True, answers=True)
    if rolled_out.status == "Current":
        try:
            nested = sight.client(Target(work.policy.host, work.bundle.cluster))
            secret, answers = True, nested.readyz()
        except (ApiError, Retry, Stalled):
            answers = False
    return readiness.compute(live, secret=secret, answers=answers)
