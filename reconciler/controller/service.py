"""The composition root: sources -> board -> queue -> workers -> reports; start, stop, heartbeat. The only place that knows every room."""

import os
import secrets
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from reconciler.controller import http, marks, triggers
from reconciler.controller.board import Board
from reconciler.controller.eyes import Eyes
from reconciler.controller.lease import Lease
from reconciler.controller.queue import Queue
from reconciler.controller.sources import Ports, Source
from reconciler.controller.workers import Tools, Workers
from reconciler.errors import LeaseLost, NidusError, Stalled
from reconciler.inventory import requests as asked
from reconciler.inventory.salt import salt
from reconciler.inventory.store import Store
from reconciler.kube import edge
from reconciler.model import Content, Object, Report, Rollout, Snapshot, SourceConfig, SourceReport
from reconciler.packs.render import Renderer
from reconciler.report import Reporter, log
from reconciler.settings import Settings
from reconciler.source.mirror import Mirror
from reconciler.spec import units
from webhook.app import MarkFailed, Route, create_app
from webhook.server import serve

LEASE = "nidus"
STALL = 120.0  # seconds without a sign of life before the process ends itself (H3)
GRACE = 20.0  # seconds a stop gives the passes under way (H2)


class Service:
    """One controller process. `start` returns once it holds the Lease and watches the host; `stop` once nothing of it runs."""

    def __init__(self, settings: Settings, *, listens: bool = True) -> None:
        self.settings = settings
        self._listens = listens
        self._leading = False
        config = settings.config
        self._stop = threading.Event()
        self._stops: list[Callable[[], None]] = []
        bare = edge.host(config.host)
        duration = units.duration(config.lease.duration)
        self.lease = Lease(bare, config.namespace, LEASE, settings.identity, duration, on_lost=_die)
        self.host = bare.fenced(self.lease.fence)
        self.reporter = Reporter(self.host, config.namespace, settings.identity)
        self.queue = Queue()
        self.renderer = Renderer(workers=2)
        self.sources: dict[str, Source] = {}
        self.done = threading.Event()

    def start(self) -> None:
        """Take the Lease, read what is known, watch, serve. Raises NidusError where the host or the configuration is not usable."""
        if self._listens:
            self._serve_internal()
        if not self.lease.acquire() or self._stop.is_set():
            return
        self._leading = True
        config = self.settings.config
        store = Store(self.host, config.namespace)
        self.policy = self.settings.policy(self.host.version())
        self.board = Board(self.policy, store.load())
        self.reporter.statuses.load()
        self.board.hear(asked.load(self.host, config.namespace))
        self.eyes = Eyes(self.host, self.settings, self.policy, self.renderer, self._read, self._woken)
        self._stops.append(self.eyes.stop)
        self.eyes.start(self._source_event)
        tools = Tools(
            store,
            self.eyes.sight,
            self.reporter,
            salt(self.host, config.namespace),
            self.eyes.watch,
            self.eyes.forget,
            lambda: secrets.token_hex(8),
            self._finished,
        )
        self.workers = Workers(self.board, self.queue, tools, config.workers)
        self._open_sources()
        if self._listens:
            self._serve_webhook()
        self.workers.start()
        threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True).start()
        log.line("Started", identity=self.settings.identity, host=self.policy.host_version)

    def interrupt(self) -> None:
        """Do not wait for the Lease any more; safe in a signal handler."""
        self._stop.set()
        if not self._leading:
            self.lease.release()

    def settle(self, seconds: float) -> bool:
        """Wait until every cluster is Ready, at most `seconds`; whether they are."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            words = {report.word for report in self.reporter.clusters.values()}
            read = all(source.read_once.is_set() for source in self.sources.values())
            if read and len(self.reporter.clusters) >= len(self.board.names()) and words <= {"Ready", "Suspended"}:
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """Finish the objects in flight, persist, give the Lease back (H2)."""
        self._stop.set()
        self.queue.close()
        for source in self.sources.values():
            source.wake.up("stop")
        if hasattr(self, "workers"):
            self.workers.join(GRACE)
        for stop in reversed(self._stops):
            stop()
        self.reporter.close()
        self.renderer.close()
        self.lease.release()
        self.host.close()
        log.line("Stopped", identity=self.settings.identity)

    # Sources

    def _open_sources(self) -> None:
        ports = Ports(self._revise, self._tell_source, self.board.accepted, self.board.records)
        local: dict[str, Path] = {}
        for config in self.settings.config.sources:
            mirror = Mirror.open(config, self.settings.data / "mirrors" / config.name, limits=self.settings.limits)
            source = Source(config, mirror, self.policy, self.settings.limits, ports)
            self.sources[config.name] = source
            self._stops.append(mirror.close)
            if config.webhook is None and _local(config) is not None:
                local[config.name] = Path(str(_local(config)))
            self._recall(source)
            threading.Thread(target=source.run, args=(self._stop,), name=f"source-{config.name}", daemon=True).start()
        if local:
            self._stops.append(triggers.watch(local, lambda name: self.sources[name].wake.up("watch")))

    def _recall(self, source: Source) -> None:
        """What clusters were accepted at, read again from the pinned commits (S8); what cannot be read stays as it is on the host."""
        contents: dict[str, Content] = {}
        by_commit: dict[str, Content] = {}
        for name, commit in self._commits(source.config.name).items():
            try:
                if commit not in by_commit:
                    by_commit[commit] = source.content_at(commit)
                contents[name] = by_commit[commit]
            except NidusError as error:
                log.line("AcceptedUnreadable", cluster=name, source=source.config.name, message=error.message)
        self.board.remember({name: content for name, content in contents.items() if name in content.specs.clusters})

    def _revise(self, snapshot: Snapshot, forced: bool) -> Rollout:
        rollout, changed = self.board.revise(snapshot, time.time())
        keys = self.board.names() if forced else changed
        for key in keys:
            self.queue.forget(key)
            self.queue.add(key)
        if rollout.next_at is not None:
            delay = max(1.0, rollout.next_at - time.time())
            timer = threading.Timer(delay, lambda: self.sources[snapshot.source].wake.up("due", again=True))
            timer.daemon = True
            timer.start()
        return rollout

    def _commits(self, source: str) -> dict[str, str]:
        records = self.board.records()
        return {name: record.commit for name, record in records.items() if record.source == source and record.commit}

    def _tell_source(self, report: SourceReport) -> None:
        config = next(one for one in self.settings.config.sources if one.name == report.source)
        seen = dict(report.stages).get("seen", time.time())
        for stage, at in report.stages[1:]:
            self.reporter.metrics.stage(stage, at - seen)
        self.reporter.source(report, {"url": config.url, "branch": config.branch, "path": config.path})

    def _finished(self, report: Report) -> None:
        """The last cluster of a revision became Ready: the story of the commit is complete (T3)."""
        if report.word != "Ready" or not self.board.ready(report.cluster):
            return
        found = self.board.slot(report.cluster)
        known = self.reporter.sources.get(found[0].source) if found else None
        if known is not None:
            self._tell_source(_with_stage(known, "ready", time.time()))

    def _read(self, oids: Collection[str]) -> dict[str, bytes]:
        """Blobs by id: engine charts from the settings, all else from whichever mirror holds it."""
        charts = self.settings.charts
        found = {oid: charts[oid] for oid in oids if oid in charts}
        missing = [oid for oid in oids if oid not in found]
        for source in self.sources.values():
            if not missing:
                break
            try:
                found.update(source.read(missing))
                missing = []
            except Stalled:
                continue
        if missing:
            raise Stalled(f"{len(missing)} files of an accepted commit cannot be read", reason="ContentUnreadable")
        return found

    # Wake-ups

    def _woken(self, cluster: str) -> None:
        """Something of a cluster moved, or "" = the requests did."""
        if cluster:
            self.queue.add(cluster)
            return
        threading.Thread(target=self._hear, name="requests", daemon=True).start()

    def _hear(self) -> None:
        """Requests changed: what concerns no cluster on the board (removals) is for admission, so the sources look again too."""
        try:
            touched = self.board.hear(asked.load(self.host, self.settings.config.namespace))
        except NidusError as error:
            log.line("RequestsUnread", message=error.message)
            return
        for key in touched:
            self.queue.forget(key)
            self.queue.add(key)
        for source in self.sources.values():
            source.wake.up("request", again=True)

    def _source_event(self, item: Object) -> None:
        """A mark was stored, by this replica's webhook or another's, or by `nidus sync` (W3)."""
        source = self.sources.get(str(item["metadata"]["name"]))
        if source is None:
            return
        requested, resync = marks.read(item, marks.REQUESTED), marks.read(item, marks.RESYNC)
        if resync > source.resynced:
            source.resynced = resync
            source.wake.up("sync", forced=True, generation=resync)
        elif requested > source.wake.generation:
            source.wake.up("webhook", generation=requested)

    # Listeners and life

    def _serve_internal(self) -> None:
        views = http.Views(self.reporter, self._stalled, self._not_ready, self.queue.depth)
        port, stop = serve(http.create_app(views), self.settings.config.server.internal)
        self.internal_port = port
        self._stops.append(stop)

    def _serve_webhook(self) -> None:
        routes, markers = {}, {}
        for config in self.settings.config.sources:
            if config.webhook is None:
                continue
            secret = partial(_secrets, [Path(name) for name in config.webhook.secret_files])
            routes[config.name + config.webhook.suffix] = Route(config.name, config.webhook.provider, secret)
            woken = partial(self._marked, config.name)
            markers[config.name] = marks.Marker(self.host, self.settings.config.namespace, config.name, woken)
        if not routes:
            return

        def mark(source: str, refs: tuple[str, ...]) -> None:
            wanted = f"refs/heads/{self.sources[source].config.branch}"
            if wanted not in refs:
                return
            try:
                markers[source].mark()
            except NidusError as error:
                raise MarkFailed(error.reason) from error

        self.webhook_port, stop = serve(create_app(routes, mark), self.settings.config.server.webhook)
        self._stops.append(stop)

    def _marked(self, source: str, generation: int) -> None:
        self.sources[source].wake.up("webhook", generation=generation)

    def _heartbeat(self) -> None:
        while not self._stop.wait(5.0):
            problem = self._stalled()
            if problem:
                log.line("Stalled", message=problem, level="error")
                _die(problem)

    def _stalled(self) -> str:
        """What has shown no sign of life for too long, "" if nothing (H3)."""
        now = time.monotonic()
        beats = dict(self.workers.beats) if hasattr(self, "workers") else {}
        late = [f"worker {number}" for number, beat in beats.items() if now - beat > STALL]
        return ", ".join(late)

    def _not_ready(self) -> str:
        try:
            self.lease.fence()
        except LeaseLost:
            return "standby: the lease is not held by this process"
        waiting = [name for name, source in self.sources.items() if not source.read_once.is_set()]
        return f"not read yet: {', '.join(waiting)}" if waiting or not self.sources else ""


def _with_stage(report: SourceReport, name: str, at: float) -> SourceReport:
    return replace(report, stages=(*report.stages, (name, at)))


def _local(config: SourceConfig) -> Path | None:
    if config.url.startswith("file://"):
        return Path(config.url.removeprefix("file://"))
    return Path(config.url) if "://" not in config.url and Path(config.url).is_dir() else None


def _secrets(files: list[Path]) -> tuple[bytes, ...]:
    """The secrets valid now; a file that is missing is no secret (rotation)."""
    return tuple(file.read_bytes().strip() for file in files if file.is_file())


def _die(why: str) -> None:
    """End at once: nothing may be written any more (H1, H3)."""
    log.line("Exiting", message=why, level="error")
    os._exit(70)
