"""The plans of a revision against the live clusters, without any write access, by the same planner that a sync uses
(P6, B1)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache

from msgspec import Struct, field

from reconciler import engine, fleet
from reconciler.assignment import Assignment, Facts
from reconciler.engine import refusals
from reconciler.errors import NidusError, Stalled
from reconciler.gather import Gathered, Reader
from reconciler.gather.creates import tried
from reconciler.inventory.store import State
from reconciler.inventory.suspensions import awake, suspension
from reconciler.look import look
from reconciler.model import (
    NO_VERSIONS,
    Bundle,
    ClusterReview,
    Content,
    Destructive,
    FieldChange,
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
    Versions,
    replace,
)
from reconciler.operations.situation import since
from reconciler.plan import behind, consent, declared
from reconciler.plan.guard import guard
from reconciler.plan.shown import with_creates
from reconciler.spec import resolve

_CANNOT = {
    "Invalid": "its documents have mistakes",
    fleet.UNREADABLE.reason: "its accepted commit is not in this repository: git fetch",
}
_REMOVED = "removed"
UNBORN = "0" * 16  # the nonce of a cluster that has no record yet: no object has it


class Standing(Struct, frozen=True):
    """What the plans are made against: the records of the clusters and their accepted contents."""

    states: Mapping[str, State]
    accepted: Mapping[str, Content]
    requests: tuple[Request, ...]
    salt: bytes
    unreadable: Mapping[str, Held] = field(default_factory=dict)  # clusters whose record cannot be read, and why


class Base(Struct, frozen=True):
    """What another revision means for each cluster: `inputs` is the digest of all that its bundle is made from, "" where that cannot be
    said, and `held` what is held there. `made` makes a bundle: it is called for those alone whose inputs differ."""

    inputs: Mapping[str, str]
    held: Mapping[str, Held]
    made: Callable[[str], Bundle | Held]

    def digest(self, cluster: str) -> str:
        """Of the cluster's bundle, "" where there is none."""
        found = self.made(cluster) if cluster in self.inputs else None
        return _digest(found) if isinstance(found, Bundle) else ""

    def why(self, cluster: str) -> Held | None:
        """Why the cluster is held there, or has no bundle."""
        found = self.made(cluster) if cluster in self.inputs and cluster not in self.held else self.held.get(cluster)
        return found if isinstance(found, Held) else None


def base(snapshot: Snapshot, standing: Standing, rules: Rules, facts: HostFacts, now: float) -> Base:
    """The base that a change request is compared with: what concerns a cluster in the same way there is no part of the change."""
    meant = _meant(snapshot, standing, rules, facts, now)
    return Base(meant.inputs, meant.rollout.held, cache(meant.made))


def moved(one: Base, other: Base) -> frozenset[str]:
    """The clusters whose bundles differ."""
    names = {name for name in {*one.inputs, *other.inputs} if not _same(name, one.inputs, other.inputs)}
    return frozenset(name for name in names if one.digest(name) != other.digest(name))


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
    meant = _meant(snapshot, standing, rules, facts, now)
    left_out = frozenset() if every else _unmoved(meant, standing, against) - {*named}
    bundles, held = _bundles(meant, left_out)
    rollout = replace(meant.rollout, held={**held, **meant.rollout.held})
    changed = [one for one in bundles if every or one.cluster in named or _moves(one, standing, against)]
    consented = fleet.consented(rules)
    given = [replace(_given(bundle, snapshot.source, standing, facts, now), consented=consented) for bundle in changed]
    seen = [_look(one, standing, facts, reader, now) for one in given]
    permit = _permit([one.plan for one in seen if one.plan], standing, snapshot, rules, now)
    looked = {one.cluster: _guarded(one, permit, rollout, standing, snapshot.source, now) for one in seen}
    for each in given:
        bundle = each.bundle
        one, told = looked[bundle.cluster], suspension(awake(bundle, now), each.requests, now)
        waits = behind.layers(bundle.layers, one.plan) if one.plan else {}
        says = _declared(one, bundle, standing)
        plan = refusals.marked(one.plan, bundle.document, rules) if one.plan and bundle.document else one.plan
        looked[bundle.cluster] = replace(one, plan=plan, suspended=told, behind=waits, declared=says)
    unseen = {name: why for name, why in rollout.held.items() if name not in looked}
    fresh = {name: why for name, why in unseen.items() if against is None or against.why(name) != why}
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
        warnings=snapshot.warnings,
    )


def _declared(one: ClusterReview, bundle: Bundle, standing: Standing) -> tuple[FieldChange, ...]:
    content = standing.accepted.get(bundle.cluster)
    before = content.specs.clusters.get(bundle.cluster) if content else None
    return () if bundle.tombstone else declared.unseen(before, bundle.document, one.plan)


def _unseen(one: ClusterReview) -> ClusterReview:
    """What has no plan because of its documents or this repository does not wait for a human's word: it could not be planned."""
    held = one.held
    if held is None or not (held.stalls or held.reason in _CANNOT):
        return one
    return replace(one, held=None, unseen=_CANNOT.get(held.reason, "{}").format(f"{held.reason}: {held.message}"))


