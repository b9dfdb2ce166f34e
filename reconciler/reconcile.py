"""One pass over one nested cluster, readable aloud: gather, plan, permit, guard, intend, apply, confirm, report.

Create, change, delete, review and drift are this same pass with other inputs (house.md): there is no second apply and no delete path.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler import conditions, remnants
from reconciler.engine import readiness
from reconciler.errors import ErrorClass
from reconciler.execution import Carried, View, Work, carry_out
from reconciler.inventory import ledger
from reconciler.inventory.store import State
from reconciler.memory import Key, Memory, contended, corrections
from reconciler.model import DESTRUCTIVE, Destructive, Held, Object, ObjectRef, Permit, Plan, Report, Result, Target
from reconciler.observe import Sight, desire, dry_run, observe
from reconciler.plan import mark, suspects
from reconciler.plan.compute import compute
from reconciler.plan.guard import guard

LOOK_AGAIN = (
    300.0  # seconds: nothing tells us of drift inside nested clusters, so they are read again now and then (R1)
)
JITTER = 0.2  # of it


@dataclass(frozen=True, slots=True)
class Hands:
    """What a pass may do besides looking: persist its state, and ask for leave to destroy (AD3)."""

    save: Callable[[State], State]
    permit: Callable[[Destructive], Permit]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass came to, and what the next one should remember. `watch`: nested objects whose change should wake the cluster.

    `retry`: look again with backoff; `soon`: what is waited for follows within moments (a kind that is about to be served).
    """

    report: Report
    state: State
    memory: Memory
    watch: tuple[ObjectRef, ...] = ()
    retry: bool = False
    soon: bool = False


def look(work: Work, sight: Sight) -> View:
    """The pass without hands: what `plan` shows and what `reconcile` carries out (P6)."""
    entries = work.state.entries
    desired, broken = desire(work.bundle, sight, work.state.record.nonce)
    observed, dark = observe(work.bundle, desired, entries, sight)
    observed = dry_run(desired, observed, entries, work.memory.settled, sight)
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
    return View(desired, observed, broken, dark, contended(plan, work.memory, work.now))


def reconcile(work: Work, sight: Sight, hands: Hands) -> Pass:
    """Bring one nested cluster nearer to what Git says. Raises ApiError or Retry only where nothing could be seen or saved."""
    work = _claiming(work, sight)
    view = look(work, sight)
    permit = hands.permit(_destructive(work, view.plan))
    plan = guard(view.plan, permit, work.requests, work.now)
    intended = ledger.intend(work.state.entries, plan.changes)
    state = hands.save(replace(work.state, entries=intended))
    carried = carry_out(work, view, plan, state, sight)
    state = hands.save(replace(state, entries=ledger.confirm(intended, plan, carried.results)))
    return _conclude(work, replace(view, plan=plan), state, carried)


def _claiming(work: Work, sight: Sight) -> Work:
    """Of a cluster that is being removed: what its engine left, entered before it is deleted (D4)."""
    if work.bundle.tombstone is None:
        return work
    host = Target(work.policy.host)
    found = remnants.claims(work.bundle, work.state.entries, sight.client(host), host)
    return replace(work, state=replace(work.state, entries=(*work.state.entries, *found)))


def _destructive(work: Work, plan: Plan) -> Destructive:
    refs = tuple(change.ref for change in plan.changes if change.action in DESTRUCTIVE)
    return Destructive(plan.cluster, plan.consent, refs, len(work.state.entries))


def _conclude(work: Work, view: View, state: State, carried: Carried) -> Pass:
    results, layers = carried.results, carried.layers
    since = {
        name: work.memory.since.get(name, work.now)
        for name, layer in layers.items()
        if layer.state in ("InProgress", "Failed")
    }
    report = _report(work, view, carried, since)
    settled = {**work.memory.settled, **_stamps(view, results)}
    memory = Memory(settled, since, corrections(work.memory, results, work.now))
    retry = any(result.outcome == "failed" and not result.stalls for result in results)
    waits = any(result.outcome in ("waiting", "deleting") for result in results)
    dark = bool(view.dark) and layers.get("engine") is not None and layers["engine"].state == "Current"
    soon = not retry and any(
        result.outcome == "waiting" and result.reason == str(ErrorClass.KIND_MISSING) for result in results
    )
    return Pass(report, state, memory, carried.watch, retry or waits or dark, soon)


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


def _report(work: Work, view: View, carried: Carried, since: Mapping[str, float]) -> Report:
    bundle, results = work.bundle, carried.results
    held = _held(view.plan)
    states = tuple(carried.layers[layer.name] for layer in bundle.layers)
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
    again = work.now + LOOK_AGAIN * random.uniform(1 - JITTER, 1 + JITTER)
    service = _service(work, view)
    endpoint = readiness.endpoint(bundle.document.cluster, bundle.namespace, service) if bundle.document else ""
    return Report(
        bundle.cluster,
        bundle.revision,
        view.plan,
        results,
        states,
        found,
        word,
        held,
        endpoint,
        next_at=min([again, *(at for at in timeouts if at > work.now)]),
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
