"""The internal listener: health, readiness, metrics, and the reports as JSON. Never exposed; the webhook has a port of its own (W4)."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flask import Flask, Response, jsonify

from reconciler.report import Reporter
from reconciler.report.view import ClusterView, SourceView, stamp


@dataclass(frozen=True, slots=True)
class Process:
    """This process: its identity, whether it holds the Lease, the last known holder, what a leader still waits for, and
    what keeps its render workers from the network ("none" where nothing does: then nothing is rendered)."""

    identity: str
    leader: bool
    holder: str
    waits: str
    confined: str


@dataclass(frozen=True, slots=True)
class Views:
    """What the listener shows. `alive` is the heartbeat (H3), `ready` "serves", `queue` waiting and busy keys."""

    reporter: Reporter
    alive: Callable[[], str]
    ready: Callable[[], str]
    queue: Callable[[], tuple[int, int]]
    process: Callable[[], Process]


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
        return jsonify({"sources": [_source(one) for _, one in sorted(views.reporter.sources.copy().items())]})

    def clusters() -> Response:
        waiting, busy = views.queue()
        listed = [_cluster(one) for _, one in sorted(views.reporter.clusters.copy().items())]
        return jsonify({"clusters": listed, "queue": {"waiting": waiting, "busy": busy}})

    def process() -> Response:
        return jsonify(asdict(views.process()))

    rules: Mapping[str, Callable[[], Response]] = {
        "/healthz": health,
        "/readyz": readiness,
        "/metrics": metrics,
        "/api/v1/process": process,
        "/api/v1/sources": sources,
        "/api/v1/clusters": clusters,
    }
    for rule, view in rules.items():
        app.add_url_rule(rule, rule, view)
    return app


def _probe(problem: str) -> Response:
    return Response(problem or "ok", 503 if problem else 200, mimetype="text/plain")


def _source(one: SourceView) -> dict[str, Any]:
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
        for v in one.violations
    ]
    return {
        "name": one.source,
        "revision": one.revision,
        "clusters": one.accepted,
        "violations": violations,
        "violationCount": one.violation_count,
        "trigger": one.trigger,
        "stages": {name: stamp(at) for name, at in one.stages},
        "fetched": stamp(one.fetched) if one.fetched else "",
        "error": one.error,
        "held": one.held.message if one.held else "",
    }


def _cluster(one: ClusterView) -> dict[str, Any]:
    return {
        "name": one.cluster,
        "source": one.source,
        "file": one.file,
        "status": one.word,
        "revision": one.attempted,
        "applied": one.applied,
        "endpoint": one.endpoint,
        "looked": stamp(one.at) if one.at else "",
        "conditions": {
            each.type: {"status": each.status, "reason": each.reason, "message": each.message, "since": each.since}
            for each in one.conditions
        },
        "layers": [
            {
                "name": layer.name,
                "target": layer.target,
                "health": layer.state,
                "message": layer.message,
                "objects": layer.objects,
            }
            for layer in one.layers
        ],
        "plan": {"counts": dict(one.plan.counts), "changes": [asdict(change) for change in one.plan.changes]},
        "held": {"message": one.held.message, "digest": one.held.consent} if one.held else None,
    }