class _Meant(Struct, frozen=True):
    """What a revision may do, and what each cluster that it admits or removes is made from."""

    rollout: Rollout
    inputs: Mapping[str, str]
    made: Callable[[str], Bundle | Held]


def _meant(snapshot: Snapshot, standing: Standing, rules: Rules, facts: HostFacts, now: float) -> _Meant:
    """No bundle is made yet: inputs cost a tenth of it (`resolve.inputs`)."""
    records = {name: state.record for name, state in standing.states.items()}
    rollout = fleet.admit(snapshot, standing.accepted, records, standing.requests, rules, now)
    rollout = fleet.withheld(rollout, standing.unreadable)
    running = fleet.all_running(records, standing.accepted, rules)

    def made(name: str) -> Bundle | Held:
        if name in rollout.tombstones:
            return resolve.tombstone(records[name], standing.accepted.get(name), rollout.tombstones[name], rules)
        try:
            return resolve.bundle(name, rollout.admitted[name], rules, facts, running.get(name, NO_VERSIONS))
        except Stalled as error:
            return Held(error.reason, error.told, stalls=True)

    inputs = _inputs(rollout, running, rules, resolve.terms(rules, facts))
    return _Meant(rollout, {**inputs, **dict.fromkeys(rollout.tombstones, _REMOVED)}, made)


def _inputs(rollout: Rollout, running: Mapping[str, Versions], rules: Rules, terms: str) -> dict[str, str]:
    """Of every admitted cluster."""
    found = dict.fromkeys(rollout.admitted, "")
    for name, content in rollout.admitted.items():
        choice = engine.choose(content.specs.clusters[name].cluster, rules, running.get(name, NO_VERSIONS))
        with suppress(Stalled):
            found[name] = resolve.inputs(name, content, terms, choice.versions)
    return found


def _unmoved(meant: _Meant, standing: Standing, against: Base | None) -> frozenset[str]:
    """Clusters whose bundle would be made from the very inputs that the other one was made from, so that it need not be made: that of
    the base, or that on record, if it ended Ready: what was only taken up may not be applied. Inputs count the product's version: where
    the record is another version's, every bundle is made and compared."""
    if against is None:
        records = ((name, standing.states[name].record) for name in meant.inputs if name in standing.states)
        known = {name: one.inputs for name, one in records if one.tombstone is None and one.ready == one.bundle}
    else:
        known = dict(against.inputs)
    return frozenset(name for name in meant.inputs if _same(name, meant.inputs, known))


def _same(name: str, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one.get(name, "") == other.get(name, "") != ""


def _bundles(meant: _Meant, without: Collection[str]) -> tuple[list[Bundle], dict[str, Held]]:
    """The bundles of the clusters by name, removals last, and why some have none."""
    gone = meant.rollout.tombstones
    names = [*sorted(meant.inputs.keys() - gone.keys()), *sorted(gone)]
    found = {name: meant.made(name) for name in names if name not in without}
    bundles = [one for one in found.values() if isinstance(one, Bundle)]
    return bundles, {name: one for name, one in found.items() if isinstance(one, Held)}


def _digest(bundle: Bundle) -> str:
    """Of a removal there is one in all revisions, whenever it began."""
    return _REMOVED if bundle.tombstone else bundle.digest


def _moves(bundle: Bundle, standing: Standing, against: Base | None) -> bool:
    if against is not None:
        return against.digest(bundle.cluster) != _digest(bundle)
    state = standing.states.get(bundle.cluster)
    record = state.record if state else None
    return record is None or record.ready != bundle.digest or bundle.tombstone != record.tombstone


def _given(bundle: Bundle, source: str, standing: Standing, facts: HostFacts, now: float) -> Assignment:
    """What a pass over the cluster would be given."""
    revision = bundle.revision
    born = Record(source, bundle.cluster, facts.name, "", revision.branch, revision.commit, {}, UNBORN, now)
    state = standing.states.get(bundle.cluster) or State(born)
    return Assignment(bundle, state, source, requests=since(standing.requests, state.begun))


def _look(
    assignment: Assignment, standing: Standing, facts: HostFacts, reader: Callable[[Bundle], Reader], now: float
) -> ClusterReview:
    bundle, state = assignment.bundle, assignment.state
    reads = replace(reader(bundle), asks=True)
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


def _guarded(
    one: ClusterReview, permit: Permit, rollout: Rollout, standing: Standing, source: str, now: float
) -> ClusterReview:
    """With why its changes wait. Tombstones were approved by admission (AD2); the object budget does not apply to them."""
    one = replace(one, held=rollout.held.get(one.cluster))
    if one.plan is None:
        return one
    given = Permit(frozenset({one.plan.consent.digest})) if one.tombstone else permit
    plan = guard(one.plan, given, standing.requests, now, source)
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
    return fleet.permit(wanted, snapshot.source, frozenset(), standing.requests, snapshot.trailers, rules, now)


def _size(state: State | None) -> int:
    return len(state.entries) if state else 0
