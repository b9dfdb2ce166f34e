"""One pass over one nested cluster, readable aloud: gather, plan, permit, guard, intend, apply, confirm, report.

Create, change, delete, review and drift are this same pass with other inputs (house.md): there is no second apply and no delete path.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler import conditions, progress
from reconciler.apply import Ground, Key, execute
from reconciler.engine import readiness
from reconciler.errors import ApiError, Retry
from reconciler.inventory import ledger
from reconciler.inventory.store import State
from reconciler.model import (
    DESTRUCTIVE,
    Bundle,
    Change,
    Desired,
    Destructive,
    Health,
    Held,
    LayerStatus,
    Object,
    ObjectRef,
    Observed,
    Permit,
    Plan,
    Policy,
    Report,
    Request,
    Result,
    Target,
)
from reconciler.observe import Sight, desire, dry_run, observe
from reconciler.plan import mark, suspects
from reconciler.plan.compute import compute
from reconciler.plan.guard import guard

WRITTEN = ledger.CONFIRMED | {"deleting"}


@dataclass(frozen=True, slots=True)
class Work:
    """What a pass is about. `settled` and `since` are what the last pass remembered (P3; when a layer began to wait)."""

    bundle: Bundle
    state: State
    policy: Policy
    salt: bytes
    now: float
    requests: tuple[Request, ...] = ()
    settled: Mapping[Key, str] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
    invalid: str = ""


@dataclass(frozen=True, slots=True)
class Hands:
    """What a pass may do besides looking: persist its state, and ask for leave to destroy (AD3)."""

    save: Callable[[State], State]
    permit: Callable[[Destructive], Permit]


@dataclass(frozen=True, slots=True)
class View:
    """What a pass saw and would do. `broken` layers could not be rendered, `dark` ones not be looked at."""

    desired: tuple[Desired, ...]
    observed: Mapping[Key, Observed]
    broken: Mapping[str, str]
    dark: Mapping[str, str]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass came to, and what the next one should remember. `watch`: nested objects whose change should wake the cluster."""

    report: Report
    state: State
    settled: Mapping[Key, str]
    since: Mapping[str, float]
    watch: tuple[ObjectRef, ...] = ()
    retry: bool = False


def look(work: Work, sight: Sight) -> View:
    """The pass without hands: what `plan` shows and what `reconcile` carries out (P6)."""
    entries = work.state.entries
    desired, broken = desire(work.bundle, sight, work.state.record.nonce)
    observed, dark = observe(work.bundle, desired, entries, sight)
    observed = dry_run(desired, observed, entries, work.settled, sight)
    unknown = {**dark, **broken}
    plan = compute(
        work.bundle,
        desired,
        observed,
        entries,
        salt=work.salt,
        unknown=unknown,
        nonce=work.state.record.nonce,
        now=work.now,
    )
    return View(desired, observed, broken, dark, plan)


def reconcile(work: Work, sight: Sight, hands: Hands) -> Pass:
    """Bring one nested cluster nearer to what Git says. Raises ApiError or Retry only where nothing could be seen or saved."""
    view = look(work, sight)
    permit = hands.permit(_destructive(work, view.plan))
    plan = guard(view.plan, permit, work.requests, work.now)
    intended = ledger.intend(work.state.entries, plan.changes)
    state = hands.save(replace(work.state, entries=intended))
    results, layers, watch = _carry_out(work, view, plan, state, sight)
    state = hands.save(replace(state, entries=ledger.confirm(intended, plan, results)))
    return _conclude(work, replace(view, plan=plan), state, results, layers, watch)


def _destructive(work: Work, plan: Plan) -> Destructive:
    refs = tuple(change.ref for change in plan.changes if change.action in DESTRUCTIVE)
    return Destructive(plan.cluster, plan.consent, refs, len(work.state.entries))


def _carry_out(
    work: Work, view: View, plan: Plan, state: State, sight: Sight
) -> tuple[list[Result], dict[str, LayerStatus], tuple[ObjectRef, ...]]:
    """Layer by layer in dependency order; pruning last, and only when every layer could be applied (A4, I7)."""
    entries = {(entry.target, entry.ref): entry for entry in state.entries}
    kept = [change for change in plan.changes if change.action != "delete"]
    results: list[Result] = []
    layers: dict[str, LayerStatus] = {}
    watch: list[ObjectRef] = []
    by_name = {one.layer.name: one for one in view.desired}

    def carry(change: Change) -> Result:
        ground = Ground(view.observed.get((change.target, change.ref)), entries.get((change.target, change.ref)))
        result = execute(change, sight.client(change.target), ground)
        if result.live is not None and result.outcome in WRITTEN:
            sight.merge(change.target, result.live)
        return result

    for layer in work.bundle.layers:
        mine = [change for change in kept if change.layer == layer.name]
        stuck = _stuck(layer.name, view) or ", ".join(progress.blockers(layer, layers))
        if stuck:
            layers[layer.name] = _not_started(layer.name, view, work, stuck)
            continue
        done = [carry(change) for change in mine]
        results += done
        one, ground = by_name[layer.name], _ground(by_name[layer.name], view, done, work, sight)
        layers[layer.name] = progress.state_of(one, ground, work.since.get(layer.name, work.now), work.now)
        if layers[layer.name].state != "Current" and layer.target.nested:
            watch += progress.unready(one, ground)
    orphans = {layer.name for layer in work.bundle.layers}
    results += [carry(change) for change in kept if change.layer not in orphans]
    if not _unsafe_to_prune(layers, results):
        results += _prune([change for change in plan.changes if change.action == "delete"], carry)
    return results, layers, tuple(watch)


