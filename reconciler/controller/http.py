"""The internal listener: health, readiness, metrics, and the reports as JSON. Never exposed; the webhook has a port of its own (W4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify

from reconciler.report import Reporter
from reconciler.report.statuses import stamp


@dataclass(frozen=True, slots=True)
class Views:
    """What the listener shows. `alive` is the heartbeat (H3), `ready` "can answer", `queue` waiting and busy keys."""

    reporter: Reporter
    alive: Callable[[], str]
    ready: Callable[[], str]
    queue: Callable[[], tuple[int, int]]


def create_app(views: Views) -> Flask:
    """The WSGI application of the internal listener."""
    app = Flask("nidus-internal", static_folder=None)

    def health() -> Response:
        return _probe(views.alive())

    def readiness() -> Response:
        return _probe(views.ready())

    def metrics() -> Response:
        return Response(views.reporter.metrics.text(), mimetype="text/plain; version=0.0.4")

    def sources() -> Response:
        return jsonify({"sources": [_source(report) for _, report in sorted(views.reporter.sources.items())]})

    def clusters() -> Response:
        waiting, busy = views.queue()
        listed = [_cluster(report) for _, report in sorted(views.reporter.clusters.items())]
        return jsonify({"clusters": listed, "queue": {"waiting": waiting, "busy": busy}})

    rules: Mapping[str, Callable[[], Response]] = {
        "/healthz": health,
        "/readyz": readiness,
        "/metrics": metrics,
        "/api/v1/sources": sources,
        "/api/v1/clusters": clusters,
    }
    for rule, view in rules.items():
        app.add_url_rule(rule, rule, view)
    return app


def _probe(problem: str) -> Response:
    return Response(problem or "ok", 503 if problem else 200, mimetype="text/plain")


def _source(report: Any) -> dict[str, Any]:
    violations = [
        {
            "file": v.path,
            "line": v.line,
            "column": v.column,
            "code": v.code,
            "message": v.message,
            "pointer": v.pointer,
            "hint": v.hint,
        }
        for v in report.violations
    ]
    return {
        "name": report.source,
        "revision": str(report.revision) if report.revision else "",
        "clusters": report.accepted,
        "violations": violations,
        "trigger": report.trigger,
        "stages": {name: stamp(at) for name, at in report.stages},
        "fetched": stamp(report.fetched) if report.fetched else "",
        "error": report.error,
        "held": report.held.message if report.held else "",
    }


def _cluster(report: Any) -> dict[str, Any]:
    return {
        "name": report.cluster,
        "status": report.word,
        "revision": str(report.revision),
        "endpoint": report.endpoint,
        "conditions": {
            one.type: {"status": one.status, "reason": one.reason, "message": one.message} for one in report.conditions
        },
        "layers": [
            {
                "name": layer.name,
                "target": layer.target,
                "health": layer.state,
                "message": layer.message,
                "objects": layer.objects,
            }
            for layer in report.layers
        ],
        "held": {"message": report.held.message, "digest": report.held.consent} if report.held else None,
    }
