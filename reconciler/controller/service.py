"""The composition root: sources -> registry -> queue -> workers -> reports; start and stop. The only module that knows
all packages of the controller."""

import secrets
import threading
import time
from collections.abc import Callable
from functools import partial

from reconciler.controller import (
    border,
    configuration,
    confinement,
    contents,
    dashboard,
    http,
    listeners,
    liveness,
    requests,
    sampler,
    verify,
)
from reconciler.controller.change_loops import ChangeLoops
from reconciler.controller.checks import Checks, Remembered
from reconciler.controller.configuration import Configuration
from reconciler.controller.leadership import LEASE, Lease
from reconciler.controller.liveness import Sign
from reconciler.controller.probes import Probes
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.controller.rounds import Rounds
from reconciler.controller.sources import Sources
from reconciler.controller.watches import USUAL, Intervals, Watches
from reconciler.controller.workers import Tools, Workers
from reconciler.inventory import requests as asked
from reconciler.inventory.salt import salt
from reconciler.inventory.store import Store
from reconciler.kube import edge
from reconciler.model import Object
from reconciler.report import Reporter, log
from reconciler.settings import Settings
from reconciler.spec import units

STALL = 180.0  # seconds a worker may not move: longer than any single call or render may take (H3)
SYNC_STALL = 900.0  # seconds one sync of a source may take: several commands of git, each with its own deadline
LISTENER_STALL = 60.0  # seconds the loop of a listener may not move: it never works for a request itself
STALE = 300.0  # seconds without a watch on the host before a leader says so
GRACE = 20.0  # seconds a stop gives the passes under way (H2)
LAST = 45.0  # seconds a stop may take in all: less than the terminationGracePeriodSeconds of deploy/chart


