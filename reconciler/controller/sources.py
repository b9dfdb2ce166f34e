"""One thread a source: wake, fetch, read, validate, hand the snapshot on, wholly or not at all (S3, S4)."""

import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from reconciler.errors import NidusError
from reconciler.model import (
    Content,
    Held,
    Limits,
    Policy,
    Record,
    Revision,
    Rollout,
    Snapshot,
    SourceConfig,
    SourceReport,
    Tree,
)
from reconciler.source.mirror import Mirror
from reconciler.spec import load, units

JITTER = 0.1  # of the interval
RETRY_FIRST, RETRY_LAST = 1.0, 300.0


@dataclass(frozen=True, slots=True)
class Ports:
    """What a source needs of the controller: `revise` admits a snapshot, `tell` reports, `accepted` is what clusters stand on."""

    revise: Callable[[Snapshot, bool], Rollout]
    tell: Callable[[SourceReport], None]
    accepted: Callable[[str], dict[str, Content]]
    records: Callable[[], dict[str, Record]]


@dataclass(frozen=True, slots=True)
class Woken:
    """One wake, taken: why, when, and whether the same tree is to be admitted again, or every cluster checked again."""

    trigger: str
    at: float
    forced: bool
    again: bool


@dataclass(slots=True)
class Wake:
    """Why and since when a source was woken; several wakes before a fetch are one (W3).

    `again` admits the same tree once more, because time or requests moved; `forced` re-checks every cluster besides (S2).
    """

    trigger: str = ""
    at: float = 0.0
    forced: bool = False
    again: bool = False
    generation: int = 0
    event: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def up(self, trigger: str, *, forced: bool = False, again: bool = False, generation: int = 0) -> None:
        with self.lock:
            if not self.trigger:
                self.trigger, self.at = trigger, time.time()
            self.forced = self.forced or forced
            self.again = self.again or again or forced
            self.generation = max(self.generation, generation)
            self.event.set()

    def take(self) -> "Woken":
        with self.lock:
            taken = Woken(self.trigger or "poll", self.at or time.time(), self.forced, self.again)
            self.trigger, self.at, self.forced, self.again = "", 0.0, False, False
            self.event.clear()
            return taken


class Source:
    """One repository followed for as long as the controller lives."""

    def __init__(self, config: SourceConfig, mirror: Mirror, policy: Policy, limits: Limits, ports: Ports) -> None:
        self.config = config
        self.mirror = mirror
        self.wake = Wake()
        self.beat = time.monotonic()
        self.read_once = threading.Event()
        self.resynced = 0
        self._policy, self._limits, self._ports = policy, limits, ports
        self._known: load.Known = load.NOTHING
        self._snapshot: Snapshot | None = None
        self._failures = 0
        self._fetched = 0.0
        self._interval = units.duration(config.interval)

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set: sync on every wake, and every interval with jitter (S6)."""
        self.wake.up("start")
        while not stop.is_set():
            self.wake.event.wait(self._pause())
            if stop.is_set():
                return
            self.beat = time.monotonic()
            self.step(self.wake.take())
            self.beat = time.monotonic()

    def step(self, woken: Woken) -> None:
        """One sync of the source. A failure keeps the last good snapshot enforced, and is reported (S4)."""
        stages = [("seen", woken.at)]
        try:
            revision = self.mirror.fetch()
            self._fetched = time.time()
            stages.append(("fetched", self._fetched))
            self._follow(revision, woken, stages)
            self._failures = 0
        except NidusError as error:
            self._failures += 1
            self._report(woken.trigger, stages, error=f"{error.reason}: {error.message}")
        finally:
            self.read_once.set()

    def read(self, oids: Collection[str]) -> dict[str, bytes]:
        return self.mirror.read(oids)

    def _follow(self, revision: Revision, woken: Woken, stages: list[tuple[str, float]]) -> None:
        tree = self.mirror.tree(revision.commit)
        before = self._snapshot
        if before is not None and before.oid == tree.oid and not woken.again:
            if self._failures:
                self._report(woken.trigger, stages)
            return
        snapshot = self._read(revision, tree)
        stages.append(("validated", time.time()))
        rollout = self._ports.revise(snapshot, woken.forced)
        stages.append(("admitted", time.time()))
        self._snapshot = snapshot
        self._report(woken.trigger, stages, rollout)
        self.mirror.pin(self._commits() | {"": revision.commit})

    def _read(self, revision: Revision, tree: Tree) -> Snapshot:
        """The snapshot of one commit; `descends` and trailers are told against the commit followed before (S5, D3)."""
        accepted = self._ports.accepted(self.config.name)
        documents = {
            name: content.specs.clusters[name] for name, content in accepted.items() if name in content.specs.clusters
        }
        blobs = self.mirror.read(load.wanted(tree, self._known))
        old = self._snapshot.revision.commit if self._snapshot else self._accepted_commit(revision.commit)
        snapshot, self._known = load.load(
            self.config.name,
            revision,
            tree,
            blobs,
            self._known,
            self._policy,
            self._limits,
            accepted=documents,
            in_use=self._in_use(),
            descends=old is None or self.mirror.descends(old, revision.commit),
            trailers=self.mirror.trailers(old, revision.commit),
        )
        return snapshot

    def content_at(self, commit: str) -> Content:
        """What a cluster was accepted at, read again after a restart (S8). Raises Stalled or Unavailable where it cannot be."""
        tree = self.mirror.tree(commit)
        blobs = self.mirror.read(load.wanted(tree, self._known))
        revision = Revision(self.config.branch, commit)
        snapshot, _ = load.load(self.config.name, revision, tree, blobs, self._known, self._policy, self._limits)
        return snapshot.content

    def _accepted_commit(self, head: str) -> str | None:
        """After a restart: a commit some cluster stands on that HEAD does not descend from, else any of them."""
        commits = sorted(set(self._commits().values()))
        astray = [commit for commit in commits if not self.mirror.descends(commit, head)]
        return next(iter(astray or commits), None)

    def _commits(self) -> dict[str, str]:
        """Cluster -> the commit it was accepted at, of this source."""
        records = self._ports.records().values()
        return {
            record.cluster: record.commit for record in records if record.source == self.config.name and record.commit
        }

    def _in_use(self) -> dict[tuple[str, str], str]:
        """The digests of the profile versions that clusters stand on: (name, version) -> digest (api.md, immutable versions)."""
        found = {}
        for record in self._ports.records().values():
            for key, digest in record.digests.items():
                kind, _, rest = key.partition("/")
                name, _, version = rest.partition("@")
                if kind == "profile" and record.source == self.config.name:
                    found[name, version] = digest
        return found

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
                generation=self.wake.generation,
            )
        )

    def _pause(self) -> float:
        if self._failures:
            return min(RETRY_LAST, self._interval, RETRY_FIRST * 2.0 ** (self._failures - 1)) * random.uniform(0.8, 1.2)
        return self._interval * random.uniform(1 - JITTER, 1 + JITTER)


def _held(rollout: Rollout) -> Held | None:
    """The held removals of a revision, as one line for the source."""
    held = [item for item in rollout.held.values() if item.consent]
    return held[0] if held else next(iter(rollout.held.values()), None)
