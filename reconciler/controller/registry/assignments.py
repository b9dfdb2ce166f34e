"""The bundle of each cluster, its record, and what its last pass remembered. Called under the registry's lock."""

import itertools
from collections.abc import Collection, Mapping, Sequence

from reconciler import fleet
from reconciler.assignment import Assignment, Unresolved
from reconciler.controller.registry.merged import Merged
from reconciler.controller.registry.slots import Slot, advanced, stored, unresolved
from reconciler.inventory import suspensions
from reconciler.inventory.packing import Base
from reconciler.inventory.store import State
from reconciler.memory import Memory
from reconciler.model import (
    Archive,
    Brought,
    Bundle,
    InventoryEntry,
    Merge,
    ObjectRef,
    Record,
    Request,
    Revision,
    Rules,
    Snapshot,
    replace,
)
from reconciler.operations import expiry, restore
from reconciler.operations.situation import since
from reconciler.plan import consent

UNEXPLAINED = (Brought(),)
MOST = 20  # commits that are told apart


class Assignments:
    """The slots and states of all clusters; memory grows with the clusters that exist."""

    def __init__(self, host: str, states: Mapping[str, State], merged: Merged) -> None:
        self._host, self._merged = host, merged
        self._epochs = itertools.count(1)
        self._births: dict[str, Record] = {}
        self._doubted: dict[str, Base] = {}  # what the server no longer has, while a pass may go on from it
        self._listed: dict[str, tuple[tuple[InventoryEntry, ...], frozenset[ObjectRef]]] = {}
        self.states = dict(states)
        self.slots: dict[str, Slot] = {}

    def source_of(self, cluster: str) -> str:
        """The source a cluster belongs to, "" where nothing is known of it."""
        slot, state = self.slots.get(cluster), self.states.get(cluster)
        return slot.source if slot else (state.record.source if state else "")

    def lists(self, cluster: str, ref: ObjectRef) -> bool:
        """Whether the inventory of a cluster has this object of the host. Of any thread: it waits for nothing."""
        state = self.states.get(cluster)
        if state is None:
            return False
        known = self._listed.get(cluster)
        if known is None or known[0] is not state.entries:
            found = frozenset(entry.ref for entry in state.entries if not entry.target.nested)
            known = self._listed[cluster] = (state.entries, found)
        return ref in known[1]

    def meant(self, requests: Sequence[Request], longest: float, now: float) -> dict[str, Record]:
        """Every record as the next pass of its cluster will leave it, stored or not: decisions over all clusters go by these. `longest`:
        seconds a cluster may live by extensions, 0 for no bound."""
        return {name: self._meant(state, requests, longest, now) for name, state in self.states.items()}

    def known(self, source: str, requests: Sequence[Request], longest: float, now: float) -> dict[str, Record]:
        """The records as they are `meant`, and one to be of each cluster of another source that no pass has stored yet."""
        found = self.meant(requests, longest, now)
        for name, slot in self.slots.items():
            if slot.source != source and slot.bundle is not None and name not in found:
                found[name] = self._births.get(name) or self._born(slot, slot.bundle, now, "")
        return found

    def place(self, cluster: str, slot: Slot, would: str, at: Snapshot | None = None) -> bool:
        """Set the slot of a cluster; returns whether there is something new to do. With the same bundle, what was
        remembered is kept. `at` is the commit that asks for it, None where that cannot be read, and `would` as in Slot."""
        before, brought = self.slots.get(cluster), self._brought(cluster, slot, would, at)
        if before is None or not _same(before.bundle, slot.bundle):
            self.slots[cluster] = replace(slot, epoch=next(self._epochs), brought=brought, would=would)
            return True
        kept = (before.memory, before.epoch, brought, would)  # at every commit: `replace` would cost twice as much
        self.slots[cluster] = Slot(
            slot.source, slot.bundle, slot.held, slot.invalid, slot.content, slot.put_back, None, *kept
        )
        return (before.held, before.invalid) != (slot.held, slot.invalid)

    def brought(self, cluster: str) -> tuple[Brought | int, ...]:
        """The commits that moved what a cluster would be made of, since it was Ready last."""
        slot, state = self.slots.get(cluster), self.states.get(cluster)
        if slot is not None:
            return slot.brought
        if state is None:
            return ()
        return state.record.brought or (() if state.record.ready == state.record.bundle else UNEXPLAINED)

    def merges(self, cluster: str) -> tuple[Merge | None, ...]:
        """The change requests that brought these commits, None for what none explains (yet)."""
        return self._explained(cluster, self.source_of(cluster), self.brought(cluster))

    def coming(self, cluster: str, would: str, at: Snapshot) -> tuple[Merge | None, ...]:
        """As `merges`, with a commit by which the cluster would be made of this."""
        return self._explained(cluster, at.source, self._with(cluster, at, moved=would != self._was(cluster)))

    def waiting(self, source: str, commit: str) -> tuple[str, ...]:
        """The clusters of a source that this commit moved, and that were not Ready since."""
        slots = ((name, one) for name, one in self.slots.items() if one.source == source)
        return tuple(sorted(name for name, one in slots if commit in _commits(one.brought)))

    def _explained(self, cluster: str, source: str, brought: Collection[Brought | int]) -> tuple[Merge | None, ...]:
        return tuple(each for one in brought for each in self._merged.explains(source, cluster, one))

    def _brought(self, cluster: str, slot: Slot, would: str, at: Snapshot | None) -> tuple[Brought | int, ...]:
        """With the commit that asks for this slot, if that moves what the cluster would be made of. What is held or invalid in another
        way than before is not as before."""
        before, moved = self.slots.get(cluster), would != self._was(cluster)
        if before is not None:
            moved = moved or (before.held, before.invalid) != (slot.held, slot.invalid)
        return self._with(cluster, at, moved=moved)

    def _with(self, cluster: str, at: Snapshot | None, *, moved: bool) -> tuple[Brought | int, ...]:
        known = self.brought(cluster)
        if not moved or (at is not None and at.revision.commit in _commits(known)):
            return known
        known_way = at is not None and at.descends  # else a commit of long ago would be explained by how it came then
        new = Brought(at.revision.commit, at.oid, self._was(cluster)) if at is not None and known_way else Brought()
        found = tuple(dict.fromkeys((*known, new)))
        return found if len(found) <= MOST else UNEXPLAINED

    def _was(self, cluster: str) -> str:
        """What the cluster would have been made of before, "" of a new one."""
        slot, state = self.slots.get(cluster), self.states.get(cluster)
        return slot.would if slot is not None else (state.record.bundle if state is not None else "")

    def take(
        self, cluster: str, requests: tuple[Request, ...], now: float, nonce: str, rules: Rules
    ) -> Assignment | Unresolved | None:
        """Everything a pass needs, as one value; None where the cluster is not known. `nonce` is for a cluster without a
        record; its first one is kept until a record is stored, so that a write whose answer was lost is known again."""
        slot, state = self.slots.get(cluster), self.states.get(cluster)
        if slot is None:
            return None
        if slot.bundle is None:
            revision = Revision(state.record.branch, state.record.commit) if state else Revision("", "")
            meant = replace(state, record=self._meant(state, requests, rules.max_ttl, now)) if state else None
            return Unresolved(cluster, slot.source, revision, slot.held, slot.invalid, state, slot.epoch, meant)
        bundle = suspensions.awake(slot.bundle, now)
        current = state or State(self._births.setdefault(cluster, self._born(slot, bundle, now, nonce)))
        record, own = advanced(current, state is not None, slot, bundle, requests, rules.max_ttl, now)
        return Assignment(
            bundle=bundle,
            state=replace(current, record=record),
            source=slot.source,
            stored=state,
            memory=slot.memory,
            requests=consent.counted(own, self.merges(cluster)) if any(one.change for one in own) else own,
            held=slot.held,
            invalid=slot.invalid,
            epoch=slot.epoch,
            consented=fleet.consented(rules),
            stores=rules.ceilings.backup_endpoints if rules.ceilings is not None else None,
            archive=self._archive(bundle),
            owner=self._owner(slot, bundle, record),
            awaited=restore.awaited(one.record for one in self.states.values()) if record.backups else frozenset(),
        )

    def _owner(self, slot: Slot, bundle: Bundle, record: Record) -> str:
        asks = restore.source_of(bundle)
        if asks is None or not restore.undecided(bundle, record):
            return ""
        return restore.whose(asks, slot.source, (one.record for one in self.states.values()))

    def _archive(self, bundle: Bundle) -> Archive | None:
        """What is on record of the snapshot that a new cluster is to begin with."""
        asks = restore.source_of(bundle)
        state = self.states.get(asks.cluster) if asks is not None else None
        known = state.record.backups if state is not None else None
        return next((one for one in known.archives if asks and one.id == asks.id), None) if known is not None else None

    def current(self, cluster: str, epoch: int) -> bool:
        """Whether what a pass was given is still what the cluster should be."""
        slot = self.slots.get(cluster)
        return slot is not None and slot.epoch == epoch

    def learn(self, cluster: str, memory: Memory) -> None:
        """Keep what a pass remembered."""
        self.slots[cluster] = replace(self.slots[cluster], memory=memory)

    def settle(self, cluster: str, brought: tuple[Brought | int, ...]) -> None:
        """A pass found the cluster as it is to be; it knew of what these `brought`."""
        if brought and self.slots[cluster].brought == brought:
            self.slots[cluster] = replace(self.slots[cluster], brought=())

    def keep(self, state: State) -> None:
        """A state as it is stored. One that was doubted since a pass took it is still to be written again."""
        cluster = state.record.cluster
        if state.base is not None and self._doubted.get(cluster) == state.base:
            state = replace(state, base=None)
        else:
            self._doubted.pop(cluster, None)
        self.states[cluster] = state
        self._births.pop(cluster, None)

    def doubt(self, cluster: str, seen: State) -> State | None:
        """Let a state be written again, if it is still the `seen` one; returns it without a base."""
        state = self.states.get(cluster)
        if state is None or state.base != seen.base:
            return None
        if state.base is not None:
            self._doubted[cluster] = state.base
        self.states[cluster] = replace(state, base=None)
        return self.states[cluster]

    def forget(self, cluster: str) -> None:
        """The cluster has no record any more."""
        self.states.pop(cluster, None)
        self._listed.pop(cluster, None)
        self._doubted.pop(cluster, None)

    def standing(self) -> set[str]:
        """The clusters that have a record and whose removal is not over."""
        tombstones = {name: state.record.tombstone for name, state in self.states.items()}
        return {name for name, tombstone in tombstones.items() if tombstone is None or not tombstone.done}

    def drop(self, cluster: str) -> None:
        """Nothing is to be done for the cluster any more. Its state, if there is one, stays."""
        self.slots.pop(cluster, None)
        self._births.pop(cluster, None)

    def _meant(self, state: State, requests: Sequence[Request], longest: float, now: float) -> Record:
        record, slot = state.record, self.slots.get(state.record.cluster)
        if slot is not None and slot.bundle is None:
            record = unresolved(record, slot)
        elif slot is not None and slot.bundle is not None and not stored(record, slot, slot.bundle):
            return advanced(state, True, slot, slot.bundle, requests, longest, now)[0]
        if record.expiry is None or record.tombstone is not None:
            return record
        return expiry.extended(record, record.expiry, since(requests, state.begun), longest)

    def _born(self, slot: Slot, bundle: Bundle, now: float, nonce: str) -> Record:
        revision = bundle.revision
        return Record(slot.source, bundle.cluster, self._host, "", revision.branch, revision.commit, {}, nonce, now)


def _same(before: Bundle | None, after: Bundle | None) -> bool:
    """Whether both are there and ask for the same."""
    return (
        before is not None
        and after is not None
        and (before.digest, before.tombstone) == (after.digest, after.tombstone)
    )


def _commits(brought: Collection[Brought | int]) -> frozenset[str]:
    return frozenset(one.commit for one in brought if isinstance(one, Brought))
