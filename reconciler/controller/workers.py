"""Workers: take a cluster's key, do one pass, persist, report, decide when to look again. No decision of its own besides that."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from reconciler import conditions
from reconciler.assignment import Assignment, Facts, Outcome
from reconciler.controller import briefs
from reconciler.controller.board import Board, Slot
from reconciler.controller.border import contained
from reconciler.controller.queue import FIRST, SOON, Queue
from reconciler.errors import ApiError, LeaseLost, NidusError, Retry, Stalled
from reconciler.gather import Reader
from reconciler.inventory import ledger
from reconciler.inventory.store import State, Store
from reconciler.kube.client import Client
from reconciler.model import (
    Bundle,
    Destructive,
    Held,
    Layer,
    Object,
    ObjectRef,
    Permit,
    Record,
    Report,
    Revision,
    Target,
)
from reconciler.reconcile import Writer, reconcile
from reconciler.report import Reporter, log

STALLED_AGAIN = 300.0  # seconds; what stalls is looked at again now and then, in case a human mended it elsewhere


@dataclass(frozen=True, slots=True)
class Tools:
    """What every pass uses. `sight` gives the eyes for a bundle, `watch` wakes a key when nested objects move, `nonce` makes one,
    `forget` drops what is known of a nested API server, `finished` hears of every report, `over` of a name that is free again."""

    store: Store
    sight: Callable[[Bundle], Reader]
    reporter: Reporter
    salt: bytes
    watch: Callable[[str, Bundle, tuple[ObjectRef, ...]], None]
    forget: Callable[[Bundle], None]
    nonce: Callable[[], str]
    finished: Callable[[Report], None]
    over: Callable[[str], None] = lambda name: None


class Workers:
    """A fixed number of threads over one queue."""

    def __init__(self, board: Board, queue: Queue, tools: Tools, count: int) -> None:
        self._board, self._queue, self._tools = board, queue, tools
        self._beats = {number: time.monotonic() for number in range(count)}
        self._threads = [
            threading.Thread(target=self._run, args=(n,), name=f"worker-{n}", daemon=True) for n in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the passes under way; each finishes the object in flight and persists (H2)."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def signs(self) -> list[tuple[int, Callable[[], float]]]:
        """Each worker's number, and for how many seconds it has shown no sign of life (H3)."""
        return [(number, partial(self._silent, number)) for number in self._beats]

    def _silent(self, number: int) -> float:
        return time.monotonic() - self._beats[number]

    def once(self, key: str, alive: Callable[[], None] = lambda: None) -> None:
        """One pass over one cluster, whatever it comes to."""
        found = self._board.slot(key)
        if found is None:
            return
        slot, state = found
        try:
            with contained("pass", key):
                self._pass(key, slot, state, alive)
        except LeaseLost:
            return  # the process is about to end (H1); nothing more is written or said
        except NidusError as error:
            self._failed(key, slot, state, error)

    def _run(self, number: int) -> None:
        while not self._queue.closed:
            self._beat(number)
            key = self._queue.take(timeout=5.0)
            if key is not None:
                try:
                    self.once(key, partial(self._beat, number))
                finally:
                    self._queue.done(key)

    def _beat(self, number: int) -> None:
        self._beats[number] = time.monotonic()

    def _pass(self, key: str, slot: Slot, state: State | None, alive: Callable[[], None]) -> None:
        bundle, now, began = slot.bundle, time.time(), time.monotonic()
        if bundle is None:
            self._tell(slot, state, _unresolved(key, slot, _revision(state)))
            return
        bundle = briefs.awake(bundle, now)
        current = replace(state or State(self._born(slot, bundle, now)), record=self._record(slot, bundle, state, now))
        requests = self._board.requests()
        suspended = briefs.suspension(bundle, requests, now)
        if suspended or briefs.in_grace(bundle, now):
            self._rest(key, slot, bundle, current, suspended)
            return
        given = Assignment(
            bundle, current, slot.source, state, slot.memory, requests, held=slot.held, invalid=slot.invalid
        )
        reader = _beating(self._tools.sight(bundle), alive)
        facts = Facts(self._board.policy.host, self._tools.salt)
        result = reconcile(given, facts, now, reader, Writer(self._save, self._permit))
        self._board.learn(key, bundle, result.memory)
        self._queue.unanswered(key, result.unanswered)
        if result.over:
            self._over(key, bundle, result.state)
            return
        self._tell(slot, result.state, _with_held(result.report, slot.held), time.monotonic() - began)
        self._next(key, bundle, result)

    def _born(self, slot: Slot, bundle: Bundle, now: float) -> Record:
        revision, policy = bundle.revision, self._board.policy
        nonce = self._tools.nonce()
        return Record(slot.source, bundle.cluster, policy.host, "", revision.branch, revision.commit, {}, nonce, now)

    def _record(self, slot: Slot, bundle: Bundle, state: State | None, now: float) -> Record:
        """The record this pass stands on: the content just accepted, or the tombstone (AD1)."""
        record = state.record if state else self._born(slot, bundle, now)
        if bundle.document is None or bundle.tombstone is not None:
            return replace(record, tombstone=bundle.tombstone)
        return replace(
            record,
            source=slot.source,
            path=bundle.document.path,
            branch=bundle.revision.branch,
            commit=bundle.revision.commit,
            digests=self._board.digests(bundle.cluster),
            bundle=bundle.digest,
            tombstone=None,
        )

    def _save(self, state: State) -> State:
        """Persist a state if it says anything new. A commit that changed nothing of the cluster is not news (G4)."""
        found = self._board.slot(state.record.cluster)
        stored = found[1] if found else None
        if stored is not None and stored.base is not None and _same(stored, state):
            known = replace(state, base=stored.base)
            self._board.keep(known)
            return known
        saved = self._tools.store.write(replace(state, base=stored.base if stored else None))
        self._board.keep(saved)
        return saved

    def _permit(self, destructive: Destructive) -> Permit:
        """Tombstones were approved by admission (AD2); all else is counted over the whole revision (AD3)."""
        found = self._board.slot(destructive.cluster)
        bundle = found[0].bundle if found else None
        if bundle is not None and bundle.tombstone is not None:
            return Permit(frozenset({destructive.consent.digest}))
        permit, released = self._board.ask(destructive, time.time())
        self._wake(released)
        return permit

    def _rest(self, key: str, slot: Slot, bundle: Bundle, current: State, suspended: str) -> None:
        saved = self._save(current)
        self._wake(self._board.excuse(key))
        now = time.time()
        report = briefs.resting(
            bundle, slot.held, suspended, briefs.suspension_ends(bundle, self._board.requests(), now)
        )
        self._tell(slot, saved, report)
        if report.next_at is not None:
            self._queue.add_after(key, max(0.1, report.next_at - now))

    def _next(self, key: str, bundle: Bundle, result: Outcome) -> None:
        self._tools.watch(key, bundle, result.watch)
        if result.retry:
            self._queue.back_off(key, SOON if result.soon else FIRST)
            return
        self._queue.forget(key)
        if result.report.next_at is not None:
            self._queue.add_after(key, max(0.1, result.report.next_at - time.time()))

    def _failed(self, key: str, slot: Slot, state: State | None, error: NidusError) -> None:
        """The pass could not look or persist: the cluster keeps what it has, and blocks nobody (AD3)."""
        self._wake(self._board.excuse(key))
        revision = slot.bundle.revision if slot.bundle else _revision(state)
        self._tell(slot, state, briefs.failed(key, revision, error))
        after = error.after if isinstance(error, Retry | ApiError) else None
        if isinstance(error, Stalled):
            self._queue.add_after(key, STALLED_AGAIN)
        elif after:
            self._queue.add_after(key, after)
        else:
            self._queue.back_off(key)

    def _over(self, key: str, bundle: Bundle, state: State) -> None:
        """The tombstone is carried out: the record goes, or stays as what was retained (D2)."""
        self._tools.forget(bundle)
        tombstone = bundle.tombstone
        if tombstone is not None and tombstone.policy == "Retain" and state.entries:
            record = replace(state.record, tombstone=replace(tombstone, done=True))
            entries = ledger.retire(state.entries, [(entry.target, entry.ref) for entry in state.entries])
            self._board.keep(self._tools.store.write(replace(state, record=record, entries=entries)))
            self._board.clear(key)
        else:
            self._tools.store.close(state)
            self._board.drop(key)
        self._tools.reporter.gone(key)
        self._tools.over(key)
        log.line("ClusterOver", cluster=key, policy=tombstone.policy if tombstone else "")

    def _tell(self, slot: Slot, state: State | None, report: Report, seconds: float = 0.0) -> None:
        path = (
            slot.bundle.document.path if slot.bundle and slot.bundle.document else (state.record.path if state else "")
        )
        extra = self._board.versions(report.cluster)
        self._tools.reporter.cluster(report, source=slot.source, path=path, seconds=seconds, extra=extra)
        self._tools.finished(report)

    def _wake(self, keys: list[str]) -> None:
        for key in keys:
            self._queue.add(key)


