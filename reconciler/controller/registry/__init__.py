"""What the running controller knows of every cluster. It has one lock, and does no I/O under it.

Workers take an assignment and finish it. Snapshots of sources are admitted (`admissions`) and become assignments
(`assignments`); `merged` knows what was shown of a commit; `prune_gate` permits deletions. Every decision over these values is
made by `fleet` and `spec.resolve`.
"""

import threading
from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.assignment import Assignment, Outcome, Unresolved
from reconciler.controller.registry.admissions import Admissions
from reconciler.controller.registry.assignments import Assignments
from reconciler.controller.registry.merged import Merged
from reconciler.controller.registry.prune_gate import PruneGate
from reconciler.inventory.store import State
from reconciler.model import (
    Content,
    Destructive,
    Held,
    HostFacts,
    Merge,
    ObjectRef,
    Permit,
    Record,
    Request,
    Reviewed,
    Rollout,
    Rules,
    Snapshot,
    Versions,
    replace,
)


class Wakes(Struct, frozen=True):
    """What to wake at the end of a pass: clusters whose deletions are permitted now, a source whose `revision` is Ready everywhere, a
    source that should admit its tree again because other versions run now. `gone`: the cluster no longer exists."""

    clusters: tuple[str, ...] = ()
    gone: bool = False
    complete: str = ""
    revision: str = ""
    admit: str = ""


