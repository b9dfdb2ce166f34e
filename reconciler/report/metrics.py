"""Prometheus metrics; names follow the field's conventions, labels never come from the repository except cluster and source names."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reconciler.model import Report, SourceReport
from reconciler.report import bugs
from reconciler.report.transitions import Transition

BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)


class Metrics:
    """The process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(bugs.COUNTED)
        self._transitions = Counter(
            "nidus_transitions_total", "What happened, by reason", ["cluster", "reason"], registry=self.registry
        )
        self._changes = Counter(
            "nidus_changes_total", "Changes carried out, by outcome", ["outcome"], registry=self.registry
        )
        self._ready = Gauge(
            "nidus_cluster_ready", "1 while the nested cluster is Ready", ["cluster"], registry=self.registry
        )
        self._passes = Histogram("nidus_pass_seconds", "Duration of one pass", registry=self.registry, buckets=BUCKETS)
        self._stages = Histogram(
            "nidus_stage_seconds", "From push seen to each stage", ["stage"], registry=self.registry, buckets=BUCKETS
        )
        self._syncs = Counter(
            "nidus_source_syncs_total",
            "Syncs of a source, by what woke it",
            ["source", "trigger"],
            registry=self.registry,
        )
        self._fetched = Gauge(
            "nidus_source_fetched_timestamp", "Last successful fetch", ["source"], registry=self.registry
        )
        self._violations = Gauge(
            "nidus_source_violations", "Violations in the repository", ["source"], registry=self.registry
        )

    def transition(self, one: Transition) -> None:
        self._transitions.labels(one.cluster, one.reason).inc()

    def cluster(self, report: Report, seconds: float) -> None:
        self._ready.labels(report.cluster).set(report.word == "Ready")
        self._passes.observe(seconds)
        for result in report.results:
            if result.outcome != "unchanged":
                self._changes.labels(result.outcome).inc()

    def gone(self, cluster: str) -> None:
        """Forget a cluster that no longer exists: label sets grow with what exists, not with what ever existed."""
        if (cluster,) in self._ready._metrics:
            self._ready.remove(cluster)

    def source(self, report: SourceReport) -> None:
        self._fetched.labels(report.source).set(report.fetched)
        self._violations.labels(report.source).set(len(report.violations))

    def sync(self, source: str, trigger: str) -> None:
        self._syncs.labels(source, trigger).inc()

    def stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)
