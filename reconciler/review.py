"""The plans of a revision against the live clusters, without any write access, by the same planner that a sync uses
(P6, B1)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct, field

from reconciler import engine, fleet
from reconciler.assignment import Assignment, Facts
from reconciler.errors import NidusError, Stalled
from reconciler.gather import Gathered, Reader
from reconciler.gather.creates import tried
from reconciler.inventory.store import State
from reconciler.inventory.suspensions import awake, suspension
from reconciler.model import (
    NO_VERSIONS,
    Bundle,
    ClusterReview,
    Content,
    Destructive,
    Held,
    HostFacts,
    Permit,
    Plan,
    Record,
    Request,
    Review,
    Rollout,
    Rules,
    Snapshot,
    replace,
)
from reconciler.plan import consent
from reconciler.plan.guard import guard
from reconciler.plan.shown import with_creates
from reconciler.reconcile import look
from reconciler.spec import resolve

_CANNOT = {
    "Invalid": "its documents have mistakes",
    fleet.UNREADABLE.reason: "its accepted commit is not in this repository: git fetch",
}
UNBORN = "0" * 16  # the nonce of a cluster that has no record yet: no object has it


class Standing(Struct, frozen=True):
    """What the plans are made against: the records of the clusters and their accepted contents."""

    states: Mapping[str, State]
    accepted: Mapping[str, Content]
    requests: tuple[Request, ...]
    salt: bytes
    unreadable: Mapping[str, Held] = field(default_factory=dict)  # clusters whose record cannot be read, and why


class Base(Struct, frozen=True):
    """What another revision would have: the digest of each cluster's bundle, and what is held there."""

    digests: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)


def base(snapshot: Snapshot, standing: Standing, rules: Rules, facts: HostFacts, now: float) -> Base:
    """The base that a change request is compared with: what concerns a cluster in the same way there is no part of the change."""
    bundles, _, rollout = _meant(snapshot, standing, rules, facts, now)
    return Base({one.cluster: _digest(one) for one in bundles}, rollout.held)


def review(
    snapshot: Snapshot,
    standing: Standing,
    rules: Rules,
    facts: HostFacts,
    reader: Callable[[Bundle], Reader],
    now: float,
    *,
    every: bool = False,
    named: Collection[str] = (),
    against: Base | None = None,
) -> Review:
    """What the revision would do to each cluster that it changes, removes or that is held, to those `named`, and with `every` to
    all. `against`: those that differ from this base alone.

    A cluster that could not be read is in it, with the reason, and so is one that waits as a whole: nothing that was not looked
    at is left out as unchanged.
    """
    whole = every or against is not None
    bundles, left_out, rollout = _meant(snapshot, standing, rules, facts, now, None if whole else named)
    changed = [one for one in bundles if every or one.cluster in named or _moves(one, standing, against)]
    consented = fleet.consented(rules)
    given = [replace(_given(bundle, snapshot.source, standing, facts, now), consented=consented) for bundle in changed]
    seen = [_look(one, standing, facts, reader, now) for one in given]
    permit = _permit([one.plan for one in seen if one.plan], standing, snapshot, rules, now)
    looked = {one.cluster: _guarded(one, permit, rollout, standing, now) for one in seen}
    for bundle in changed:
        told = suspension(awake(bundle, now), standing.requests, now)
        looked[bundle.cluster] = replace(looked[bundle.cluster], suspended=told)
    known = against.held if against else {}
    fresh = {name: why for name, why in rollout.held.items() if name not in looked and known.get(name) != why}
    waiting = {name: ClusterReview(name, held=why) for name, why in fresh.items()}
    same = {*left_out, *(one.cluster for one in bundles)}
    found = sorted([*looked.values(), *map(_unseen, waiting.values())], key=lambda one: one.cluster)
    return Review(
        snapshot.source,
        snapshot.revision,
        facts.name,
        now,
        tuple(found),
        snapshot.violations,
        len(same - looked.keys() - waiting.keys()),
    )


def _unseen(one: ClusterReview) -> ClusterReview:
    """What has no plan because of its documents or this repository does not wait for a human's word: it could not be planned."""
    held = one.held
    if held is None or not (held.stalls or held.reason in _CANNOT):
        return one
    return replace(one, held=None, unseen=_CANNOT.get(held.reason, "{}").format(f"{held.reason}: {held.message}"))


def _unmoved(
    rollout: Rollout, standing: Standing, records: Mapping[str, Record], rules: Rules, facts: HostFacts
) -> Iterator[str]:
    """Clusters whose bundle would be made from the very inputs that the one on record was made from, so that it need not be made."""
    terms, running = resolve.terms(rules, facts), fleet.all_running(records, standing.accepted, rules)
    for name, content in rollout.admitted.items():
        record = records.get(name)
        if record is None or not record.inputs or record.tombstone is not None:
            continue
        choice = engine.choose(content.specs.clusters[name].cluster, rules, running[name])
        with suppress(Stalled):
            if resolve.inputs(name, content, terms, choice.versions) == record.inputs:
                yield name


