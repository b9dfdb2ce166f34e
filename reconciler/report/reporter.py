"""The one place that turns a report into status, events, metrics and log lines."""

import threading
from collections.abc import Mapping
from typing import Any

from reconciler.errors import NidusError
from reconciler.kube.client import Client
from reconciler.model import Report, SourceReport
from reconciler.report import log, transitions
from reconciler.report.events import Events
from reconciler.report.metrics import Metrics
from reconciler.report.statuses import Statuses


class Reporter:
    """Holds the last report of each cluster and source; memory grows with the clusters that exist."""

    def __init__(self, client: Client, namespace: str, instance: str) -> None:
        self.metrics = Metrics()
        self.statuses = Statuses(client, namespace)
        self._events = Events(client, namespace, instance)
        self._lock = threading.Lock()
        self.clusters: dict[str, Report] = {}
        self.sources: dict[str, SourceReport] = {}

    def cluster(self, report: Report, *, source: str, path: str, seconds: float, extra: Mapping[str, Any]) -> None:
        """Tell what a pass came to. A status that cannot be written is told by the log; the next pass says it again."""
        with self._lock:
            before = self.clusters.get(report.cluster)
            self.clusters[report.cluster] = report
        for one in transitions.between(before, report, self.statuses.told(report.cluster)):
            log.transition(one)
            self._events.transition(one)
            self.metrics.transition(one)
        self.metrics.cluster(report, seconds)
        try:
            self.statuses.cluster(report, source, path, extra)
        except NidusError as error:
            log.line("StatusFailed", cluster=report.cluster, message=error.message)

    def source(self, report: SourceReport, spec: Mapping[str, Any]) -> None:
        with self._lock:
            before = self.sources.get(report.source)
            self.sources[report.source] = report
        self.metrics.source(report)
        if before is None or (before.revision, before.error, before.held) != (
            report.revision,
            report.error,
            report.held,
        ):
            log.line(
                "SourceFailed" if report.error else "SourceRead",
                source=report.source,
                revision=report.revision,
                message=report.error,
                violations=len(report.violations),
                trigger=report.trigger,
            )
        try:
            self.statuses.source(report, spec)
        except NidusError as error:
            log.line("StatusFailed", source=report.source, message=error.message)

    def gone(self, cluster: str) -> None:
        """A cluster is over and leaves nothing to say."""
        with self._lock:
            self.clusters.pop(cluster, None)
        self.metrics.gone(cluster)
        self.statuses.gone(cluster)

    def close(self) -> None:
        self._events.close()
