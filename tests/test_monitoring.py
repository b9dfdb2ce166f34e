"""Alerts and the dashboard for Grafana: each query parses, and names metrics and labels that there are."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Histogram

from reconciler.report.metrics import Metrics
from schemas import grafana, install
from tests.house.documents import ROOT
from tests.test_install import rendered

ALERTS = grafana.FILE.parent / "alerts.yaml"
SCRAPED = frozenset({"instance", "job", "namespace", "pod"})  # labels that Prometheus adds


def series() -> dict[str, frozenset[str]]:
    """Each series that the controller shows, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for metric in Metrics().registry._collector_to_names:
        labels = frozenset(getattr(metric, "_labelnames", ()))
        for family in metric.describe() if hasattr(metric, "describe") else ():
            ends = (
                ("_bucket", "_sum", "_count")
                if isinstance(metric, Histogram)
                else ("_total",)
                if family.type == "counter"
                else ("",)
            )
            found |= {family.name + end: labels | ({"le"} if end == "_bucket" else frozenset()) for end in ends}
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def queries() -> dict[str, str]:
    """Every query, by where it stands."""
    found = {f"alert {one['alert']}": one["expr"] for one in rules()}
    for panel in json.loads(grafana.FILE.read_text())["panels"]:
        for target in panel.get("targets", ()):
            found[f"panel {panel['title']}"] = target["expr"].replace("$__rate_interval", "5m")
    return found


def parts(node: Any) -> Iterator[Any]:
    """A query and all that it is made of."""
    yield node
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        if (below := getattr(node, name, None)) is not None and type(below).__module__ == type(node).__module__:
            yield from parts(below)
    for below in getattr(node, "args", None) or ():
        yield from parts(below)


@pytest.mark.parametrize("where", queries())
def test_a_query_names_what_there_is(where: str) -> None:
    known, query = series(), queries()[where]
    tree = promql_parser.parse(query)
    selectors = [one for one in parts(tree) if isinstance(one, promql_parser.VectorSelector)]
    assert selectors, query
    labels = SCRAPED.union(*(known[one.name] for one in selectors))
    for one in selectors:
        assert {each.name for each in one.matchers.matchers} <= known[one.name] | SCRAPED, query
    for one in parts(tree):
        if isinstance(one, promql_parser.AggregateExpr) and one.modifier is not None:
            assert set(one.modifier.labels) <= labels, query


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule
        assert set(rule["annotations"]) == {"summary", "action"} and rule["labels"]["severity"] in (
            "critical",
            "warning",
            "info",
        )
        named = {one for one in ("cluster", "source", "where", "channel") if f"$labels.{one}" in str(rule)}
        for label in named:
            assert f"by ({label})" in rule["expr"], rule["alert"]
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_the_dashboard_is_the_one_that_is_made() -> None:
    assert grafana.FILE.read_text() == grafana.render(), "python -m schemas.grafana"


def test_no_panel_lies_on_another() -> None:
    panels = grafana.dashboard()["panels"]
    assert len({one["id"] for one in panels}) == len(panels) == len({one["title"] for one in panels})
    for one, other in itertools.combinations([each["gridPos"] for each in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= grafana.WIDE for each in panels)


def test_the_chart_brings_both_as_they_are() -> None:
    found = rendered({"monitors": {"enabled": True}})
    (rule,) = (one for (kind, _, _), one in found.items() if kind == "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())
    shown = found["ConfigMap", install.NAMESPACE, "nidus-grafana"]
    assert json.loads(shown["data"]["nidus.json"]) == grafana.dashboard()
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    without = rendered({"monitors": {"enabled": True, "alerts": False, "dashboard": {"enabled": False}}})
    assert not [key for key in without if key[0] == "PrometheusRule" or key[2] == "nidus-grafana"]
    assert not [key for key in rendered({}) if key[2] == "nidus-grafana"]


def test_every_metric_is_in_a_panel_an_alert_or_told_as_not_needed() -> None:
    """A metric that nobody looks at is one too many; what a panel cannot show well is named here."""
    apart = {"nidus_usage_gpu_seconds_total", "nidus_usage_load_balancer_seconds_total"}
    used = " ".join(queries().values())
    known = {name.removesuffix("_bucket") for name in series() if not name.endswith(("_sum", "_count"))}
    assert {one for one in known if one not in used} == apart
    assert all(f"`{one}`" in (ROOT / "docs" / "operations.md").read_text() for one in known)
