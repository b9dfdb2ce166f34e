"""Prometheus metrics. Labels never come from the repository, except the names of clusters and sources, and of each cluster the
newest `team`."""

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reconciler.model import Report
from reconciler.packs import confine
from reconciler.report import bugs
from reconciler.report.transitions import Transition
from reconciler.report.view import ClusterView, SourceView
from reconciler.usage import items
from reconciler.usage.days import Day

BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)

USED = {
    items.CPU: ("cpu_core_seconds", 1e6, "CPU that pods request"),  # measured in thousandths, over milliseconds
    items.MEMORY: ("memory_byte_seconds", 1e3, "Memory that pods request"),
    items.GPU: ("gpu_seconds", 1e3, "GPUs that pods request"),
    items.STORAGE: ("storage_byte_seconds", 1e3, "Volumes"),
    items.LOAD_BALANCER: ("load_balancer_seconds", 1e3, "Services of type LoadBalancer"),
    items.CONTROL_PLANE: ("control_plane_seconds", 1e3, "Control planes that run"),
    items.IDLE_CPU: ("idle_cpu_core_seconds", 1e6, "CPU that the quota reserves and no pod requests"),
    items.IDLE_MEMORY: ("idle_memory_byte_seconds", 1e3, "Memory that the quota reserves and no pod requests"),
}


class Metrics:
    """The process's metrics, in a registry of their own."""

    def __init__(self, unwritten: Callable[[], float] = lambda: 0) -> None:
        """`unwritten` counts the status objects that are not written yet."""
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
        self._wakes = Histogram(
            "nidus_wake_seconds",
            "From the waking of a nested cluster until it is Ready",
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._asleep = Gauge(
            "nidus_cluster_asleep", "1 while the nested cluster sleeps", ["cluster"], registry=self.registry
        )
        self._backup = Gauge(
            "nidus_backup_completed_timestamp",
            "When the newest whole snapshot was begun",
            ["cluster"],
            registry=self.registry,
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

        self._confined = Gauge(
            "nidus_render_workers_confined",
            "What keeps the render workers from the network",
            ["by"],
            registry=self.registry,
        )
        self._configuration = Gauge(
            "nidus_configuration_in_force",
            "1 while the configuration file is in force as a whole",
            registry=self.registry,
        )
        self._configuration.set(1)
        self._measured = Counter(
            "nidus_usage_measured_seconds", "Time in which usage was measured", registry=self.registry
        )
        self._teams: dict[str, str] = {}
        self._used = {
            name: Counter(f"nidus_usage_{metric}", told, ["cluster", "team"], registry=self.registry)
            for name, (metric, _, told) in USED.items()
        }
        self._cluster_labels: tuple[Counter | Gauge, ...] = (
            self._transitions,
            self._ready,
            self._asleep,
            self._backup,
            *self._used.values(),
        )
        self._notices = Counter(
            "nidus_notices_total",
            "Notices to channels of people, by outcome",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self._leader = Gauge("nidus_leader", "1 while this process holds the Lease", registry=self.registry)
        waiting = Gauge("nidus_status_unwritten", "Status objects not written yet", registry=self.registry)
        waiting.set_function(unwritten)

    def leads(self, holds: Callable[[], bool]) -> None:
        """`holds` says whether this process holds the Lease; asked at each scrape."""
        self._leader.set_function(lambda: float(holds()))

    def configuration(self, whole: bool) -> None:
        """Whether the configuration file is in force as a whole."""
        self._configuration.set(whole)

    def confined(self, held: Collection[str]) -> None:
        """Once it is known: one series for each of `packs.confine`'s names, 1 where it holds."""
        for name in confine.NAMES:
            self._confined.labels(name).set(name in held)

    def transition(self, one: Transition) -> None:
        self._transitions.labels(one.cluster, one.reason).inc()

    def notices(self, channel: str, outcome: str, count: int) -> None:
        """So many were delivered or dropped."""
        self._notices.labels(channel, outcome).inc(count)

    def cluster(self, view: ClusterView, report: Report, seconds: float) -> None:
        self._ready.labels(view.cluster).set(view.word == "Ready")
        self._asleep.labels(view.cluster).set(report.sleep is not None and report.sleep.asleep)
        self._passes.observe(seconds)
        whole = [one.at for one in report.backups.archives if one.completed] if report.backups else []
        if whole:
            self._backup.labels(view.cluster).set(whole[-1])
        if report.woke:
            self._wakes.observe(report.woke)
        for result in report.results:
            if result.outcome != "unchanged":
                self._changes.labels(result.outcome).inc()

    def used(self, day: Day) -> None:
        """What was measured since the last call, of one day."""
        self._measured.inc(day.seen / 1e3)
        for cluster, account in day.accounts.items():
            team = account.labels.get("team", "")
            if (
                self._teams.setdefault(cluster, team) != team
            ):  # of one cluster one series each, however often a commit changes this
                self._forget(cluster)
                self._teams[cluster] = team
            for uses in account.uses.values():
                for name, integral in uses.items():
                    kind = name if name in USED else items.STORAGE
                    if not name.startswith(items.SAVED):
                        self._used[kind].labels(cluster, team).inc(integral / USED[kind][1])

    def gone(self, cluster: str) -> None:
        """Remove the series of a cluster that no longer exists, so that labels do not grow for ever."""
        self._teams.pop(cluster, None)
        for metric in self._cluster_labels:
            metric.remove_by_labels({"cluster": cluster})

    def _forget(self, cluster: str) -> None:
        for metric in self._used.values():
            metric.remove_by_labels({"cluster": cluster})

    def source(self, view: SourceView) -> None:
        self._fetched.labels(view.source).set(view.fetched)
        self._violations.labels(view.source).set(view.violation_count)

    def sync(self, source: str, trigger: str) -> None:
        self._syncs.labels(source, trigger).inc()

    def stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)