def _beating(sight: Reader, alive: Callable[[], None]) -> Reader:
    """Eyes that give a sign of life at every look: a long pass over a slow host is no stalled worker (H3)."""

    def client(target: Target) -> Client:
        alive()
        return sight.client(target)

    def cached(target: Target, ref: ObjectRef) -> Object | None:
        alive()
        return sight.cached(target, ref)

    def render(layer: Layer) -> tuple[Object, ...]:
        alive()
        return sight.render(layer)

    return replace(sight, client=client, cached=cached, render=render)


def _unresolved(key: str, slot: Slot, revision: Revision) -> Report:
    """There is no bundle: the file is broken and nothing older was accepted, or its content cannot be read (S8)."""
    if slot.invalid:
        return briefs.invalid(key, revision, slot.invalid)
    if slot.held is not None and slot.held.reason in ("BadRecord", "NewerFormat"):
        return briefs.failed(key, revision, Stalled(slot.held.message, reason=slot.held.reason))
    return briefs.held(key, revision, slot.held or Held("Unreadable", "its content cannot be read"))


def _with_held(report: Report, held: Held | None) -> Report:
    """What admission holds of a cluster is said beside what its pass came to."""
    if held is None or report.held is not None:
        return report
    word = "Held" if report.word == "Ready" else report.word
    return replace(report, held=held, word=word, conditions=conditions.with_held(report.conditions, held))


def _same(stored: State, state: State) -> bool:
    def news(record: Record) -> Record:
        return replace(record, commit="", bundle="", applied="applied" if record.applied else "", path="")

    return stored.entries == state.entries and news(stored.record) == news(state.record)


def _revision(state: State | None) -> Revision:
    return Revision(state.record.branch, state.record.commit) if state else Revision("", "")
