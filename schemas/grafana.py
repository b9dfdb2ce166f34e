"""The dashboard for Grafana: `python -m schemas.grafana` writes deploy/chart/files/grafana.json. tests/test_monitoring.py holds each
query to the metrics that there are."""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

Json = dict[str, Any]
FILE = Path(__file__).parent.parent / "deploy" / "chart" / "files" / "grafana.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "[$__rate_interval]"
WIDE, HIGH = 24, 8


class Panel(Struct, frozen=True):
    """One panel: `unit` as Grafana names it, `legend` of each line, `width` of 24, `kind` of panel."""

    title: str
    told: str
    query: str
    unit: str = "short"
    legend: str = ""
    width: int = 8
    kind: str = "timeseries"


def _share(part: str, metric: str, by: str) -> str:
    """A part of what was measured by a histogram, such as 0.95."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({part}, sum by ({grouped}) (rate({metric}_bucket{RATE})))"


def _of_team(metric: str, each: str = "") -> str:
    return f"sum by (team) (rate({metric}{RATE})){each}"


GIB = " / 1024 / 1024 / 1024"
ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Clusters",
        (
            Panel(
                "Ready", "Clusters that are Ready.", "sum(max by (cluster) (nidus_cluster_ready))", width=4, kind="stat"
            ),
            Panel(
                "Not Ready, not asleep",
                "Clusters that are not Ready and are not to sleep.",
                "count(max by (cluster) (nidus_cluster_ready) == 0 unless max by (cluster) (nidus_cluster_asleep) == 1) or vector(0)",
                width=4,
                kind="stat",
            ),
            Panel(
                "Asleep",
                "Clusters that are to sleep.",
                "sum(max by (cluster) (nidus_cluster_asleep))",
                width=4,
                kind="stat",
            ),
            Panel("Controllers that lead", "One, where all is well.", "sum(nidus_leader)", width=4, kind="stat"),
            Panel(
                "Which are not Ready",
                "nidus why NAME tells what keeps a cluster from being Ready.",
                "max by (cluster) (nidus_cluster_ready) == 0 unless max by (cluster) (nidus_cluster_asleep) == 1",
                legend="{{cluster}}",
            ),
        ),
    ),
    (
        "From a push to Ready",
        (
            Panel(
                "Stages, 95 of 100",
                "From the push seen to each stage.",
                _share("0.95", "nidus_stage_seconds", "stage"),
                "s",
                "{{stage}}",
            ),
            Panel(
                "Passes, 95 of 100", "One pass over one cluster.", _share("0.95", "nidus_pass_seconds", ""), "s", "pass"
            ),
            Panel(
                "Waking, 95 of 100",
                "From the waking of a cluster until it is Ready.",
                _share("0.95", "nidus_wake_seconds", ""),
                "s",
                "wake",
            ),
            Panel(
                "Since the last fetch",
                "Of each source.",
                "time() - max by (source) (nidus_source_fetched_timestamp)",
                "s",
                "{{source}}",
            ),
            Panel(
                "Mistakes in sources",
                "nidus status names them.",
                "max by (source) (nidus_source_violations)",
                legend="{{source}}",
            ),
            Panel(
                "Syncs",
                "By what woke them.",
                f"sum by (trigger) (rate(nidus_source_syncs_total{RATE}))",
                "ops",
                "{{trigger}}",
            ),
        ),
    ),
    (
        "What happens",
        (
            Panel(
                "Transitions",
                "By reason, those of the Events.",
                f"sum by (reason) (rate(nidus_transitions_total{RATE}))",
                "ops",
                "{{reason}}",
            ),
            Panel(
                "Changes", "By outcome.", f"sum by (outcome) (rate(nidus_changes_total{RATE}))", "ops", "{{outcome}}"
            ),
            Panel(
                "Notices",
                "To channels of people.",
                f"sum by (channel, outcome) (rate(nidus_notices_total{RATE}))",
                "ops",
                "{{channel}} {{outcome}}",
            ),
            Panel(
                "Bugs in an hour",
                "Unexpected failures; the log has the traceback.",
                "sum by (where) (increase(nidus_bugs_total[1h]))",
                legend="{{where}}",
            ),
            Panel("Status not written", "Status objects that wait.", "max(nidus_status_unwritten)", legend="objects"),
            Panel(
                "Since the newest snapshot",
                "That was read back whole.",
                "time() - max by (cluster) (nidus_backup_completed_timestamp)",
                "s",
                "{{cluster}}",
            ),
        ),
    ),
    (
        "Usage by team (where prices are set)",
        (
            Panel("CPU requested", "Cores.", _of_team("nidus_usage_cpu_core_seconds_total"), "none", "{{team}}"),
            Panel(
                "Memory requested", "GiB.", _of_team("nidus_usage_memory_byte_seconds_total", GIB), "none", "{{team}}"
            ),
            Panel("Volumes", "GiB.", _of_team("nidus_usage_storage_byte_seconds_total", GIB), "none", "{{team}}"),
            Panel(
                "CPU reserved and not requested",
                "Cores.",
                _of_team("nidus_usage_idle_cpu_core_seconds_total"),
                "none",
                "{{team}}",
            ),
            Panel(
                "Memory reserved and not requested",
                "GiB.",
                _of_team("nidus_usage_idle_memory_byte_seconds_total", GIB),
                "none",
                "{{team}}",
            ),
            Panel(
                "Control planes", "That run.", _of_team("nidus_usage_control_plane_seconds_total"), "none", "{{team}}"
            ),
        ),
    ),
)


def dashboard() -> Json:
    """The dashboard, as Grafana imports it."""
    panels: list[Json] = []
    top = 0
    for title, row in ROWS:
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": _place(0, top, WIDE, 1)})
        top = _row(panels, row, top + 1)
    for number, one in enumerate(panels, 1):
        one["id"] = number
    chosen = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "nidus", "title": "Nidus", "description": "Nested clusters, from a push to Ready, and what they ask for.",
        "tags": ["nidus"], "schemaVersion": 39, "editable": True, "refresh": "1m", "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [chosen]}, "panels": panels,
    }  # fmt: skip


def _row(panels: list[Json], row: tuple[Panel, ...], top: int) -> int:
    """Add the panels of a row from left to right, in as many lines as they need; returns where the next row begins."""
    left = 0
    for one in row:
        if left + one.width > WIDE:
            left, top = 0, top + HIGH
        panels.append(_panel(one, _place(left, top, one.width, HIGH)))
        left += one.width
    return top + HIGH


def _panel(one: Panel, place: Json) -> Json:
    target = {"refId": "A", "datasource": SOURCE, "expr": one.query, "legendFormat": one.legend or "__auto"}
    fields = {"defaults": {"unit": one.unit, "min": 0}, "overrides": list[Any]()}
    options = (
        {"reduceOptions": {"calcs": ["lastNotNull"]}} if one.kind == "stat" else {"legend": {"displayMode": "list"}}
    )
    head = {"type": one.kind, "title": one.title, "description": one.told, "datasource": SOURCE, "gridPos": place}
    return head | {"targets": [target], "fieldConfig": fields, "options": options}


def _place(x: int, y: int, w: int, h: int) -> Json:
    return {"x": x, "y": y, "w": w, "h": h}


def render() -> str:
    """The text of the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


def main() -> None:
    """Writes the file."""
    FILE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
