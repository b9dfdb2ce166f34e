"""Turns a report into a view, and the view into status, Events, metrics and log lines."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from reconciler.kube.client import Client
from reconciler.model import Outward, Report, SourceReport, replace
from reconciler.notices import Notices
from reconciler.notices.pending import Notice
from reconciler.report import bugs, life, log, traces, transitions, view
from reconciler.report.events import Events
from reconciler.report.histories import Histories
from reconciler.report.metrics import Metrics
from reconciler.report.outbox import FIRST
from reconciler.report.statuses import Statuses
from reconciler.report.traces import Pass
from reconciler.report.transitions import Transition
from reconciler.report.view import ClusterView, Place, SourceView

NOBODY: Final = Outward()
NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class Reporter:
    """Holds the last view of each cluster and source: `clusters` and `sources` by name. Nothing here waits for the API server.
    `first`: seconds until a status that could not be written is tried again; `outward`: who else is told. Raises UsageError where
    traces cannot be made."""

    def __init__(
        self, client: Client, namespace: str, instance: str, first: float = FIRST, outward: Outward = NOBODY
    ) -> None:
        self.statuses = Statuses(client, namespace, first)
        self.metrics = Metrics(self.statuses.waiting)
        self.histories = Histories(client, namespace)
        self._traces = traces.opened(outward.traces, instance)
        self._notices = Notices(outward.notify, outward.url, self._noticed, self._bug)
        self._events = Events(client, namespace, instance, self.statuses.uid)
        self._lock = threading.Lock()
        self._told: dict[str, ClusterView] = {}
        self._early: dict[tuple[str, str], dict[str, float]] = {}
        self._read: dict[str, SourceView] = {}
        self.clusters: dict[str, ClusterView] = {}
        self.sources: dict[str, SourceView] = {}
        self._confined = self._configuration = ""
        self.heard: Callable[[str], None] | None = None
        """Told of each cluster and source whose view changed, as clusters/NAME or sources/NAME; returns at once"""

    def load(self) -> None:
        """Read the status objects of the process before, so that nothing is reported twice. Raises ApiError."""
        clusters, sources = self.statuses.load()
        with self._lock:
            self._told = {one.cluster: one for one in clusters}
            self._read = {one.source: one for one in sources}

    def cluster(self, report: Report, place: Place, seconds: float = 0.0, number: int = 0) -> None:
        """Report a pass. The report and its objects are not kept; the status is written in the background. `number`: the change
        request that its revision merged, 0 for none."""
        with self._lock:
            before = self.clusters.get(report.cluster) or self._told.pop(report.cluster, None)
            read = self.sources.get(place.source)
            authored = read.authored if read and read.revision == str(report.revision) else None
            if read and place.removal and place.removal.revision == read.revision:
                place = replace(place, removal=life.signed(place.removal, read.authored))
            now = time.time()
            after = view.cluster(report, before, place, now, authored)
            self._keep(before, after)
            stages = dict(read.stages) if read and read.revision == after.attempted else {}
            self.histories.cluster(before, after, stages, number)
            if self._traces is not None and read is not None:
                self._traces.passed(read, after.attempted, Pass(report.cluster, now - seconds, now, after.word))
        for one in transitions.between(before, report):
            log.transition(one)
            self._events.transition(one)
            self.metrics.transition(one)
            self._notice(one, place.source, after.labels)
        self.metrics.cluster(after, report, seconds)

    def source(self, report: SourceReport, spec: Mapping[str, Any]) -> None:
        """Report a sync. `spec` is url, branch and path as they are configured."""
        with self._lock:
            before = self.sources.get(report.source)
            known = before or self._read.get(report.source)
            after = view.source(report, known, spec)
            after = replace(after, confined=self._confined or after.confined, configuration=self._configuration)
            self._note(after)
            self._sign(after)
            early = self._early.pop((after.source, after.revision), {})
            if known is None or known.revision != after.revision:  # what is left is of revisions before
                self._early = {key: stages for key, stages in self._early.items() if key[0] != after.source}
        for one in transitions.of_source(known, after):
            self._notice(one, after.source)
        self.metrics.source(after)
        for name, at in early.items():
            self.stage(after.source, name, at, after.revision)
        if before is None or (before.revision, before.error, before.held) != (after.revision, after.error, after.held):
            _log(after, report.trigger)

    def _sign(self, read: SourceView) -> None:
        """Say who wrote the revision of clusters whose pass was quicker than the report of their source."""
        for known in list(self.clusters.values()):
            if known.source != read.source or read.authored is None:
                continue
            removal = known.life.removal
            if removal and removal.revision == read.revision and not removal.author:
                signed = life.signed(removal, read.authored)
                self._keep(known, replace(known, life=replace(known.life, removal=signed)))
            elif known.attempted == read.revision and known.authored is None:
                after = replace(known, authored=read.authored)
                self._keep(known, after)
                self.histories.cluster(known, after, {}, 0)

    def confined(self, held: Collection[str]) -> None:
        """What keeps the render workers from the network, of `packs.confine`'s names; nothing is rendered where nothing does."""
        with self._lock:
            self._confined = " and ".join(held) or "none"
            for known in list(self.sources.values()):
                self._note(replace(known, confined=self._confined))
        self.metrics.confined(held)

    def configuration(self, reason: str, told: str, problem: str) -> None:
        """What became of an edit of the controller's configuration. `problem`: why the file is not in force as a whole, "" where it is."""
        with self._lock:
            self._configuration = problem
            for known in list(self.sources.values()):
                self._note(replace(known, configuration=problem))
        log.line(reason, message=told, level="error" if problem else "info")
        self._happened(Transition("", "", reason, told, warning=bool(problem)))
        self.metrics.configuration(not problem)

    def requests(self, told: str) -> None:
        """Requests of people are left out, because there are too many."""
        log.line("TooManyRequests", message=told, level="error")
        self._happened(Transition("", "", "TooManyRequests", told, warning=True))

    def place(self, cluster: str, source: str, file: str) -> None:
        """The source and the file of a cluster; nothing is written where they are as before."""
        with self._lock:
            known = self.clusters.get(cluster)
            if known is None or (known.source, known.file) == (source, file):
                return
            self._keep(known, replace(known, source=source, file=file))

    def stage(self, source: str, name: str, at: float, revision: str = "") -> None:
        """One more stage of a revision of a source (T3), "" for that it was read at last, told once; `at` in seconds since the epoch.
        Passes may be quicker than the report that their revision was read: it is kept for that."""
        with self._lock:
            known = self.sources.get(source)
            if revision and (known is None or known.revision != revision):
                self._early.setdefault((source, revision), {}).setdefault(name, at)
                return
            if known is None or (after := view.staged(known, name, at)) is known:
                return
            self._note(after)
        self.metrics.stage(name, at - dict(known.stages).get("seen", at))

    def applied(self, cluster: str) -> str:
        """The revision that was last fully applied, as in the view; "" for none."""
        with self._lock:
            known = self.clusters.get(cluster) or self._told.get(cluster)
            return known.applied if known else ""

    def generation(self, source: str) -> int:
        """The generation of a source that was answered last (W3)."""
        with self._lock:
            known = self.sources.get(source) or self._read.get(source)
            return known.generation if known else 0

    def known(self) -> tuple[dict[str, ClusterView], dict[str, SourceView]]:
        """The last views of all clusters and sources, from this process or the one before."""
        with self._lock:
            return {**self._told, **self.clusters}, {**self._read, **self.sources}

    def told(self, cluster: str) -> ClusterView | None:
        """The last view of a cluster, from this process or the one before."""
        with self._lock:
            return self.clusters.get(cluster) or self._told.get(cluster)

    def gone(self, cluster: str) -> None:
        """A cluster no longer exists: delete its status object; a failure is tried again."""
        with self._lock:
            self.clusters.pop(cluster, None)
            self._told.pop(cluster, None)
            self.statuses.gone("NestedCluster", cluster)
            self.histories.gone(cluster)
        self.metrics.gone(cluster)
        if self.heard is not None:
            self.heard(f"clusters/{cluster}")

    def keep(self, clusters: Collection[str], sources: Collection[str], read: Collection[str]) -> None:
        """Delete the status objects of clusters and sources that no longer exist: no record and no source names them.

        `clusters` and `sources` are all that exist; `read` are the sources that were read since the start: only its own
        source can say that a cluster without a record no longer exists.
        """
        for name, spec in self.statuses.names("NestedCluster").items():
            source = str(spec.get("source", ""))
            if name not in clusters and (source in read or source not in sources):
                self.gone(name)
        for name in self.statuses.names("Source").keys() - set(sources):
            self.statuses.gone("Source", name)

    def _keep(self, before: ClusterView | None, after: ClusterView) -> None:
        """The view of a cluster from now on. Statuses are in the order of the views; nothing is written here."""
        self.clusters[after.cluster] = after
        self.statuses.cluster(after)
        if self.heard is not None and (before is None or replace(before, at=after.at, next_at=after.next_at) != after):
            self.heard(f"clusters/{after.cluster}")

    def _note(self, after: SourceView) -> None:
        """The view of a source from now on."""
        self.sources[after.source] = after
        self.statuses.source(after)
        if self._traces is not None:
            self._traces.source(after)
        if self.heard is not None:
            self.heard(f"sources/{after.source}")

    def _happened(self, one: Transition) -> None:
        """Something of the controller itself."""
        self._events.transition(one)
        self._notice(one)

    def _notice(self, one: Transition, source: str = "", labels: Mapping[str, str] = NO_LABELS) -> None:
        told = (one.reason, one.message, time.time(), one.warning, one.cluster, source, one.revision, labels)
        self._notices.offer(Notice(*told))

    def _noticed(self, channel: str, outcome: str, count: int, why: str) -> None:
        """What became of notices; why not, once each."""
        if count:
            self.metrics.notices(channel, outcome, count)
        if why:
            log.line(
                "NoticesDropped" if outcome == "dropped" else "NoticesFailed",
                channel=channel,
                message=why,
                level="error",
            )

    def _bug(self, error: Exception) -> None:
        bugs.tell("notices", error)

    def close(self) -> None:
        """Wait a few seconds for the last writes, then end."""
        self._notices.close()
        if self._traces is not None:
            self._traces.close()
        self.histories.close()
        self.statuses.close()
        self._events.close()


def _log(after: SourceView, trigger: str) -> None:
    log.line(
        "SourceFailed" if after.error else "SourceRead",
        source=after.source,
        revision=after.revision,
        message=after.error,
        violations=after.violation_count,
        trigger=trigger,
    )