def _bundles(
    rollout: Rollout,
    standing: Standing,
    records: Mapping[str, Record],
    rules: Rules,
    facts: HostFacts,
    without: Collection[str],
) -> tuple[list[Bundle], dict[str, Held]]:
    """The bundles of the admitted clusters by name, and why some have none."""
    running = fleet.all_running(records, standing.accepted, rules)
    bundles, held = [], {}
    for name, content in sorted(rollout.admitted.items()):
        try:
            if name not in without:
                bundles.append(resolve.bundle(name, content, rules, facts, running.get(name, NO_VERSIONS)))
        except Stalled as error:
            held[name] = Held(error.reason, error.told, stalls=True)
    return bundles, held


def _meant(
    snapshot: Snapshot,
    standing: Standing,
    rules: Rules,
    facts: HostFacts,
    now: float,
    named: Collection[str] | None = None,
) -> tuple[list[Bundle], set[str], Rollout]:
    """The bundle of every cluster that the revision may change or remove, and what it admits and holds. Those that cannot differ from
    what is on record are given by name alone, but for those `named`; None: of all there is a bundle."""
    records = {name: state.record for name, state in standing.states.items()}
    rollout = fleet.admit(snapshot, standing.accepted, records, standing.requests, rules, now)
    rollout = fleet.withheld(rollout, standing.unreadable)
    given = (rollout, standing, records, rules, facts)
    without = set() if named is None else {*_unmoved(*given)} - {*named}
    bundles, held = _bundles(*given, without)
    for name, tombstone in sorted(rollout.tombstones.items()):
        bundles.append(resolve.tombstone(records[name], standing.accepted.get(name), tombstone, rules))
    return bundles, without, replace(rollout, held={**held, **rollout.held})


def _digest(bundle: Bundle) -> str:
    """Of a removal there is one in all revisions, whenever it began."""
    return "removed" if bundle.tombstone else bundle.digest


def _moves(bundle: Bundle, standing: Standing, against: Base | None) -> bool:
    if against is not None:
        return against.digests.get(bundle.cluster) != _digest(bundle)
    state = standing.states.get(bundle.cluster)
    record = state.record if state else None
    return record is None or record.bundle != bundle.digest or bundle.tombstone != record.tombstone


def _given(bundle: Bundle, source: str, standing: Standing, facts: HostFacts, now: float) -> Assignment:
    """What a pass over the cluster would be given."""
    revision = bundle.revision
    born = Record(source, bundle.cluster, facts.name, "", revision.branch, revision.commit, {}, UNBORN, now)
    state = standing.states.get(bundle.cluster) or State(born)
    return Assignment(bundle, state, source, requests=standing.requests)


def _look(
    assignment: Assignment, standing: Standing, facts: HostFacts, reader: Callable[[Bundle], Reader], now: float
) -> ClusterReview:
    bundle, state = assignment.bundle, assignment.state
    reads = reader(bundle)
    try:
        gathered, plan = look(assignment, Facts(facts, standing.salt), now, reads)
        plan = with_creates(tried(plan, reads), standing.salt)
    except NidusError as error:
        return ClusterReview(bundle.cluster, tombstone=bundle.tombstone, unseen=error.told)
    never_up = state.record.versions == NO_VERSIONS or gathered.sleep.asleep
    later = _waiting(gathered) & plan.unknown.keys() if never_up else frozenset[str]()
    return ClusterReview(bundle.cluster, plan, tombstone=bundle.tombstone, later=later)


def _waiting(gathered: Gathered) -> frozenset[str]:
    """The layers that could be rendered and whose control plane is not up."""
    names = {one.layer.name for one in gathered.desired if one.layer.target in gathered.down}
    return frozenset(names) - gathered.broken.keys()


def _guarded(one: ClusterReview, permit: Permit, rollout: Rollout, standing: Standing, now: float) -> ClusterReview:
    """With why its changes wait. Tombstones were approved by admission (AD2); the object budget does not apply to them."""
    one = replace(one, held=rollout.held.get(one.cluster))
    if one.plan is None:
        return one
    given = Permit(frozenset({one.plan.consent.digest})) if one.tombstone else permit
    plan = guard(one.plan, given, standing.requests, now)
    held = given.held.get(plan.consent.digest) if plan != one.plan else None
    return replace(one, plan=plan, held=one.held or held)


def _permit(plans: Sequence[Plan], standing: Standing, snapshot: Snapshot, rules: Rules, now: float) -> Permit:
    wanted = [
        Destructive(
            plan.cluster, plan.consent, consent.destroyed(plan.changes), _size(standing.states.get(plan.cluster))
        )
        for plan in plans
        if plan.consent.items
    ]
    return fleet.permit(wanted, frozenset(), standing.requests, snapshot.trailers, rules, now)


def _size(state: State | None) -> int:
    return len(state.entries) if state else 0
