"""The Flask application of the dashboard. It only reads, and answers to its own names only (U7, U8)."""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Final

from flask import Flask, Response, abort, render_template, request
from msgspec import Struct

from dashboard import pages
from dashboard.pages import Choice
from reconciler.report.view import ClusterView, SourceView

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
LONGEST: Final = 100  # characters of a word in a question


class Views(Struct, frozen=True):
    """What the controller knows: clusters and sources by name. `waits`: what this process waits for, "" where it does its work."""

    clusters: Callable[[], Mapping[str, ClusterView]]
    sources: Callable[[], Mapping[str, SourceView]]
    waits: Callable[[], str]


def create_app(views: Views, trusted: Callable[[str], bool], clock: Callable[[], float] = time.time) -> Flask:
    """`trusted` says of a Host header whether it names this listener: else a page of somebody else could read this one by a name of
    its own that points here (DNS rebinding)."""
    app = Flask("dashboard")
    app.config["MAX_CONTENT_LENGTH"] = 0
    app.url_map.merge_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @app.before_request
    def known() -> Response | None:
        if trusted(request.headers.get("Host", "")):
            return None
        told = "The dashboard answers to its own names only; others are listed in spec.server.hosts.\n"
        return Response(told, 421, mimetype="text/plain")

    @app.after_request
    def guarded(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers[name] = value
        return answer

    @app.get("/")
    def overview() -> Response:
        found = pages.overview(views.clusters(), views.sources(), _choice(), clock())
        return _page("overview.html", found=found, waits=views.waits())

    @app.get("/clusters/<name>")
    def cluster(name: str) -> Response:
        one = views.clusters().get(name)
        if one is None:
            abort(404)
        now = clock()
        ages = {layer.name: pages.ago(layer.since, now) for layer in one.layers}
        given = {"row": pages.row(one, now), "conditions": pages.conditions(one.conditions, now), "ages": ages}
        return _page("cluster.html", one=one, attempted=pages.short(one.attempted), waits=views.waits(), **given)

    @app.errorhandler(404)
    def missing(error: Exception) -> Response:
        del error
        return Response(render_template("missing.html", waits=views.waits()), 404, mimetype="text/html")

    return app


def _choice() -> Choice:
    """What the question of a page chooses."""
    told = {name: request.args.get(name, "")[:LONGEST] for name in ("name", "word", "source")}
    page = request.args.get("page", "1")
    return Choice(**told, page=int(page) if page.isdecimal() and len(page) < 6 else 1)


def _page(template: str, **given: object) -> Response:
    """A page with the digest of its text, so that one that did not change is not sent again."""
    text = render_template(template, **given)
    answer = Response(text, mimetype="text/html")
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.set_etag(hashlib.sha256(text.encode()).hexdigest()[:32])
    answer.make_conditional(request)
    return answer
