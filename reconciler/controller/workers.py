"""Workers: take an assignment, do one pass, finish it, report, and set the time of the next pass."""

import threading
import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from reconciler.assignment import Assignment, Facts, Outcome, Unresolved
from reconciler.controller import briefs
from reconciler.controller.border import contained
from reconciler.controller.errands import Errands
from reconciler.controller.probes import Probes
from reconciler.controller.queue import FIRST, SOON, Queue, threads
from reconciler.controller.registry import Registry, Wakes
from reconciler.errors import ApiError, LeaseLost, NidusError, Retry, Stopped
from reconciler.gather import Reader, beating
from reconciler.inventory import ledger
from reconciler.inventory.store import State, Store
from reconciler.model import Bundle, Destructive, ObjectRef, Permit, Report, Tried, Versions, replace
from reconciler.reconcile import Writer, reconcile
from reconciler.report import Reporter, life, log
from reconciler.report.view import Place, RunningView

_PROFILE = "profile/"  # what the digests of profiles are called in a record, before NAME@VERSION


class Tools(Struct, frozen=True):
    """What every pass uses. `reader` gives the reader of a bundle's pass, `watch` wakes a key when nested objects
    change, `forget` drops the client of a nested API server, `nonce` makes one, `woken` is called with what to wake
    after a pass, `freed` with a name that is free again; `errands` does what is done beside
    the passes (None: of the workers' own), `probes` tries addresses from outside (None: nobody does)."""

    store: Store
    reader: Callable[[Bundle, str], Reader]
    reporter: Reporter
    salt: bytes
    watch: Callable[[str, Bundle, tuple[ObjectRef, ...]], None]
    forget: Callable[[Bundle], None]
    nonce: Callable[[], str]
    woken: Callable[[Wakes], None] = lambda wakes: None
    freed: Callable[[str], None] = lambda name: None
    clock: Callable[[], float] = time.time
    errands: Errands | None = None
    probes: Probes | None = None


