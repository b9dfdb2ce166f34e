"""The internal listener: health, readiness, metrics, and the reports as JSON. Never exposed; the webhook has a port of its own (W4).

Probes and metrics answer to any name. The reports answer only to names that are this listener's: else a page in somebody's browser
could read them by a name of its own that points here (DNS rebinding).
"""

import ipaddress
from collections.abc import Callable, Collection, Mapping
from typing import Any

from flask import Flask, Response, jsonify, request
from msgspec import Struct, to_builtins
from werkzeug.sansio.utils import host_is_trusted

from reconciler.errors import NidusError
from reconciler.model import Authored
from reconciler.report import Reporter
from reconciler.report.life import stamp
from reconciler.report.view import ClusterView, SourceView

PROBES = ("/healthz", "/readyz")
_MISDIRECTED = (
    "These reports answer to localhost and the names of the controller's own Service only; "
    "other names are listed in spec.server.hosts.\n"
)
SERVICE = "nidus-internal"  # as in deploy/chart


class Process(Struct, frozen=True):
    """This process: its identity, whether it holds the Lease, the last known holder, what a leader still waits for, and
    what keeps its render workers from the network ("none" where nothing does: then nothing is rendered)."""

    identity: str
    leader: bool
    holder: str
    waits: str
    confined: str


Written = tuple[Mapping[str, ClusterView], Mapping[str, SourceView]]
"""Clusters and sources by name."""


class Views(Struct, frozen=True):
    """What the listener shows. `alive` is the heartbeat (H3), `ready` "serves", `queue` waiting and busy keys, `webhooks` the
    webhook of each source with its last deliveries, `changes` the open change requests, `change` the whole plan of one, `hosts` the
    Kubernetes version of each host that is known. `written`: what status objects say, for a replica that does not lead; may raise
    NidusError."""

    reporter: Reporter
    alive: Callable[[], str]
    ready: Callable[[], str]
    queue: Callable[[], tuple[int, int]]
    process: Callable[[], Process]
    webhooks: Callable[[], list[dict[str, Any]]] = list
    changes: Callable[[], list[dict[str, Any]]] = list
    change: Callable[[str, int], dict[str, Any] | None] = lambda source, number: None
    hosts: Callable[[], Mapping[str, str]] = dict
    written: Callable[[], Written] | None = None


def names(namespace: str, more: Collection[str] = ()) -> frozenset[str]:
    """The names by which the reports are asked for: those of this machine, of the Service in `namespace`, and `more`."""
    service = [SERVICE + end for end in ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")]
    return frozenset({"localhost", *service, *(one.lower() for one in more)})


def create_app(views: Views, hosts: Collection[str]) -> Flask:
    """The Flask application of the internal listener; /api/ answers requests for the names in `hosts` and for addresses of
    this machine only."""
    app = Flask("nidus-internal", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 0
    app.url_map.merge_slashes = False  # else a redirect to whatever host the client names, before it is looked at

    @app.before_request
    def known() -> Response | None:
        if not request.path.startswith("/api/") or ours(request.headers.get("Host", ""), hosts):
            return None
        return Response(_MISDIRECTED, 421, mimetype="text/plain")

    app.register_error_handler(NidusError, _silent)
    for rule, view in _pages(views).items():
        app.add_url_rule(rule, rule, view, provide_automatic_options=False)
    return app


def _silent(error: NidusError) -> Response:
    """Nothing is told instead of a part."""
    told = f"this replica does not lead, and the API server did not say what the leading one wrote ({error.reason})"
    return Response(f"{told}\n", 503, {"Retry-After": "5"}, mimetype="text/plain")


def _pages(views: Views) -> Mapping[str, Callable[..., Response]]:
    """What is served where."""

    def health() -> Response:
        return _probe(views.alive())

    def readiness() -> Response:
        return _probe(views.ready())

    def metrics() -> Response:
        return Response(views.reporter.metrics.text(), mimetype="text/plain; version=0.0.4")

    def sources() -> Response:
        return jsonify({"sources": [_source(one) for _, one in sorted(_known(views)[1].items())]})

    def clusters() -> Response:
        waiting, busy = views.queue()
        listed = [_cluster(one) for _, one in sorted(_known(views)[0].items())]
        return jsonify({"clusters": listed, "queue": {"waiting": waiting, "busy": busy}})

    def process() -> Response:
        return jsonify(to_builtins(views.process()))

    def webhooks() -> Response:
        return jsonify({"webhooks": views.webhooks()})

    def changes() -> Response:
        return jsonify({"changes": views.changes()})

    def change(source: str, number: int) -> Response:
        return jsonify({"change": views.change(source, number)})

    return {
        "/healthz": health,
        "/readyz": readiness,
        "/metrics": metrics,
        "/api/v1/process": process,
        "/api/v1/sources": sources,
        "/api/v1/clusters": clusters,
        "/api/v1/webhooks": webhooks,
        "/api/v1/changes": changes,
        "/api/v1/changes/<source>/<int:number>": change,
    }


def _known(views: Views) -> Written:
    """What this process reported, or what the leading one wrote. Raises NidusError where that cannot be read."""
    if views.written is not None and not views.process().leader:
        return views.written()
    return views.reporter.clusters.copy(), views.reporter.sources.copy()


def ours(host: str, hosts: Collection[str]) -> bool:
    """Whether a Host header names one of `hosts` or a loopback address, with any port."""
    if not host_is_trusted(host):  # no name or address, or no port after it
        return False
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower().removesuffix(".") in hosts


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
        "commit": _authored(one.authored),
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
        "host": one.host,
        "labels": dict(one.labels),
        "versions": to_builtins(one.versions),
        "status": one.word,
        "since": one.since,
        "revision": one.attempted,
        "applied": one.applied,
        "commit": _authored(one.authored),
        "profiles": list(one.profiles),
        "deletion": to_builtins(one.life.deletion),
        "removal": to_builtins(one.life.removal),
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
                "since": layer.since,
                "object": str(layer.ref) if layer.ref else "",
                "causes": [to_builtins(link) for link in layer.causes],
            }
            for layer in one.layers
        ],
        "layersSeen": one.seen,
        "plan": {"counts": dict(one.plan.counts), "changes": [to_builtins(change) for change in one.plan.changes]},
        "held": {"message": one.held.message, "digest": one.held.consent} if one.held else None,
    }


def _authored(one: Authored | None) -> dict[str, Any] | None:
    return to_builtins(one) | {"at": stamp(one.at)} if one else None
