"""One thread a source: it waits for a wake, fetches, reads, validates and hands on the whole snapshot or nothing (S3,
S4)."""

import threading
import time
from collections.abc import Callable, Collection

from msgspec import Struct

from reconciler import fleet, jitter
from reconciler.controller import border
from reconciler.controller.trigger import Trigger, Woken
from reconciler.errors import LeaseLost, NidusError
from reconciler.model import (
    Authored,
    Content,
    Held,
    HostFacts,
    Limits,
    Record,
    Revision,
    Rollout,
    Rules,
    Snapshot,
    SourceConfig,
    SourceReport,
    Tree,
    Versions,
    replace,
)
from reconciler.report import log
from reconciler.source import accepted
from reconciler.source.accepted import Recalled
from reconciler.source.folder import Blobs
from reconciler.source.mirror import Mirror
from reconciler.source.runner import STOPPING
from reconciler.spec import load, units

JITTER = 0.1  # of the interval
RETRY_FIRST, RETRY_LAST = 1.0, 300.0
BURST = 10.0  # seconds a sync waits at most for a burst of marks to end, so that the burst is two syncs (W3)


class Ports(Struct, frozen=True):
    """What a source needs of the controller: `revise` admits a snapshot, `stand` enforces accepted contents while Git
    cannot be read (S4), `synced` counts a sync, `tell` reports, `accepted` gives the accepted contents, `running` the
    versions that run, `recalled` takes accepted contents that were read again. `lists`: whether somebody lists the host for each sync
    that is asked for."""

    revise: Callable[[Snapshot, bool], Rollout]
    stand: Callable[[str], None]
    synced: Callable[[str, str], None]
    tell: Callable[[SourceReport], None]
    accepted: Callable[[str], dict[str, Content]]
    records: Callable[[], dict[str, Record]]
    running: Callable[[str], dict[str, Versions]]
    recalled: Callable[[str, Recalled], None] = lambda source, found: None
    lists: bool = False