class Workers:
    """A fixed number of threads over one queue, more than `count` workers; the queue says how many work at once."""

    def __init__(self, registry: Registry, queue: Queue, tools: Tools, count: int) -> None:
        self._registry, self._queue, self._tools = registry, queue, tools
        self._errands = tools.errands or Errands(queue.add)
        self._beats = {number: time.monotonic() for number in range(threads(count))}
        self._threads = [
            threading.Thread(target=self._run, args=(n,), name=f"worker-{n}", daemon=True) for n in self._beats
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the passes under way; each finishes the object in flight and persists (H2). Returns whether all ended. What is done
        beside the passes is not waited for."""
        self._errands.close()
        if self._tools.probes is not None:
            self._tools.probes.close()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def signs(self) -> list[tuple[int, Callable[[], float]]]:
        """Each worker's number, and the seconds since it last moved (H3)."""
        return [(number, partial(self._silent, number)) for number in self._beats]

    def once(self, key: str, alive: Callable[[], None] = lambda: None) -> None:
        """One pass over one cluster, whether it succeeds or fails. Once the queue is closed it ends after the object in
        flight, with what was done confirmed (H2)."""
        try:
            with contained("pass", key):
                self._once(key, alive)
        except (LeaseLost, Stopped):
            return  # the process is about to end (H1); nothing more is written or reported
        except NidusError:  # a bug outside the pass itself: it was logged, and the pass is done once more
            self._queue.back_off(key)

    def _once(self, key: str, alive: Callable[[], None]) -> None:
        began = time.monotonic()
        given = self._registry.take(key, self._tools.clock(), self._tools.nonce())
        if given is None:
            return
        try:
            with contained("pass", key):
                outcome = self._outcome(given, alive)
        except LeaseLost:
            raise
        except NidusError as error:
            outcome = _failed(key, given, error)
        self._finish(key, given, outcome, time.monotonic() - began)

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

    def _silent(self, number: int) -> float:
        return time.monotonic() - self._beats[number]

    # One pass

    def _outcome(self, given: Assignment | Unresolved, alive: Callable[[], None]) -> Outcome:
        now, save = self._tools.clock(), _Saving(self._tools.store, self._registry, given.stored)
        if isinstance(given, Unresolved):
            state = given.state
            unsaved = state is not None and (state.base is None or briefs.ends_otherwise(given))
            return Outcome(briefs.unresolved(given), save(state) if state is not None and unsaved else given.stored)
        resting = briefs.resting(given, now)
        if resting is not None:
            return Outcome(resting, save(given.state))
        if briefs.ends_otherwise(given):
            given = replace(given, state=save(given.state))
        facts = Facts(self._registry.facts, self._tools.salt, self._registry.rules.grace)
        reader = beating(self._tools.reader(given.bundle, given.source), partial(self._going, alive))
        given = replace(given, answers=self._errands.answers(given.bundle.cluster), tried=self._tried(given))
        current = partial(self._registry.current, given)
        outcome = reconcile(given, facts, now, reader, Writer(save, partial(self._permit, given), current))
        self._errands.settled(given.bundle.cluster, outcome.answered)
        self._errands.ask(outcome.errands)
        if self._tools.probes is not None:
            self._tools.probes.ask(given.bundle.cluster, outcome.exposure, given.source)
        if outcome.over:
            self._errands.forget(given.bundle.cluster)
            return self._closed(given.bundle, outcome)
        return replace(outcome, report=briefs.with_held(outcome.report, given.held))

    def _tried(self, given: Assignment) -> Tried | None:
        return self._tools.probes.answer(given.bundle.cluster) if self._tools.probes is not None else None

    def _going(self, alive: Callable[[], None]) -> None:
        alive()
        if self._queue.closed:
            raise Stopped

    def _permit(self, given: Assignment, wanted: Destructive) -> Permit:
        permit, released = self._registry.permit(given, wanted, self._tools.clock())
        for name in released:
            self._queue.add(name)
        return permit

    def _closed(self, bundle: Bundle, outcome: Outcome) -> Outcome:
        """The removal is done: the record is deleted, or kept with what was retained (D2)."""
        self._tools.forget(bundle)
        state, tombstone = outcome.state, bundle.tombstone
        if state is None or tombstone is None:
            return outcome
        kept = state.entries if tombstone.policy == "Retain" else ()
        if not kept and not tombstone.expired:
            self._tools.store.close(state)
            return replace(outcome, state=None)
        record = replace(state.record, tombstone=replace(tombstone, done=True))
        entries = ledger.retire(kept, [(entry.target, entry.ref) for entry in kept])
        stored = self._tools.store.write(replace(state, record=record, entries=entries))
        self._registry.keep(stored)
        return replace(outcome, state=stored)

    # Its end

    def _finish(self, key: str, given: Assignment | Unresolved, outcome: Outcome, seconds: float) -> None:
        if outcome.over:
            self._queue.drop(key)
        wakes = self._registry.finish(given, outcome)
        for name in wakes.clusters:
            self._queue.add(name)
        if not outcome.over:
            self._queue.unanswered(key, outcome.unanswered)
            self._next(key, outcome)
            self._tell(given, outcome, seconds)
            sleep = outcome.report.sleep
            if isinstance(given, Assignment) and sleep is not None and sleep.asleep:
                self._tools.forget(given.bundle)  # watches and connections of what is shut down
            elif isinstance(given, Assignment) and outcome.memory is not None:
                self._tools.watch(key, given.bundle, outcome.watch)
        self._tools.woken(wakes)
        if wakes.gone:
            self._tools.reporter.gone(key)
            self._tools.freed(key)
            log.line("ClusterOver", cluster=key)
        elif outcome.over:
            self._queue.add(key)  # its file came back while it was being removed

    def _next(self, key: str, outcome: Outcome) -> None:
        if outcome.after:
            self._queue.add_after(key, outcome.after)
        elif outcome.retry:
            self._queue.back_off(key, SOON if outcome.soon else FIRST, bulk=_unhurried(outcome.report))
            sleep = outcome.report.sleep
            if sleep is not None and sleep.until is not None:
                self._queue.add_after(key, max(0.1, sleep.until - self._tools.clock()))
        else:
            self._queue.forget(key)
            if outcome.report.next_at is not None:
                pause = outcome.report.next_at - self._tools.clock()
                self._queue.add_after(key, max(0.1, pause), bulk=_unhurried(outcome.report))

    def _tell(self, given: Assignment | Unresolved, outcome: Outcome, seconds: float) -> None:
        state = outcome.state or given.stored
        document = given.bundle.document if isinstance(given, Assignment) else None
        runs, steps = state.record.versions if state else Versions(), outcome.report.plan.steps
        place = Place(
            source=given.source,
            file=document.path if document else (state.record.path if state else ""),
            host=self._registry.facts.name,
            labels=document.cluster.metadata.labels if document else None,
            versions=RunningView(runs.engine, runs.kubernetes, steps if runs.engine or runs.kubernetes else ()),
            profiles=_profiles(state) if state else (),
            deletion=life.deletion(document.cluster.spec.deletion, self._registry.rules.grace) if document else None,
            removal=life.removal(given.bundle.tombstone) if isinstance(given, Assignment) else None,
        )
        number = self._registry.merged(given.source, outcome.report.revision.commit)
        self._tools.reporter.cluster(outcome.report, place, seconds, number)


def _unhurried(report: Report) -> bool:
    """Whether the next look may come after those that are asked for: all is well, or only a human or a commit can end it."""
    stalled = any(one.type == "Stalled" and one.status == "True" for one in report.conditions)
    return stalled or report.word in ("Ready", "Held", "Suspended")


def _profiles(state: State) -> tuple[str, ...]:
    return tuple(sorted(key.removeprefix(_PROFILE) for key in state.record.digests if key.startswith(_PROFILE)))


class _Saving:
    """Saves a state if anything in it is new. A commit that changed nothing of the cluster is not saved (G4)."""

    def __init__(self, store: Store, registry: Registry, stored: State | None) -> None:
        self._store, self._registry, self._stored = store, registry, stored

    def __call__(self, state: State) -> State:
        known = self._stored
        if known is not None and known.base is not None and _same(known, state):
            kept = replace(state, base=known.base)
        else:
            kept = self._store.write(replace(state, base=known.base if known else None))
        self._registry.keep(kept)
        self._stored = kept
        return kept


def _same(stored: State, state: State) -> bool:
    """Whether a restart can do without the new state: commit, path and bundle are read from Git again."""
    ours, theirs = (
        replace(one.record, commit="", bundle="", applied="yes" if one.record.applied else "")
        for one in (state, stored)
    )
    return stored.entries == state.entries and ours == theirs


def _failed(key: str, given: Assignment | Unresolved, error: NidusError) -> Outcome:
    """The outcome of a pass that could not read or save: nothing of the cluster was changed."""
    revision = given.revision if isinstance(given, Unresolved) else given.bundle.revision
    after = error.after if isinstance(error, Retry | ApiError) else None
    return Outcome(briefs.failed(key, revision, error), given.stored, retry=True, after=after)
