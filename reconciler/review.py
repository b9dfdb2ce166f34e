"""The plans of a revision against the live clusters, without any write access, by the same planner that a sync uses
(P6, B1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler import fleet
from reconciler.assignment import Assignment, Facts
from reconciler.errors import Stalled
from reconciler.gather import Reader
from reconciler.gather.creates import tried
from reconciler.inventory.store import State
from reconciler.model import (
    DESTRUCTIVE,
    NO_VERSIONS,
    Bundle,
    Content,
    Destructive,
    Held,
    HostFacts,
    ObjectRef,
    Permit,
    Plan,
    Record,
    Request,
    Rollout,
    Rules,
    Snapshot,
)
from reconciler.plan.guard import guard
from reconciler.reconcile import look
from reconciler.spec import resolve

UNBORN = "0" * 16  # the nonce of a cluster that has no record yet: no object has it


@dataclass(frozen=True, slots=True)
class Standing:
    """What the plans are made against: the records of the clusters and their accepted contents."""

    states: Mapping[str, State]
    accepted: Mapping[str, Content]
    requests: tuple[Request, ...]
    salt: bytes
    unreadable: Mapping[str, Held] = field(default_factory=dict)  # clusters whose record cannot be read, and why


def plans(
    snapshot: Snapshot,
    standing: Standing,
    rules: Rules,
    facts: HostFacts,
    reader: Callable[[Bundle], Reader],
    now: float,
    *,
    every: bool = False,
) -> tuple[Rollout, tuple[Plan, ...]]:
    """The rollout, and the plan of each cluster whose bundle would change (of all of them with `every`), by name.

    Raises ApiError or Retry where the host cannot be read.
    """
    records = {name: state.record for name, state in standing.states.items()}
    rollout = fleet.admit(snapshot, standing.accepted, records, standing.requests, rules, now)
    rollout = fleet.withheld(rollout, standing.unreadable)
    bundles, held = _bundles(rollout, standing, records, rules, facts)
    rollout = replace(rollout, held={**held, **rollout.held})
    for name, tombstone in sorted(rollout.tombstones.items()):
        bundles.append(resolve.tombstone(records[name], standing.accepted.get(name), tombstone, rules))
    changed = [bundle for bundle in bundles if every or _moves(bundle, records.get(bundle.cluster))]
    seen = [_look(bundle, snapshot.source, standing, facts, reader, now) for bundle in changed]
    permit = _permit(seen, standing, snapshot, rules, now)
    return rollout, tuple(guard(plan, _of(plan, changed, permit), standing.requests, now) for plan in seen)


def _bundles(
    rollout: Rollout, standing: Standing, records: Mapping[str, Record], rules: Rules, facts: HostFacts
) -> tuple[list[Bundle], dict[str, Held]]:
    """The bundles of the admitted clusters by name, and why some have none."""
    running = fleet.all_running(records, standing.accepted, rules)
    bundles, held = [], {}
    for name, content in sorted(rollout.admitted.items()):
        try:
            bundles.append(resolve.bundle(name, content, rules, facts, running.get(name, NO_VERSIONS)))
        except Stalled as error:
            held[name] = Held(error.reason, error.told, stalls=True)
    return bundles, held


def _moves(bundle: Bundle, record: Record | None) -> bool:
    return record is None or record.bundle != bundle.digest or bundle.tombstone != record.tombstone


def _look(
    bundle: Bundle, source: str, standing: Standing, facts: HostFacts, reader: Callable[[Bundle], Reader], now: float
) -> Plan:
    revision = bundle.revision
    born = Record(source, bundle.cluster, facts.name, "", revision.branch, revision.commit, {}, UNBORN, now)
    state = standing.states.get(bundle.cluster) or State(born)
    assignment = Assignment(bundle, state, source, requests=standing.requests)
    reads = reader(bundle)
    return tried(look(assignment, Facts(facts, standing.salt), now, reads)[1], reads)


def _permit(plans: Sequence[Plan], standing: Standing, snapshot: Snapshot, rules: Rules, now: float) -> Permit:
    wanted = [
        Destructive(plan.cluster, plan.consent, _refs(plan), len(standing.states[plan.cluster].entries))
        for plan in plans
        if plan.consent.items and plan.cluster in standing.states
    ]
    return fleet.permit(wanted, frozenset(), standing.requests, snapshot.trailers, rules, now)


def _refs(plan: Plan) -> tuple[ObjectRef, ...]:
    return tuple(change.ref for change in plan.changes if change.action in DESTRUCTIVE)


def _of(plan: Plan, bundles: Sequence[Bundle], permit: Permit) -> Permit:
    """Tombstones were approved by admission (AD2); the object budget does not apply to them."""
    gone = any(bundle.cluster == plan.cluster and bundle.tombstone for bundle in bundles)
    return Permit(frozenset({plan.consent.digest})) if gone else permit
