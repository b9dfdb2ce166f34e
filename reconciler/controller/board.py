"""What the running controller knows of every cluster: its state, its bundle, what the last pass remembered. One lock, no I/O under it.

It holds values and swaps them; every decision over them is made by `fleet` and `spec.resolve`.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler import engine, fleet
from reconciler.errors import Stalled
from reconciler.inventory.store import State
from reconciler.memory import Memory
from reconciler.model import (
    NO_VERSIONS,
    Bundle,
    Content,
    Destructive,
    Held,
    Permit,
    Policy,
    Record,
    Request,
    Rollout,
    Snapshot,
    Versions,
)
from reconciler.spec import resolve


@dataclass(frozen=True, slots=True)
class Slot:
    """One cluster on the board. `bundle` None: nothing to do until its content can be read (S8), `held` says why.

    `invalid` is the first violation of its own file, while an older version is enforced (V4).
    """

    source: str
    bundle: Bundle | None = None
    held: Held | None = None
    invalid: str = ""
    memory: Memory = field(default_factory=Memory)


@dataclass(slots=True)
class Round:
    """One revision of one source: who has not reported yet, and what those who did want to destroy (AD3)."""

    trailers: tuple[tuple[str, str], ...]
    pending: set[str]
    commit: str = ""
    wanting: frozenset[str] = frozenset()  # who wanted to destroy in earlier rounds
    destructive: dict[str, Destructive] = field(default_factory=dict)
    unready: set[str] = field(default_factory=set)


class Board:
    """Thread-safe. `states` is what the store held at start-up, `unreadable` why it cannot say what other clusters are; memory
    grows with the clusters that exist."""

    def __init__(
        self, policy: Policy, states: Mapping[str, State], unreadable: Mapping[str, Held] | None = None
    ) -> None:
        self.policy = policy
        self._lock = threading.RLock()
        self._states = dict(states)
        self._slots: dict[str, Slot] = {}
        self._accepted: dict[str, Content] = {}
        self._rounds: dict[str, Round] = {}
        self._requests: tuple[Request, ...] = ()
        self._judged: dict[str, dict[str, Versions]] = {}  # source -> the versions its snapshot was judged with
        self._unreadable = dict(unreadable or {})

    # What the sources say

    def records(self) -> dict[str, Record]:
        """Every record, whatever its source: names are unique in the controller."""
        with self._lock:
            return {name: state.record for name, state in self._states.items()}

    def accepted(self, source: str) -> dict[str, Content]:
        with self._lock:
            return {name: content for name, content in self._accepted.items() if self._source_of(name) == source}

    def remember(self, contents: Mapping[str, Content]) -> None:
        """Accepted contents read again after a restart."""
        with self._lock:
            self._accepted.update(contents)

    def revise(self, snapshot: Snapshot, now: float) -> tuple[Rollout, list[str]]:
        """Admit a snapshot over all clusters (AD1); the keys whose bundle changed, in name order."""
        with self._lock:
            accepted, self._judged[snapshot.source] = self.accepted(snapshot.source), self.running(snapshot.source)
            rollout = fleet.admit(snapshot, accepted, self.records(), self._requests, self.policy, now)
            rollout = fleet.withheld(rollout, self._unreadable)
            self._leave_out(snapshot.source, rollout, snapshot)
            changed = [name for name, slot in self._revised(snapshot, rollout, accepted) if self._place(name, slot)]
            self._accepted.update(rollout.admitted)
            heard = self._next_round(snapshot, changed)
            return rollout, sorted({*changed, *heard} & self._slots.keys())

    def _next_round(self, snapshot: Snapshot, changed: Sequence[str]) -> frozenset[str]:
        """Begin the round of this snapshot; the clusters an approval in its commits may concern: those that wanted to destroy."""
        last, commit = self._rounds.get(snapshot.source), snapshot.revision.commit
        wanting = (last.wanting | last.destructive.keys()) if last else frozenset[str]()
        same = last.trailers if last and last.commit == commit else ()  # the same commit, admitted once more
        trailers, pending, unready = snapshot.trailers or same, self._pending(changed), set(changed)
        self._rounds[snapshot.source] = Round(trailers, pending, commit=commit, wanting=wanting, unready=unready)
        return wanting if fleet.speaks(snapshot.trailers) else frozenset()

    def stand(self, source: str) -> list[str]:
        """Put on the board what clusters of a source were accepted at, where nothing newer is; the keys that are new.

        For a start without Git (S4, S8). Tombstones wait for Git: nothing is removed on what was read long ago.
        """
        with self._lock:
            records = [
                record for name, record in self.records().items() if record.source == source and name not in self._slots
            ]
            standing = [record.cluster for record in records if record.tombstone is None]
            for name in standing:
                content = self._accepted.get(name)
                bundle, why = self._resolved(name, content, None) if content else (None, fleet.UNREADABLE)
                self._slots[name] = Slot(source, bundle, why)
            return sorted(standing)

    def _revised(self, snapshot: Snapshot, rollout: Rollout, accepted: Mapping[str, Content]) -> list[tuple[str, Slot]]:
        invalid = fleet.invalid(snapshot)
        slots = []
        for name, content in rollout.admitted.items():
            bundle, why = self._resolved(name, content, accepted.get(name))
            slots.append((name, Slot(snapshot.source, bundle, rollout.held.get(name) or why, invalid.pop(name, ""))))
        for name, tombstone in rollout.tombstones.items():
            record = self._states[name].record
            bundle = resolve.tombstone(record, accepted.get(name), tombstone, self.policy)
            slots.append((name, Slot(snapshot.source, bundle, rollout.held.get(name))))
        foreign = {
            name for name, why in rollout.held.items() if why.reason == "NameTaken"
        }  # the incumbent keeps its slot
        rest = (invalid.keys() | rollout.held.keys()) - {name for name, _ in slots} - foreign
        return slots + [
            (name, Slot(snapshot.source, None, rollout.held.get(name), invalid.get(name, ""))) for name in sorted(rest)
        ]

    def _resolved(self, name: str, content: Content, before: Content | None) -> tuple[Bundle | None, Held | None]:
        """The bundle, or why there is none; and why its versions are not those asked for."""
        runs = self._runs(name, before)
        choice = engine.choose(content.specs.clusters[name].cluster, self.policy, runs)
        slot = self._slots.get(name)
        standing = slot.bundle if slot and slot.bundle and not slot.bundle.tombstone else None
        same = standing is not None and standing.versions == choice.versions
        if same and before is not None and resolve.same_inputs(name, before, content):
            return standing, choice.held
        try:
            return self._dated(resolve.bundle(name, content, self.policy, runs), standing), choice.held
        except Stalled as error:
            return None, choice.held or Held(error.reason, error.message, stalls=True)

    def _dated(self, bundle: Bundle, standing: Bundle | None) -> Bundle:
        """With the older revision, where nothing of the cluster changed: its status then does not move."""
        state = self._states.get(bundle.cluster)
        if standing is not None and standing.digest == bundle.digest:
            return replace(bundle, revision=standing.revision)
        if state and state.record.bundle == bundle.digest:
            return replace(
                bundle, revision=replace(bundle.revision, branch=state.record.branch, commit=state.record.commit)
            )
        return bundle

    def _place(self, name: str, slot: Slot) -> bool:
        """Put a slot on the board; whether there is something new to do."""
        before = self._slots.get(name)
        if before is not None and slot.bundle is not None and before.bundle is not None:
            same = before.bundle.digest == slot.bundle.digest and before.bundle.tombstone == slot.bundle.tombstone
            self._slots[name] = replace(slot, memory=before.memory) if same else slot
            return not same or (before.held, before.invalid) != (slot.held, slot.invalid)
        self._slots[name] = slot
        return True

    def _leave_out(self, source: str, rollout: Rollout, snapshot: Snapshot) -> None:
        """Forget clusters of this source that were never accepted and that nothing speaks of any more."""
        spoken = (
            rollout.admitted.keys() | rollout.tombstones.keys() | rollout.held.keys() | fleet.invalid(snapshot).keys()
        )
        for name in [name for name, slot in self._slots.items() if slot.source == source]:
            if name not in spoken and name not in self._states:
                del self._slots[name]

    def _pending(self, changed: Sequence[str]) -> set[str]:
        return {
            name
            for name in changed
            if (bundle := self._slots[name].bundle) and not bundle.suspend and not bundle.tombstone
        }

    # What humans say

    def hear(self, requests: tuple[Request, ...]) -> list[str]:
        """Take the requests as they are now; the clusters they concern."""
        with self._lock:
            before, self._requests = self._requests, requests
            touched = {request.cluster for request in {*before} ^ {*requests}}
            return sorted(self._slots) if "" in touched else sorted(touched & self._slots.keys())

    def requests(self) -> tuple[Request, ...]:
        with self._lock:
            return self._requests

    # What workers take and bring back

    def slot(self, name: str) -> tuple[Slot, State | None] | None:
        with self._lock:
            slot = self._slots.get(name)
            return (slot, self._states.get(name)) if slot else None

    def keep(self, state: State) -> None:
        """A state as it was persisted."""
        with self._lock:
            self._states[state.record.cluster] = state

    def doubt(self, name: str, version: str) -> bool:
        """What the store holds of a cluster is not what was written last, as `version`: the next pass writes its state again."""
        with self._lock:
            state = self._states.get(name)
            if state is None or state.base is None or state.base.version != version:
                return False
            self._states[name] = replace(state, base=None)
            return True

    def states(self) -> dict[str, State]:
        with self._lock:
            return dict(self._states)

    def unreadable(self) -> dict[str, Held]:
        """Clusters whose record cannot be read, and why: they keep what they have, and their names."""
        with self._lock:
            return dict(self._unreadable)

    def mended(self, name: str, state: State | None) -> None:
        """A record can be read again, or is gone by a human's hand."""
        with self._lock:
            self._unreadable.pop(name, None)
            if state is not None:
                self._states[name] = state

    def drop(self, name: str) -> None:
        """A cluster is over."""
        with self._lock:
            for table in (self._states, self._slots, self._accepted):
                table.pop(name, None)

    def clear(self, name: str) -> None:
        """A cluster is over, and what was retained of it stays on record."""
        with self._lock:
            for table in (self._slots, self._accepted):
                table.pop(name, None)

    def digests(self, name: str) -> dict[str, str]:
        """The digests of the content a cluster stands on: of its own document and of the profile versions it uses."""
        with self._lock:
            content = self._accepted.get(name)
            return resolve.digests(name, content) if content else {}

    def running(self, source: str) -> dict[str, Versions]:
        """The versions that the clusters of a source run, as far as they are known."""
        with self._lock:
            records = {name: one for name, one in self.records().items() if one.source == source}
            return fleet.all_running(records, self.accepted(source), self.policy)

    def unsettled(self, name: str) -> bool:
        """Whether another version runs than when the cluster was held or found broken: the verdict may be another now."""
        with self._lock:
            slot = self._slots.get(name)
            judged = self._judged.get(slot.source, {}) if slot and (slot.held or slot.invalid) else {}
            return name in judged and judged[name] != self._runs(name, self._accepted.get(name))

    def _runs(self, name: str, accepted: Content | None) -> Versions:
        state, document = self._states.get(name), accepted.specs.clusters.get(name) if accepted else None
        return fleet.running(state.record if state else None, document, self.policy)

    def versions(self, name: str) -> dict[str, Any]:
        """What the status says besides the report: the versions that run, once they are known (T1)."""
        with self._lock:
            state = self._states.get(name)
            known = state.record.versions if state else NO_VERSIONS
            told = {"engine": known.engine, "kubernetes": known.kubernetes}
            return {"versions": told} if known != NO_VERSIONS else {}

    def learn(self, name: str, bundle: Bundle, memory: Memory) -> None:
        """What a pass remembered, unless the bundle moved on meanwhile."""
        with self._lock:
            slot = self._slots.get(name)
            if slot and slot.bundle is not None and slot.bundle.digest == bundle.digest:
                self._slots[name] = replace(slot, memory=memory)

    def ask(self, destructive: Destructive, now: float) -> tuple[Permit, list[str]]:
        """A cluster reports what it wants to destroy; the permit as it is then, and the clusters it may have released (AD3)."""
        with self._lock:
            round_ = self._rounds.get(self._source_of(destructive.cluster))
            if round_ is None:
                return Permit(), []
            last = round_.pending == {destructive.cluster}
            round_.pending.discard(destructive.cluster)
            round_.destructive.pop(destructive.cluster, None)
            if destructive.consent.items:
                round_.destructive[destructive.cluster] = destructive
            others = [name for name in round_.destructive if name != destructive.cluster] if last else []
            return self._permit(round_, now), others

    def excuse(self, name: str) -> list[str]:
        """A cluster that cannot say what it would destroy blocks nobody (AD3); the clusters this may have released."""
        with self._lock:
            round_ = self._rounds.get(self._source_of(name))
            if round_ is None or name not in round_.pending:
                return []
            round_.pending.discard(name)
            return [] if round_.pending else sorted(round_.destructive)

    def ready(self, name: str) -> bool:
        """Mark a cluster of the current revision as Ready; whether it was the last one (T3)."""
        with self._lock:
            round_ = self._rounds.get(self._source_of(name))
            if round_ is None or name not in round_.unready:
                return False
            round_.unready.discard(name)
            return not round_.unready

    def names(self, source: str = "") -> list[str]:
        """The clusters on the board, of one source or of all."""
        with self._lock:
            return sorted(name for name, slot in self._slots.items() if source in ("", slot.source))

    def _permit(self, round_: Round, now: float) -> Permit:
        wanted = [round_.destructive[name] for name in sorted(round_.destructive)]
        return fleet.permit(wanted, frozenset(round_.pending), self._requests, round_.trailers, self.policy, now)

    def _source_of(self, name: str) -> str:
        slot, state = self._slots.get(name), self._states.get(name)
        return slot.source if slot else (state.record.source if state else "")