def _prune(changes: Sequence[Change], carry: Callable[[Change], Result]) -> list[Result]:
    """Deletes in plan order; a namespace goes only when all else is observed gone (D2)."""
    results: list[Result] = []
    for change in changes:
        if change.ref.kind == "Namespace" and any(result.outcome != "deleted" for result in results):
            results.append(Result(change, "waiting", error="waits until everything in it is gone", reason="Waiting"))
            continue
        results.append(carry(change))
    return results


def _unsafe_to_prune(layers: Mapping[str, LayerStatus], results: Sequence[Result]) -> bool:
    """Errors are never absence: one layer that could not be seen, rendered or applied, and nothing is pruned (I7)."""
    return any(layer.state in ("Waiting", "Unknown") for layer in layers.values()) or any(
        result.outcome in ("failed", "waiting") for result in results
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
        except (ApiError, Retry):
            answers = False
    return readiness.compute(live, secret=secret, answers=answers)


def _conclude(
    work: Work,
    view: View,
    state: State,
    results: Sequence[Result],
    layers: Mapping[str, LayerStatus],
    watch: tuple[ObjectRef, ...],
) -> Pass:
    since = {
        name: work.since.get(name, work.now)
        for name, layer in layers.items()
        if layer.state in ("InProgress", "Failed")
    }
    report = _report(work, view, results, layers, since)
    settled = {**work.settled, **_stamps(view, results)}
    retry = any(result.outcome == "failed" and not result.stalls for result in results)
    waits = any(result.outcome in ("waiting", "deleting") for result in results)
    dark = bool(view.dark) and layers.get("engine") is not None and layers["engine"].state == "Current"
    return Pass(report, state, settled, since, watch, retry or waits or dark)


def _stamps(view: View, results: Sequence[Result]) -> dict[Key, str]:
    """What a dry-run found equal, so that the next pass need not ask the server again (P3)."""
    quiet = {(result.change.target, result.change.ref) for result in results if result.outcome == "unchanged"}
    stamps = {}
    for one in view.desired:
        for item in one.objects:
            key = (one.layer.target, mark.ref_of(item))
            seen = view.observed.get(key)
            if key in quiet and seen and seen.live and seen.merged:
                stamps[key] = suspects.digest(suspects.request(item, one.layer, seen.live), seen.live)
    return stamps


def _report(
    work: Work, view: View, results: Sequence[Result], layers: Mapping[str, LayerStatus], since: Mapping[str, float]
) -> Report:
    bundle = work.bundle
    held = _held(view.plan)
    states = tuple(layers[layer.name] for layer in bundle.layers)
    found, word = conditions.compute(
        states,
        results,
        held=held,
        suspended=bundle.suspend,
        tombstone=bundle.tombstone,
        invalid=work.invalid,
        never_applied=not work.state.record.applied,
    )
    timeouts = [since[layer.name] + layer.timeout for layer in bundle.layers if layer.name in since]
    future = [at for at in timeouts if at > work.now]
    service = _service(work, view)
    endpoint = readiness.endpoint(bundle.document.cluster, bundle.namespace, service) if bundle.document else ""
    return Report(
        bundle.cluster,
        bundle.revision,
        view.plan,
        tuple(results),
        states,
        found,
        word,
        held,
        endpoint,
        next_at=min(future, default=None),
    )


def _held(plan: Plan) -> Held | None:
    changes = [change for change in plan.changes if change.action == "hold"]
    if not changes:
        return None
    message = f"{len(changes)} held: {changes[0].ref}: {changes[0].reason}"
    return Held(changes[0].reason.split(":")[0], message, plan.consent.digest, plan.consent.items)


def _service(work: Work, view: View) -> Object | None:
    ref = ObjectRef("", "Service", work.bundle.namespace, work.bundle.cluster)
    seen = view.observed.get((Target(work.policy.host), ref))
    return seen.live if seen else None