class Registry:
    """Thread-safe. `states` is what the store held at the start, `unreadable` why other records cannot be read."""

    def __init__(
        self,
        rules: Rules,
        facts: HostFacts,
        states: Mapping[str, State],
        unreadable: Mapping[str, Held] | None = None,
    ) -> None:
        self.rules, self.facts = rules, facts
        self._lock = threading.RLock()
        self._merged = Merged()
        self._clusters = Assignments(facts.name, states, self._merged)
        self._admissions = Admissions(rules, facts, self._clusters, unreadable or {})
        self._gate = PruneGate(rules)
        self._requests: tuple[Request, ...] = ()

    # For workers

    def take(self, cluster: str, now: float, nonce: str) -> Assignment | Unresolved | None:
        """Everything a pass over the cluster needs, as it is now; None where the cluster is not known (any more). `nonce` marks the
        objects of a cluster that has no record yet."""
        with self._lock:
            return self._clusters.take(cluster, self._requests, now, nonce, self.rules)

    def permit(self, assignment: Assignment, wanted: Destructive, now: float) -> tuple[Permit, tuple[str, ...]]:
        """Which deletions and replacements of the cluster are permitted, and which other clusters this report may have released (AD3). A
        removal was approved by admission (AD2). To a pass that was overtaken by a newer commit nothing is permitted (D1)."""
        with self._lock:
            if not self.current(assignment):
                return Permit(), ()
            if assignment.bundle.tombstone is not None:
                return Permit(frozenset({wanted.consent.digest})), ()
            return self._gate.ask(wanted, self._requests, now, self._clusters.merges)

    def current(self, assignment: Assignment) -> bool:
        """Whether what a pass was given is still what the cluster should be. Waits for nothing: passes ask before each deletion."""
        return self._clusters.current(assignment.bundle.cluster, assignment.epoch)

    def keep(self, state: State) -> None:
        """Keep a state that was written to the store. One that was doubted since is to be written again."""
        with self._lock:
            self._clusters.keep(state)

    def finish(self, done: Assignment | Unresolved, outcome: Outcome) -> Wakes:
        """End an assignment: keep what the pass remembered, forget a cluster whose removal is over; return what to wake. A pass that
        was overtaken by a newer commit says nothing about that one."""
        with self._lock:
            source, cluster = done.source, outcome.report.cluster
            if isinstance(done, Assignment) and outcome.over:
                ended = done.bundle.tombstone is not None and done.bundle.tombstone.expired
                gone = self._drop(done, keep_record=outcome.state is not None)
                return Wakes(gone=gone, admit=source if ended else "")  # its file may still be there
            if not self._clusters.current(cluster, done.epoch):
                return Wakes()
            released = self._gate.excuse(cluster)
            if outcome.memory is not None:
                self._clusters.learn(cluster, outcome.memory)
            if isinstance(done, Assignment) and outcome.state is not None and not outcome.state.record.brought:
                self._clusters.settle(cluster, done.state.record.brought)
            revision = self._gate.ready(cluster) if outcome.report.word == "Ready" else ""
            again = self._admissions.unsettled(cluster) or outcome.due
            return Wakes(
                released, complete=source if revision else "", revision=revision, admit=source if again else ""
            )

    # For sources

    def changing(self, source: str) -> tuple[str, ...]:
        """The clusters that the newest commit of a source changed and that are not Ready since."""
        with self._lock:
            return self._gate.changing(source)

    def revise(self, snapshot: Snapshot, now: float) -> tuple[Rollout, list[str]]:
        """Admit a snapshot over all clusters (AD1); the clusters with something new to do, in name order."""
        with self._lock:
            review, consent = self._merged.bound(snapshot)
            requests = (*self._requests, consent) if consent else self._requests
            rollout, changed = self._admissions.admit(snapshot, requests, now)
            heard = self._gate.begin(snapshot, changed, [name for name in changed if self._speaks(name)], review)
            return rollout, sorted({*changed, *heard} & self._clusters.slots.keys())

    def reviewed(self, source: str, reviews: Iterable[Reviewed]) -> None:
        """What was shown of the change requests of a source: a commit with the tree of one is as planned (B5)."""
        with self._lock:
            self._merged.shown(source, reviews)

    def consented(self, source: str, commit: str, review: Reviewed, consent: Request) -> tuple[str, ...] | None:
        """A commit merged what `review` showed, and that was approved; the clusters that this may have released. None where the
        commit is not known (yet), or its tree is another. It is used up by that commit."""
        with self._lock:
            self._merged.consented(source, commit, review, consent)
            return self._gate.consented(source, commit, review, consent)

    def newest(self, source: str) -> str:
        """The commit of a source that was admitted last, "" where none was since the start."""
        with self._lock:
            return self._merged.newest(source)

    def merged(self, source: str, commit: str) -> int:
        """The change request that a commit of a source merged as it was shown, 0 for none."""
        return self._merged.number(source, commit)

    def brought(self, clusters: Iterable[str]) -> frozenset[int]:
        """The change requests whose merges brought what clusters are to become, since each was Ready last: 0 is what none explains."""
        with self._lock:
            return frozenset(one.number if one else 0 for name in clusters for one in self._clusters.merges(name))

    def explained(self, source: str, merge: Merge) -> tuple[str, ...]:
        """The forge says that a change request was merged as a commit; the clusters that an approval of before may have released."""
        with self._lock:
            new = self._merged.learn(source, merge)
            approved = self._merged.handed(source) or any(one.change for one in self._requests)
            return self._clusters.waiting(source, merge.commit) if new and approved else ()

    def asks(self, cluster: str, snapshot: Snapshot, held: Held | None) -> str:
        """What a cluster that is held or invalid would be made of by a commit."""
        with self._lock:
            return self._admissions.asks(cluster, snapshot, held)

    def unready(self, source: str, commit: str) -> tuple[str, ...] | None:
        """The clusters that a commit changed and that are not Ready since; None where it is not known, or newer ones changed them all."""
        with self._lock:
            return self._gate.unready(source, commit)

    def stand(self, source: str) -> list[str]:
        """Assign the accepted content to the clusters of a source that could not be read since the start; returns whom this changes."""
        with self._lock:
            return self._admissions.stand(source)

    def remember(self, contents: Mapping[str, Content]) -> None:
        """Keep accepted contents that were read again after a restart. What was admitted since is newer, and stays."""
        with self._lock:
            self._admissions.contents = {**contents, **self._admissions.contents}

    def accepted(self, source: str) -> dict[str, Content]:
        """The accepted content of each cluster of a source."""
        with self._lock:
            return self._admissions.accepted(source)

    def running(self, source: str) -> dict[str, Versions]:
        """The versions that the clusters of a source run, as far as they are known."""
        with self._lock:
            return self._admissions.running(source)

    def govern(self, rules: Rules) -> None:
        """Let other rules of the operator count from the next admission on."""
        with self._lock:
            self.rules = rules
            self._admissions.govern(rules)
            self._gate.govern(rules)

    # For requests

    def hear(self, requests: tuple[Request, ...]) -> list[str]:
        """Replace the requests; returns the clusters they concern."""
        with self._lock:
            before, self._requests = self._requests, requests
            touched = {request.cluster for request in {*before} ^ {*requests}}
            slots = self._clusters.slots
            return sorted(slots) if "" in touched else sorted(touched & slots.keys())

    def requests(self) -> tuple[Request, ...]:
        with self._lock:
            return self._requests

    # For what is read from the host

    def states(self) -> dict[str, State]:
        with self._lock:
            return dict(self._clusters.states)

    def meant(self, now: float) -> dict[str, State]:
        """Every state with its record as the next pass will leave it, stored or not."""
        with self._lock:
            records = self._clusters.meant(self._requests, self.rules.max_ttl, now)
            known = ((name, one, records[name]) for name, one in self._clusters.states.items())
            return {name: one if one.record is new else replace(one, record=new) for name, one, new in known}

    def records(self) -> dict[str, Record]:
        """Every record, whatever its source: names are unique in the controller."""
        with self._lock:
            return self._admissions.records()

    def source_of(self, cluster: str) -> str:
        """The source a cluster belongs to, "" where nothing is known of it. Waits for nothing: the queue asks at every wake."""
        return self._clusters.source_of(cluster)

    def lists(self, cluster: str, ref: ObjectRef) -> bool:
        """Whether the inventory of a cluster has this object of the host. Waits for nothing: every event asks."""
        return self._clusters.lists(cluster, ref)

    def version(self, cluster: str) -> str:
        """The resourceVersion of its record as it was stored or read last, "" where none is. Waits for nothing."""
        state = self._clusters.states.get(cluster)
        return state.base.version if state is not None and state.base is not None else ""

    def names(self, source: str = "") -> list[str]:
        """The clusters that are worked on, of one source or of all."""
        with self._lock:
            return sorted(name for name, slot in self._clusters.slots.items() if source in ("", slot.source))

    def known(self) -> dict[str, float]:
        """Every cluster that has a record or work to do, or whose record cannot be read, and when it began, 0 where that is not known."""
        with self._lock:
            found = dict.fromkeys([*self._clusters.slots, *self._admissions.unreadable], 0.0)
            return found | {name: one.begun for name, one in self._clusters.states.items()}

    def shown(self) -> set[str]:
        """Every cluster that has a status object: the known ones but those whose removal is over, whose record may stay (D2)."""
        with self._lock:
            return {*self._clusters.slots, *self._clusters.standing(), *self._admissions.unreadable}

    def worked_on(self, cluster: str) -> bool:
        """Whether passes of this cluster write its record."""
        with self._lock:
            return cluster in self._clusters.slots

    def doubt(self, cluster: str, seen: State) -> State | None:
        """The record is not stored as `seen` says: it is written again. Returns the state to write; None where another was kept since."""
        with self._lock:
            return self._clusters.doubt(cluster, seen)

    def stored(self, before: State, after: State) -> None:
        """Keep `before` as it was written to the store, unless another state was kept since."""
        with self._lock:
            if self._clusters.states.get(before.record.cluster) is before:
                self._clusters.keep(after)

    def adopt(self, state: State) -> bool:
        """Keep a record that was found on the server. Returns whether nothing was known of it."""
        with self._lock:
            if state.record.cluster in self._clusters.states:
                return False
            self._clusters.keep(state)
            return True

    def unread(self, cluster: str, why: Held) -> None:
        """A record that memory lacks cannot be read: its name is taken."""
        with self._lock:
            if cluster not in self._clusters.states:
                self._admissions.unreadable[cluster] = why

    def unreadable(self) -> dict[str, Held]:
        """Clusters whose record cannot be read, and why. Nothing of them is changed, and their names stay taken."""
        with self._lock:
            return dict(self._admissions.unreadable)

    def mended(self, cluster: str, state: State | None) -> None:
        """The record can be read again, or a human deleted it."""
        with self._lock:
            self._admissions.unreadable.pop(cluster, None)
            if state is not None:
                self._clusters.states[cluster] = state

    def _speaks(self, cluster: str) -> bool:
        """Whether the next pass of a cluster will report the deletions it wants."""
        bundle = self._clusters.slots[cluster].bundle
        return bundle is not None and not bundle.suspend and bundle.tombstone is None

    def _drop(self, done: Assignment, *, keep_record: bool) -> bool:
        """A removal is over: forget the cluster. Returns whether Git still has no file of it: it may have come back meanwhile."""
        cluster = done.bundle.cluster
        if not keep_record:
            self._clusters.forget(cluster)
        if cluster in self._clusters.slots and not self._clusters.current(cluster, done.epoch):
            return False
        self._clusters.drop(cluster)
        self._gate.forget(cluster)
        self._admissions.contents.pop(cluster, None)
        return True
