"""All sources of the process: opens, follows and wakes them, and has their snapshots admitted."""

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from reconciler import fleet
from reconciler.controller import border, git_watch, sync_requests
from reconciler.controller.pace import Pace
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry, Wakes
from reconciler.controller.rounds import Rounds
from reconciler.controller.source import Ports, Source
from reconciler.controller.trigger import AT_ONCE
from reconciler.errors import Stalled
from reconciler.model import Object, Rollout, Snapshot, SourceConfig, SourceReport, replace
from reconciler.report import Reporter, log
from reconciler.settings import Settings
from reconciler.source.accepted import Recalled
from reconciler.source.mirror import Mirror

SMALL = 8  # clusters; a change of more is queued behind work that has begun


class Sources:
    """One thread a source, from `open` until `stop` is set; `close` afterwards releases the mirrors.

    `refresh` lists the host anew before a forced look (`lists`) and says whether all of it was listed in time; `admitted` is called
    with the source after each admission, `synced` is told of each sync that did not fail.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        queue: Queue,
        reporter: Reporter,
        stop: threading.Event,
        refresh: Callable[[], bool] = lambda: True,
        admitted: Callable[[str], None] = lambda source: None,
        synced: Callable[[SourceReport], None] = lambda report: None,
    ) -> None:
        self._refresh, self._admitted, self._synced = refresh, admitted, synced
        self._settings, self._registry, self._queue, self._reporter, self._stop = (
            settings,
            registry,
            queue,
            reporter,
            stop,
        )
        self._stops: list[Callable[[], None]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._taken: dict[str, frozenset[str]] = {}  # names, also of hosts, that each source waits for
        self._freed: dict[str, set[str]] = {}  # names that became free while a source's tree is admitted
        self.following: dict[str, Source] = {}
        self.lists = Rounds("lists", self._list, stop, every=None, pace=Pace(at_once=AT_ONCE))

    def open(self) -> None:
        """Open every mirror and read the accepted contents of its clusters. Raises NidusError where a mirror cannot be
        opened."""
        rules, facts, limits = self._registry.rules, self._registry.facts, self._settings.limits
        ports = Ports(
            self._revise,
            self._stand,
            self._reporter.metrics.sync,
            self._tell,
            self._registry.accepted,
            self._registry.records,
            self._registry.running,
            self._recalled,
            lists=True,
        )
        for config in self._settings.config.sources:
            mirror = Mirror.open(config, self._settings.data / "mirrors" / config.name, limits=limits)
            self._stops.append(mirror.close)
            served = sync_requests.believed(self._reporter.generation(config.name), time.time_ns())
            self.following[config.name] = source = Source(config, mirror, rules, facts, limits, ports, served)
            self._recalled(config.name, source.recall())

    def start(self) -> None:
        """Follow every source from now on; local repositories without a webhook are watched besides."""
        for source in self.following.values():
            name = f"source-{source.config.name}"
            thread = threading.Thread(target=source.run, args=(self._stop,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        configs = [source.config for source in self.following.values() if source.config.webhook is None]
        local = {config.name: path for config in configs if (path := _local(config)) is not None}
        if local:
            self._stops.append(git_watch.watch(local, lambda name: self.following[name].wake.up("watch")))

    def govern(self, settings: Settings) -> None:
        """Let other settings count: for every source from its next sync on, which begins now."""
        self._settings = settings
        self._registry.govern(settings.rules)
        for source in self.following.values():
            source.govern(settings.rules)
        self.wake("configuration")

    def wake(self, trigger: str) -> None:
        """Let every source admit its tree again: a time has come, requests changed, or the process stops."""
        for source in self.following.values():
            source.wake.up(trigger, again=True)

    def halt(self) -> None:
        """End the syncs under way: a running git is killed, its fetch is done again by the next process."""
        for source in self.following.values():
            source.mirror.halt()
            source.wake.up("stop")

    def join(self, seconds: float) -> None:
        """Wait at most `seconds` for the sources' threads, after `stop` was set and `halt` called."""
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def close(self) -> None:
        for stop in reversed(self._stops):
            stop()

    def unread(self) -> list[str]:
        """The sources that were not read yet since the start, successfully or not."""
        return [name for name, source in self.following.items() if not source.read_once.is_set()]

    def marked(self, name: str, generation: int) -> None:
        """This replica's webhook stored a sync request."""
        source = self.following.get(name)
        if source is not None:
            source.wake.up("webhook", generation=generation)

    def joined(self, name: str) -> int:
        """A delivery for a source: the generation of the sync request that no sync of it has begun for, 0 where none waits."""
        source = self.following.get(name)
        return source.wake.joined() if source is not None else 0

    def noticed(self, item: Object) -> None:
        """A source object changed: a sync request by a webhook of any replica, or by `nidus sync` (W3)."""
        source = self.following.get(str(item["metadata"]["name"]))
        if source is None:
            return
        now = time.time_ns()
        resync = sync_requests.read(item, sync_requests.RESYNC, now)
        if resync > source.wake.resync:
            source.wake.up("sync", forced=True, resync=resync)
            self.lists.ask()
        requested = sync_requests.read(item, sync_requests.REQUESTED, now)
        if requested > source.wake.generation:
            source.wake.up("webhook", generation=requested)

    def astray(self) -> None:
        """Wake sources that were read and have a record of a cluster without an assignment: its last pass ended after
        its file was gone."""
        here = set(self._registry.names())
        for record in self._registry.records().values():
            source = self.following.get(record.source)
            over = record.tombstone is not None and record.tombstone.done
            if source is not None and source.followed and record.cluster not in here and not over:
                source.wake.up("record", again=True)

    def read(self, source: str, oids: Collection[str]) -> dict[str, bytes]:
        """Blobs by id: engine charts from the settings, all else from the mirror of `source`, or from another that holds it. Raises
        Stalled("ContentUnreadable").

        Others are asked only for what their own source lacks: a mirror answers nobody while its own fetch hangs.
        """
        charts = self._settings.charts
        found = {oid: charts[oid] for oid in oids if oid in charts}
        missing = [oid for oid in oids if oid not in found]
        for one in sorted(self.following.values(), key=lambda one: one.config.name != source):
            if not missing:
                break
            try:
                found.update(one.read(missing))
                missing = []
            except Stalled:
                continue
        if missing:
            raise Stalled(f"{len(missing)} files of an accepted commit cannot be read", reason="ContentUnreadable")
        return found

    def woken(self, wakes: Wakes) -> None:
        """After a pass: report the source whose commit is Ready everywhere now (T3), and wake the one that should admit
        its tree again."""
        if wakes.admit in self.following:
            self.following[wakes.admit].wake.up("versions", again=True)
        self._reporter.stage(wakes.complete, "ready", time.time(), wakes.revision)

    def consented(self, name: str, clusters: Collection[str]) -> None:
        """What a merge was shown to destroy was approved: its clusters go on, and admission, which may hold removals."""
        for key in clusters:
            self._queue.forget(key)
            self._queue.add(key)
        self.following[name].wake.up("review", again=True)

    def freed(self, *names: str) -> None:
        """No cluster has these names any more (its own, or of hosts): sources that wait for one admit their tree again."""
        with self._lock:
            for free in self._freed.values():
                free.update(names)
            waiting = [source for source, taken in self._taken.items() if not taken.isdisjoint(names)]
        for source in waiting:
            self.following[source].wake.up("name", again=True)

    def mended(self, name: str) -> None:
        """The record of a cluster can be read again: its source reads its accepted content and admits its tree again, in
        its own thread."""
        record = self._registry.records().get(name)
        for source in self.following.values():
            if record is None or record.source == source.config.name:
                source.wake.up("record", again=True, recall=True)

    def sweep(self) -> None:
        """Delete the status objects of clusters and sources that no longer exist."""
        read = [
            name for name, source in self.following.items() if source.followed
        ]  # first: a source read later says more
        self._reporter.keep(self._registry.shown(), self.following.keys(), read)

    def _recalled(self, source: str, found: Recalled) -> None:
        """Accepted contents were read again from the pinned commits (S8). A cluster whose content cannot be read stays
        as it is on the host."""
        for name, why in found.missing.items():
            log.line("AcceptedUnreadable", cluster=name, source=source, message=why)
        self._registry.remember(found.contents)

    def _revise(self, snapshot: Snapshot, forced: bool) -> Rollout:
        with self._lock:
            self._freed[snapshot.source] = set()
        before = fleet.names(self._registry.accepted(snapshot.source))
        with border.contained("admission", snapshot.source):
            rollout, changed = self._registry.revise(snapshot, time.time())
        keys = self._registry.names(snapshot.source) if forced else changed
        for key in keys:  # before anything else: admitted again, the same tree changes none of them
            self._queue.forget(key)
            self._queue.add(key, bulk=len(keys) > SMALL)
        self._wait_for(snapshot.source, frozenset().union(*(why.waits_for for why in rollout.held.values())))
        self.freed(*(before - fleet.names(self._registry.accepted(snapshot.source))))
        for name, content in rollout.admitted.items():
            self._reporter.place(name, snapshot.source, content.specs.clusters[name].path)
        self._admitted(snapshot.source)
        return rollout

    def _list(self) -> None:
        """List the host anew, for the sync requests that were made until now: no push waits for that (R1, S2)."""
        asked = {name: source.wake.resync for name, source in self.following.items()}
        if not self._refresh():
            log.line("HostNotListed", level="warning")
        for name, resync in asked.items():
            self.following[name].wake.listed(resync)

    def _wait_for(self, source: str, taken: frozenset[str]) -> None:
        """The source waits for these names. One that became free since its tree was admitted wakes it at once."""
        with self._lock:
            self._taken[source] = taken
            free = taken & self._freed.pop(source, set())
        if free:
            self.following[source].wake.up("name", again=True)

    def _stand(self, source: str) -> None:
        """Enforce accepted contents: Git cannot be read, and nothing was read since the start (S4)."""
        for key in self._registry.stand(source):
            self._queue.add(key, bulk=True)

    def _tell(self, report: SourceReport) -> None:
        for stage, at in report.stages[1:]:
            self._reporter.metrics.stage(stage, at - report.stages[0][1])
        config = self.following[report.source].config
        report = replace(report, changing=self._registry.changing(report.source))
        self._reporter.source(report, {"url": config.url, "branch": config.branch, "path": config.path})
        if not report.error:
            self._synced(report)
            self.sweep()


def _local(config: SourceConfig) -> Path | None:
    """The folder of a local repository."""
    if config.url.startswith("file://"):
        return Path(config.url.removeprefix("file://"))
    return Path(config.url) if "://" not in config.url and Path(config.url).is_dir() else None