class Source:
    """One repository, followed until the controller stops."""

    def __init__(
        self,
        config: SourceConfig,
        mirror: Mirror,
        rules: Rules,
        facts: HostFacts,
        limits: Limits,
        ports: Ports,
        served: int = 0,
    ) -> None:
        """`served` is the generation that the last process answered; higher sync requests are still open."""
        self.config = config
        self.mirror = mirror
        self.wake = Trigger(served, lists=ports.lists)
        self.read_once = threading.Event()
        self._rules, self._facts, self._limits, self._ports = rules, facts, limits, ports
        self._known: load.Known = load.NOTHING
        self._snapshot: Snapshot | None = None
        self._failures = 0
        self._fetched = 0.0
        self._interval = units.duration(config.interval)
        self._due: float | None = None
        self._served = served
        self._began = 0.0
        self._verified, self._signer = "", ""

    def govern(self, rules: Rules) -> None:
        """Let other rules of the operator count from the next sync on."""
        self._rules = rules

    @property
    def followed(self) -> bool:
        """Whether a commit of it was read and admitted since the start."""
        return self._snapshot is not None

    def silent(self) -> float:
        """For how many seconds the sync under way goes on; 0 between syncs (H3)."""
        began = self._began
        return time.monotonic() - began if began else 0.0

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set: sync on every wake, every interval with jitter (S6), and when admission asked to be asked again."""
        self.wake.up("start")
        while not stop.is_set():
            self.wake.wait(self._pause(), stop, BURST)
            if stop.is_set():
                return
            woken = self.wake.take()
            if self._due is not None and time.time() >= self._due:
                woken = replace(woken, again=True, trigger="due" if woken.trigger == "poll" else woken.trigger)
            self._began = time.monotonic()
            self._stepped(woken)
            self._began = 0.0

    def _stepped(self, woken: Woken) -> None:
        try:
            with border.contained("sync", self.config.name):
                self.step(woken)
        except LeaseLost:
            return  # the process is about to end (H1)
        except NidusError as error:  # the failure itself could not be reported
            self._failures += 1
            log.line("SourceFailed", source=self.config.name, message=error.told)

    def step(self, woken: Woken) -> None:
        """One sync of the source. A failure keeps the last good snapshot enforced, and is reported (S4)."""
        stages = [("seen", woken.at)]
        self._ports.synced(self.config.name, woken.trigger)
        try:
            with border.contained("sync", self.config.name):
                if woken.recall:
                    self._ports.recalled(self.config.name, self.recall())
                self._synced(woken, stages)
            self._failures = 0
        except NidusError as error:
            if error.reason == STOPPING:
                return  # stopping: the next process does it
            self._failures += 1
            self.wake.keep(woken)
            if self._snapshot is None:
                self._ports.stand(self.config.name)
            self._report(woken.trigger, stages, error=f"{error.reason}: {error.told}")
        finally:
            self.read_once.set()

    def _synced(self, woken: Woken, stages: list[tuple[str, float]]) -> None:
        revision = self.mirror.fetch()
        self._fetched = time.time()
        stages.append(("fetched", self._fetched))
        self._verify(revision.commit)
        self._follow(revision, woken, stages)

    def _verify(self, commit: str) -> None:
        """Raises Stalled where the source asks for signatures and this commit has none that counts: nothing of it is read (K14)."""
        if self.config.verify and commit != self._verified:
            since = self._verified or self._accepted_commit(commit)
            self._signer = self.mirror.signer(commit, since)
            self._verified = commit

    def read(self, oids: Collection[str]) -> dict[str, bytes]:
        return self.mirror.read(oids)

    def _follow(self, revision: Revision, woken: Woken, stages: list[tuple[str, float]]) -> None:
        tree = self.mirror.tree(revision.commit)
        before = self._snapshot
        if before is not None and before.oid == tree.oid and not woken.again and not self._approves(before, revision):
            if self._failures or woken.generation > self._served:
                self._served = woken.generation
                self._report(woken.trigger, stages)
            return
        snapshot = self._read(revision, tree)
        stages.append(("validated", time.time()))
        rollout = self._ports.revise(snapshot, woken.forced)
        stages.append(("admitted", time.time()))
        self._snapshot, self._due, self._served = snapshot, rollout.next_at, woken.generation
        self._report(woken.trigger, stages, rollout)
        self._pin(revision.commit)

    def _approves(self, before: Snapshot, revision: Revision) -> bool:
        """Whether commits that changed nothing of the tree approve something (D3)."""
        old, new = before.revision.commit, revision.commit
        if old == new:
            return False
        return fleet.speaks(fleet.counting(self.mirror.trailers(old, new), self.config.name, self._rules))

    def _pin(self, commit: str) -> None:
        """Pin the accepted commits (S8), and the commit just read, which clusters are about to be accepted at."""
        for name in sorted(self.mirror.pin(self.commits() | {"": commit})):
            log.line(
                "AcceptedUnreadable",
                cluster=name,
                source=self.config.name,
                message="the mirror does not hold its commit",
            )

    def _read(self, revision: Revision, tree: Tree) -> Snapshot:
        """The snapshot of one commit; `descends` and trailers are relative to the commit followed before (S5, D3)."""
        before = self._ports.accepted(self.config.name)
        blobs = self.mirror.read(load.wanted(tree, self._known))
        old = self._snapshot.revision.commit if self._snapshot else self._accepted_commit(revision.commit)
        snapshot, self._known = load.load(
            self.config.name,
            revision,
            tree,
            blobs,
            self._known,
            self._rules,
            self._facts,
            self._limits,
            accepted=fleet.documents(before),
            in_use=fleet.in_use(self._ports.records().values(), self.config.name),
            running=self._ports.running(self.config.name),
            origins=fleet.profiles(before),
            descends=old is None or self.mirror.descends(old, revision.commit),
            trailers=self.mirror.trailers(old, revision.commit),
        )
        return snapshot

    def recall(self) -> Recalled:
        """What the clusters of this source were accepted at, read again from the pinned commits (S8).

        Once the source runs, only its own thread may call this: it replaces what the source knows of files.
        """
        records = [record for record in self._records() if record.commit]
        found = accepted.recall(records, self._at, self._known, self._limits)
        self._known = found.known
        return found

    def _at(self, commit: str) -> tuple[Tree, Blobs]:
        return self.mirror.tree(commit), self.mirror.read

    def _accepted_commit(self, head: str) -> str | None:
        """After a restart: an accepted commit of some cluster that HEAD does not descend from, else any accepted
        commit."""
        commits = sorted(set(self.commits().values()))
        astray = [commit for commit in commits if not self.mirror.descends(commit, head)]
        return next(iter(astray or commits), None)

    def commits(self) -> dict[str, str]:
        """Cluster -> the commit it was accepted at, of this source."""
        return {record.cluster: record.commit for record in self._records() if record.commit}

    def _records(self) -> list[Record]:
        return [record for record in self._ports.records().values() if record.source == self.config.name]

    def _report(
        self, trigger: str, stages: list[tuple[str, float]], rollout: Rollout | None = None, error: str = ""
    ) -> None:
        snapshot = self._snapshot
        rejected = {violation.path for violation in snapshot.violations} if snapshot else set()
        self._ports.tell(
            SourceReport(
                source=self.config.name,
                revision=snapshot.revision if snapshot else None,
                violations=snapshot.violations if snapshot else (),
                accepted=len(snapshot.specs.clusters) if snapshot else 0,
                rejected=len(rejected),
                held=_held(rollout) if rollout else None,
                stages=tuple(stages),
                trigger=trigger,
                fetched=self._fetched,
                error=error,
                generation=self._served,
                authored=self._authored(snapshot.revision.commit) if snapshot else None,
            )
        )

    def _authored(self, commit: str) -> Authored | None:
        found = self.mirror.authored(commit)
        return replace(found, signer=self._signer) if found and commit == self._verified else found

    def _pause(self) -> float:
        if self._failures:
            doubled = RETRY_FIRST * 2.0 ** min(self._failures - 1, 20)
            return min(RETRY_LAST, self._interval, doubled) * jitter.between(0.8, 1.2)
        pause = self._interval * jitter.between(1 - JITTER, 1 + JITTER)
        return pause if self._due is None else min(pause, max(1.0, self._due - time.time()))


def _held(rollout: Rollout) -> Held | None:
    """The held removals of a revision, as one line for the source."""
    held = [item for item in rollout.held.values() if item.consent]
    return held[0] if held else next(iter(rollout.held.values()), None)
