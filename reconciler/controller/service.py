"""The composition root: sources -> board -> queue -> workers -> reports; start, stop, heartbeat. The only place that knows every room."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from reconciler import fleet
from reconciler.controller import http, listeners, pulse
from reconciler.controller.board import Board
from reconciler.controller.eyes import Eyes
from reconciler.controller.intake import Intake
from reconciler.controller.lease import Lease
from reconciler.controller.pulse import Sign
from reconciler.controller.queue import Queue
from reconciler.controller.workers import Tools, Workers
from reconciler.errors import LeaseLost, NidusError
from reconciler.inventory import requests as asked
from reconciler.inventory.salt import salt
from reconciler.inventory.store import State, Store
from reconciler.kube import edge
from reconciler.packs.render import Renderer
from reconciler.report import Reporter, log
from reconciler.settings import Settings
from reconciler.spec import units

LEASE = "nidus"
STALL = 180.0  # seconds a worker may be without a sign of life: longer than any single call or render may take (H3)
SYNC_STALL = 900.0  # seconds one sync of a source may take: several commands of git, each with its own deadline
STALE = 300.0  # seconds without a watch on the host before this process no longer says that it can answer
GRACE = 20.0  # seconds a stop gives the passes under way (H2)


class Service:
    """One controller process. `start` returns once it holds the Lease and watches the host; `stop` once nothing of it runs."""

    def __init__(self, settings: Settings, *, listens: bool = True) -> None:
        self.settings = settings
        self._listens = listens
        self._leading = False
        self._hearing = threading.Lock()
        config = settings.config
        self._stop = threading.Event()
        self._stops: list[Callable[[], None]] = []
        self._signs: tuple[Sign, ...] = ()
        self.bare = edge.host(config.host)
        duration = units.duration(config.lease.duration)
        self.lease = Lease(self.bare, config.namespace, LEASE, settings.identity, duration, on_lost=pulse.die)
        self.host = self.bare.fenced(self.lease.fence)
        self.reporter = Reporter(self.host, config.namespace, settings.identity)
        self.queue = Queue()
        self.renderer = Renderer(workers=2)
        self.intake: Intake | None = None
        self.eyes: Eyes | None = None
        self.workers: Workers | None = None

    def start(self) -> None:
        """Take the Lease, read what is known, watch, serve. Raises NidusError where the host or the configuration is not usable."""
        pulse.be_loud()
        if self._listens:
            self._serve()
        if not self.lease.acquire() or self._stop.is_set():
            return
        self._leading = True
        self._lead()
        pulse.watch(self._stalled, self._stop)
        log.line("Started", identity=self.settings.identity, host=self.board.policy.host_version)

    def _lead(self) -> None:
        config = self.settings.config
        store = Store(self.host, config.namespace)
        policy = self.settings.policy(self.host.version())
        self.reporter.statuses.load()
        self.board = Board(policy, self._recalled(store.load()))
        self.board.hear(asked.load(self.host, config.namespace))
        self.intake = intake = Intake(self.settings, self.board, self.queue, self.reporter, self._stop, self._refreshed)
        self._stops.append(intake.close)
        intake.open()
        self.eyes = eyes = Eyes(self.host, self.settings, policy, self.renderer, intake.read, self._woken)
        self._stops.append(eyes.stop)
        eyes.start(intake.noticed)
        tools = Tools(
            store,
            eyes.sight,
            self.reporter,
            salt(self.host, config.namespace),
            eyes.watch,
            eyes.forget,
            lambda: secrets.token_hex(8),
            intake.finished,
        )
        self.workers = Workers(self.board, self.queue, tools, config.workers)
        self._signs = (
            *(Sign(f"source {name}", SYNC_STALL, source.silent) for name, source in intake.sources.items()),
            *(Sign(f"worker {number}", STALL, silent) for number, silent in self.workers.signs()),
        )
        intake.start()
        self.workers.start()

    def _recalled(self, states: dict[str, State]) -> dict[str, State]:
        """Records from before versions were kept, with what their status objects say."""
        said = self.reporter.statuses.said
        return {name: replace(state, record=fleet.recalled(state.record, said(name))) for name, state in states.items()}

    def interrupt(self) -> None:
        """Do not wait for the Lease any more; safe in a signal handler."""
        self._stop.set()
        if not self._leading:
            self.lease.release()

    def settle(self, seconds: float) -> bool:
        """Wait until every cluster is Ready, at most `seconds`; whether they are."""
        deadline = time.monotonic() + seconds
        while self.intake is not None and time.monotonic() < deadline:
            words = {report.word for report in self.reporter.clusters.values()}
            told = len(self.reporter.clusters) >= len(self.board.names())
            if not self.intake.unread() and told and words <= {"Ready", "Suspended"}:
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """Finish the objects in flight, persist, give the Lease back (H2)."""
        self._stop.set()
        self.queue.close()
        if self.intake is not None:
            self.intake.wake("stop")
        if self.workers is not None:
            self.workers.join(GRACE)
        for stop in reversed(self._stops):
            stop()
        self.reporter.close()
        self.renderer.close()
        self.lease.release()
        self.host.close()
        log.line("Stopped", identity=self.settings.identity)

    # Wake-ups

    def _refreshed(self) -> bool:
        return self.eyes is None or self.eyes.refresh()

    def _woken(self, cluster: str) -> None:
        """Something of a cluster moved, or "" = the requests did."""
        if cluster:
            self.queue.add(cluster)
            return
        threading.Thread(target=self._hear, name="requests", daemon=True).start()

    def _hear(self) -> None:
        """Requests changed: what concerns no cluster on the board (removals) is for admission, so the sources look again too."""
        try:
            with self._hearing:  # else an older list could be taken after a newer one
                requests = asked.load(self.host, self.settings.config.namespace)
                touched = self.board.hear(requests)
            for old in asked.spent(requests, time.time()):
                asked.remove(self.host, self.settings.config.namespace, old)
        except NidusError as error:
            log.line("RequestsUnread", message=error.message)
            return
        for key in touched:
            self.queue.forget(key)
            self.queue.add(key)
        if self.intake is not None:
            self.intake.wake("request")

    def _marked(self, source: str, generation: int) -> None:
        if self.intake is not None:
            self.intake.marked(source, generation)

    # Listeners and life

    def _serve(self) -> None:
        """Health and the webhook are served by standbys too: any replica may store a mark (W3)."""
        config = self.settings.config
        views = http.Views(self.reporter, self._stalled, self._not_ready, self.queue.depth)
        self.internal_port, stop = listeners.internal(views, config.server.internal)
        self._stops.append(stop)
        served = listeners.webhook(config, self.bare, self._marked)
        if served is not None:
            self.webhook_port, stop = served
            self._stops.append(stop)

    def _stalled(self) -> str:
        """What has shown no sign of life for too long, "" if nothing (H3). A leader whose Lease ran out should have ended already."""
        lost = ("the lease",) if self._leading and not self._stop.is_set() and not self._holds() else ()
        return ", ".join(filter(None, (*lost, pulse.stalled(self._signs))))

    def _not_ready(self) -> str:
        if not self._holds():
            return "standby: the lease is not held by this process"
        if self.intake is None or self.eyes is None or self.workers is None:
            return "starting"
        unread = self.intake.unread()
        if unread:
            return f"not read yet: {', '.join(unread)}"
        stale = self.eyes.stale()
        return f"the host is not watched for {stale:.0f} s" if stale > STALE else ""

    def _holds(self) -> bool:
        try:
            self.lease.fence()
        except LeaseLost:
            return False
        return True
