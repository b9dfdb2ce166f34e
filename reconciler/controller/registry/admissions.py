"""Admits snapshots of sources over all clusters; the results become slots (AD1, V4, S4, S8). Called under the
registry's lock."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from reconciler import engine, fleet
from reconciler.controller.registry.assignments import Assignments
from reconciler.controller.registry.slots import Slot
from reconciler.errors import Stalled
from reconciler.model import (
    Bundle,
    Content,
    Held,
    HostFacts,
    Merge,
    Record,
    Request,
    Rollout,
    Rules,
    Snapshot,
    Versions,
    replace,
)
from reconciler.operations import expiry
from reconciler.spec import resolve

_OF_REMOVALS = ("RemovalBudget", "Unreviewed", "Unparsed")  # holds that ask whether clusters may go


class Admissions:
    """The accepted contents of clusters, and the result of the newest snapshot of each source."""

    def __init__(self, rules: Rules, facts: HostFacts, clusters: Assignments, unreadable: Mapping[str, Held]) -> None:
        self._rules, self._facts, self._clusters = rules, facts, clusters
        self._terms = resolve.terms(rules, facts)
        self.contents: dict[str, Content] = {}
        self.unreadable = dict(unreadable)
        self._judged: dict[str, dict[str, Versions]] = {}  # source -> versions that ran then
        self._outdated: set[str] = set()  # clusters whose bundle was made under other rules

    def govern(self, rules: Rules) -> None:
        """Other rules count from now on: every bundle is made anew when its source is admitted."""
        self._rules, self._terms = rules, resolve.terms(rules, self._facts)
        self._outdated = set(self._clusters.slots)

    def records(self) -> dict[str, Record]:
        """Every record, whatever its source: names are unique in the controller."""
        return {name: state.record for name, state in self._clusters.states.items()}

    def accepted(self, source: str) -> dict[str, Content]:
        """The accepted content of each cluster of a source."""
        return {name: one for name, one in self.contents.items() if self._clusters.source_of(name) == source}

    def running(self, source: str) -> dict[str, Versions]:
        """The versions that the clusters of a source run, as far as they are known."""
        records = {name: one for name, one in self.records().items() if one.source == source}
        return fleet.all_running(records, self.accepted(source), self._rules)

    def admit(self, snapshot: Snapshot, requests: Sequence[Request], now: float) -> tuple[Rollout, list[str]]:
        """Admit a snapshot. Returns the rollout, and the clusters with something new to do."""
        accepted, self._judged[snapshot.source] = self.accepted(snapshot.source), self.running(snapshot.source)
        known = self._clusters.known(snapshot.source, requests, self._rules.max_ttl, now)
        known = fleet.hosted(known, self.contents)
        rollout = fleet.admit(snapshot, accepted, known, requests, self._rules, now, partial(self._coming, snapshot))
        rollout = fleet.withheld(rollout, self.unreadable)
        rollout = replace(rollout, held={name: self._still_asked(name, why) for name, why in rollout.held.items()})
        self._leave_out(snapshot, rollout)
        slots = list(self._slots(snapshot, rollout, accepted, known, self._put_back(rollout, known, now)))
        self.contents.update(rollout.admitted)
        place, would = self._clusters.place, self._would
        return rollout, [name for name, slot in slots if place(name, slot, would(name, slot, snapshot), snapshot)]

    def stand(self, source: str) -> list[str]:
        """Assign the accepted content to the clusters of a source that have none newer; returns the names that are new.

        For a start without Git (S4, S8). Tombstones wait for Git: nothing is removed because of an old read.
        """
        names = [
            record.cluster
            for name, record in self.records().items()
            if record.source == source and record.tombstone is None and name not in self._clusters.slots
        ]
        for name in names:
            content = self.contents.get(name)
            bundle, why = self._resolved(name, content, None) if content else (None, fleet.UNREADABLE)
            self._clusters.place(name, Slot(source, bundle, why, content=content), bundle.digest if bundle else "")
        return sorted(names)

    def unsettled(self, cluster: str) -> bool:
        """Whether another version runs than when the cluster was held, found broken, had steps of its upgrade ahead or was to be of what is
        older now: the result may be another."""
        slot = self._clusters.slots.get(cluster)
        judged = self._judged.get(slot.source, {}) if slot else {}
        runs = self._runs(cluster, self.contents.get(cluster))
        if slot is None or cluster not in judged or judged[cluster] == runs:
            return False
        older = slot.bundle is not None and engine.lowers(runs, slot.bundle.versions)
        return bool(slot.held or slot.invalid or older or _ahead(slot))

    def _slots(
        self,
        snapshot: Snapshot,
        rollout: Rollout,
        accepted: Mapping[str, Content],
        known: Mapping[str, Record],
        put_back: Mapping[str, float],
    ) -> Iterable[tuple[str, Slot]]:
        source, invalid, held = snapshot.source, fleet.invalid(snapshot), rollout.held
        for name, content in rollout.admitted.items():
            bundle, why = self._resolved(name, content, accepted.get(name))
            back = put_back.get(name, 0.0)
            yield name, Slot(source, bundle, held.get(name) or why, invalid.get(name, ""), content, back)
        for name, tombstone in rollout.tombstones.items():
            record = self._clusters.states[name].record
            bundle = resolve.tombstone(record, accepted.get(name), tombstone, self._rules)
            yield name, Slot(source, bundle, held.get(name), put_back=put_back.get(name, 0.0))
        taken = {name for name, why in held.items() if why.reason == "NameTaken"}  # the first owner keeps its slot
        done = rollout.admitted.keys() | rollout.tombstones.keys() | taken
        for name in sorted((invalid.keys() | held.keys()) - done):
            back, stands = put_back.get(name, 0.0), known[name].tombstone if name in known else None
            begun = stands if name not in rollout.put_back else None  # else the file is there again
            yield name, Slot(source, None, held.get(name), invalid.get(name, ""), None, back, begun)

    def asks(self, name: str, snapshot: Snapshot, held: Held | None) -> str:
        """What a cluster that is held or invalid would be made of by a snapshot (`fleet.asks`)."""

        def digest() -> str:
            try:
                runs = self._runs(name, self.contents.get(name))
                return resolve.bundle(name, snapshot.content, self._rules, self._facts, runs).digest
            except Stalled:
                return ""

        return fleet.asks(name, snapshot, held, digest)

    def _would(self, name: str, slot: Slot, snapshot: Snapshot) -> str:
        """What the cluster of a slot would be made of by the snapshot, as far as nothing held it."""
        if slot.bundle is None or slot.held is not None or slot.invalid:
            return self.asks(name, snapshot, slot.held)
        return fleet.GONE if slot.bundle.tombstone else slot.bundle.digest

    def _coming(self, snapshot: Snapshot, name: str) -> tuple[Merge | None, ...]:
        """The change requests that brought what a snapshot asks for of a cluster."""
        slot = self._clusters.slots.get(name)
        return self._clusters.coming(name, self.asks(name, snapshot, slot.held if slot else None), snapshot)

    def _resolved(self, name: str, content: Content, before: Content | None) -> tuple[Bundle | None, Held | None]:
        """The bundle, or why there is none; and why its versions are not those asked for."""
        runs = self._runs(name, before)
        choice = engine.choose(content.specs.clusters[name].cluster, self._rules, runs)
        slot = self._clusters.slots.get(name)
        standing = slot.bundle if slot and slot.bundle and not slot.bundle.tombstone else None
        same = standing is not None and standing.versions == choice.versions and name not in self._outdated
        known = slot.content if slot else None
        if same and known is not None and resolve.same_inputs(name, known, content):
            return standing, choice.held
        try:
            bundle = resolve.bundle(name, content, self._rules, self._facts, runs)
            bundle = replace(bundle, inputs=resolve.inputs(name, content, self._terms, choice.versions))
            self._outdated.discard(name)
            return self._dated(bundle, standing), choice.held
        except Stalled as error:
            return None, choice.held or Held(error.reason, error.told, stalls=True)

    def _dated(self, bundle: Bundle, standing: Bundle | None) -> Bundle:
        """The bundle with its older revision, where nothing of the cluster changed, so that its status does not
        change."""
        state = self._clusters.states.get(bundle.cluster)
        if standing is not None and standing.digest == bundle.digest:
            return replace(bundle, revision=standing.revision)
        if state and state.record.bundle == bundle.digest:
            known = replace(bundle.revision, branch=state.record.branch, commit=state.record.commit)
            return replace(bundle, revision=known)
        return bundle

    def _runs(self, name: str, accepted: Content | None) -> Versions:
        state, document = self._clusters.states.get(name), accepted.specs.clusters.get(name) if accepted else None
        return fleet.running(state.record if state else None, document, self._rules)

    def _still_asked(self, name: str, why: Held) -> Held:
        """A hold until everything can be read keeps what was asked before: nobody took it back, and its approval stands."""
        slot = self._clusters.slots.get(name)
        asked = slot.held if slot is not None else None
        if why.reason != "Unparsed" or asked is None or asked.reason not in _OF_REMOVALS:
            return why
        return replace(why, consent=asked.consent, items=asked.items, about=asked.about)

    def _put_back(self, rollout: Rollout, known: Mapping[str, Record], now: float) -> dict[str, float]:
        """When admission used up what was approved of each cluster last."""
        slots = self._clusters.slots
        before = {name: slot.put_back for name, slot in slots.items() if slot.put_back}
        asked = fleet.asking(slot.held for slot in slots.values()) - fleet.asking(rollout.held.values())
        back = {
            name: expiry.used_up(known[name], now)  # it was asked for, and is not any more: the file is as before
            for name in rollout.admitted
            if name in known and f"{known[name].source}/{name}" in asked
        }
        return {**before, **back, **rollout.put_back}

    def _leave_out(self, snapshot: Snapshot, rollout: Rollout) -> None:
        """Forget clusters of this source that were never accepted and that the tree does not name any more."""
        spoken = rollout.admitted.keys() | rollout.tombstones.keys() | rollout.held.keys()
        spoken |= fleet.invalid(snapshot).keys()
        slots = self._clusters.slots
        for name in [name for name, slot in slots.items() if slot.source == snapshot.source]:
            if name not in spoken and name not in self._clusters.states:
                self._clusters.drop(name)
                self.contents.pop(name, None)


def _ahead(slot: Slot) -> bool:
    return slot.bundle is not None and bool(slot.bundle.ahead)