class Service:
    """One controller process. `start` returns when it holds the Lease and watches the host; `stop` when all its threads
    have ended."""

    def __init__(self, settings: Settings, *, listens: bool = True, intervals: Intervals = USUAL) -> None:
        self.settings = settings
        self._intervals = intervals
        self._listens = listens
        self._leading = self._serving = self._ended = False
        config = settings.config
        self._stop = threading.Event()
        self._stops: list[Callable[[], None]] = []
        self._heartbeat: threading.Thread | None = None
        self._signs: tuple[Sign, ...] = ()
        self.bare = edge.host(config.host)
        duration = units.duration(config.lease.duration)
        self.lease = Lease(self.bare, config.namespace, LEASE, settings.identity, duration, on_lost=liveness.die)
        self.host = self.bare.fenced(self.lease.fence)
        self.reporter = Reporter(self.host, config.namespace, settings.identity, outward=config.outward)
        self.reporter.metrics.leads(self.lease.held)
        of = lambda cluster: self.registry.source_of(cluster)  # noqa: E731
        self.queue = Queue(workers=config.workers, held=self._held, source=of, several=len(config.sources) > 1)
        self.content = contents.opened(settings, self._woken)
        self.renderer = contents.renderer(settings, self.content)
        self.sources: Sources | None = None
        self.watches: Watches | None = None
        self.workers: Workers | None = None
        self.changes: ChangeLoops | None = None
        self._rounds, self._confined = tuple[Rounds, ...](), confinement.UNKNOWN
        self._configuration = Configuration(settings)
        self.ports: dict[str, int] = {}  # of the listeners that are configured
        self.webhooks = listeners.webhooks(config.sources if listens else ())

    def start(self) -> None:
        """Take the Lease, read what is known, watch, serve. Raises NidusError where the host or the configuration is not usable."""
        liveness.be_loud()
        if self._listens:
            self._serve()
        self._heartbeat = liveness.watch(self._stalled, self._stop)
        if not self.lease.acquire(waiting=log.standby) or self._stop.is_set():
            return
        self._leading = True
        self._lead()
        shown = dashboard.address(self.settings.config, self.ports.get("dashboard"))
        log.line("Started", identity=self.settings.identity, host=self.registry.facts.version, dashboard=shown)

    def _lead(self) -> None:
        self._configured()  # a standby may have waited for days
        config = self.settings.config
        store = Store(self.host, config.namespace)
        rules, facts = self.settings.rules, self.settings.facts(self.host.version())
        loaded = store.load()
        self.reporter.load()
        self.registry = Registry(rules, facts, loaded.recalled(self.reporter.statuses.said).states, loaded.held)
        verify.tell(self.reporter, self.registry)
        self.registry.hear(asked.load(self.host, config.namespace, self.registry.known(), time.time()).standing)
        self.sources = sources = Sources(
            self.settings,
            self.registry,
            self.queue,
            self.reporter,
            self._stop,
            self._refreshed,
            self._changed,
            self.webhooks.synced,
        )
        self._stops.append(sources.close)
        sources.open()
        self.checks = checks = self._made_checks(store, sources)
        self._edited = Rounds("configuration", self._configured, self._stop, every=configuration.EVERY)
        measured, halt = sampler.begin(
            self.host, lambda: self.settings.config, self.registry, self.reporter.metrics, self._stop
        )
        self._stops.append(halt)
        self._rounds = (*checks.all, sources.lists, self._edited, *measured)
        given = (self.settings, facts, self.renderer, sources.read, self.registry.lists, self._woken, self._intervals)
        self.watches = watches = Watches(self.host, *given)
        self._stops.append(watches.stop)
        watches.start(self._noticed, checks.notice)
        salted = salt(self.host, config.namespace)
        self.workers = Workers(self.registry, self.queue, self._tools(store, watches, sources, salted), config.workers)
        self.changes = changes = ChangeLoops(
            self.settings, self.host, self.registry, watches, salted, self._stop, self.reporter, sources.consented,
            self.content,
        )  # fmt: skip
        changes.open()
        self._signs += (
            *(Sign(f"source {name}", SYNC_STALL, source.silent) for name, source in sources.following.items()),
            *(Sign(f"worker {number}", STALL, silent) for number, silent in self.workers.signs()),
            *(Sign(one.name, STALL, one.silent) for one in self._rounds),
        )
        confinement.start(self.renderer, self.reporter, self._confines)
        sources.start()
        self.workers.start()
        for one in self._rounds:
            one.start()
        changes.start()
        self._signs += tuple(Sign(f"changes {name}", SYNC_STALL, one.silent) for name, one in changes.rounds.items())

    def _confines(self, words: str) -> None:
        self._confined = words

    def _configured(self) -> None:
        """Take what changed in the configuration file since it was read, and tell it."""
        before, verdict = self.settings, self._configuration.look()
        self.settings = self._configuration.settings
        if self.sources is not None and self.settings is not before:
            self.sources.govern(self.settings)
            self.content.govern(contents.means(self.settings))
        if verdict is not None:
            self.reporter.configuration(verdict.reason, verdict.told, verdict.problem)

    def _tools(self, store: Store, watches: Watches, sources: Sources, salted: bytes) -> Tools:
        given = (store, watches.reader, self.reporter, salted, watches.watch, watches.forget)
        return Tools(*given, lambda: secrets.token_hex(8), sources.woken, sources.freed, probes=Probes(self.queue.add))

    def _made_checks(self, store: Store, sources: Sources) -> Checks:
        def hear() -> None:
            wake = partial(sources.wake, "request")
            where = self.settings.config.namespace
            requests.heard(self.host, where, self.registry, self.queue, wake, self.reporter.requests)

        return Checks(Remembered(store, self.registry, self.queue, self.reporter, sources), hear, self._stop)

    def interrupt(self) -> None:
        """Stop waiting for the Lease. Not for a signal's handler: it takes locks."""
        self._stop.set()
        if not self._leading:
            self.lease.release()

    def stop(self) -> None:
        """Finish the objects in flight, persist, give the Lease back (H2). Calling it twice does nothing."""
        if self._ended:
            return
        self._ended = True
        self._stop.set()
        with liveness.ending(self._heartbeat, LAST):
            self._end()
        log.line("Stopped", identity=self.settings.identity)

    def _end(self) -> None:
        self.queue.close()
        ends = time.monotonic() + GRACE
        if self.sources is not None:
            self.sources.halt()
        if self.changes is not None:
            self.changes.halt()
        ended = self.workers is None or self.workers.join(max(0.0, ends - time.monotonic()))
        for one in self._rounds:
            one.end(max(0.0, ends - time.monotonic()))
        for ending in (self.changes, self.sources):
            if ending is not None:
                ending.join(max(1.0, ends - time.monotonic()))
        for stop in reversed(self._stops):
            stop()
        self.reporter.close()
        self.renderer.close()
        self.content.close()
        self.lease.release(give_back=ended)
        self.host.close()

    # Wakes

    def _refreshed(self) -> bool:
        self.checks.compare.ask()
        return self.watches is None or self.watches.refresh()

    def _held(self, cluster: str) -> bool:
        """Whether the pass of a cluster waits: for its API server, or for a render."""
        return self.renderer.holds(cluster) or (self.watches is not None and self.watches.holds(cluster))

    def _woken(self, cluster: str) -> None:
        """An object of a cluster changed; "" = requests changed."""
        if cluster:
            self.queue.add(cluster)
            if self.changes is not None:
                self.changes.moved(cluster)
        else:
            self.checks.requests.ask()

    def _noticed(self, item: Object) -> None:
        with border.dropped("listener"):
            self.reporter.statuses.hear(item)
            if self.sources is not None:
                self.sources.noticed(item)
            if self.changes is not None:
                self.changes.marked(item)

    def _marked(self, source: str, generation: int) -> None:
        if self.sources is not None:
            self.sources.marked(source, generation)

    def _changed(self, source: str, generation: int = 0) -> None:
        """A change request of a source moved, or without a generation its branch."""
        if self.changes is not None:
            self.changes.asked(source, generation)

    # Listeners and life

    def _serve(self) -> None:
        """Serve health and the webhook, also on standbys: any replica may store a sync request (W3)."""
        settings = self.settings
        views = http.Views(
            self.reporter, self._stalled, self._not_ready, self.queue.depth, self._process, self.webhooks.told,
            lambda: self.changes.told() if self.changes else [],
            lambda source, number: self.changes.whole(source, number) if self.changes else None,
            lambda: {self.registry.facts.name: self.registry.facts.version} if self.workers else {},
        )  # fmt: skip
        internal = listeners.internal(views, settings.config, self.bare)
        self._stops.append(internal.stop)
        self._signs = (Sign("internal listener", LISTENER_STALL, internal.silent),)
        joined = lambda source: self.sources.joined(source) if self.sources else 0  # noqa: E731
        webhook = listeners.webhook(settings.config, self.bare, self._marked, self._changed, joined, self.webhooks)
        shown = dashboard.served(views, settings, self.bare, lambda: self.registry.requests() if self.workers else ())
        for name, one in (("webhook", webhook), ("dashboard", shown)):
            if one is not None:
                self._stops.append(one.stop)
                self._signs += (Sign(f"{name} listener", LISTENER_STALL, one.silent),)
                self.ports[name] = one.port
        self.internal_port = internal.port  # last: it says that all listen
        self._serving = True

    def _stalled(self) -> str:
        """The loops that did not move for too long, "" if none (H3). A leader without a Lease should have ended already."""
        lost = ("the lease",) if self._leading and not self._stop.is_set() and not self.lease.held() else ()
        return ", ".join(filter(None, (*lost, liveness.stalled(self._signs))))

    def _not_ready(self) -> str:
        """Why this process is not ready, "" if it is. A standby stores sync requests of webhooks like the leader, so it
        is ready too (W3)."""
        if self._stop.is_set():
            return "stopping"
        if not self._serving:
            return "starting"
        return "" if self.lease.answered.is_set() else "the host has not answered yet"

    def _process(self) -> http.Process:
        return http.Process(self.settings.identity, self.lease.held(), self.lease.holder, self._waits(), self._confined)

    def _waits(self) -> str:
        """What a leader has not done yet or cannot do; "" where it does everything."""
        if not self.lease.held():
            return "the Lease"
        if self.sources is None or self.watches is None or self.workers is None:
            return "starting"
        if unread := self.sources.unread():
            return f"not read yet: {', '.join(unread)}"
        stale = self.watches.stale()
        return f"the host is not watched for {stale:.0f} s" if stale > STALE else ""
