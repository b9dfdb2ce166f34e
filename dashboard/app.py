"""The Flask application of the dashboard: pages, and the door in front of them (U7, U8)."""

import time
from collections.abc import Callable
from functools import wraps
from urllib.parse import quote

from flask import Flask, Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.clusters import Clusters
from dashboard.desk import Desk
from dashboard.door import HEADERS, Door, refusal
from dashboard.entrance import Entrance, missing, silent
from dashboard.overview import Overview
from dashboard.reviews import Reviews
from dashboard.signin import SignIn
from dashboard.sources import Sources
from dashboard.spending import Spending
from dashboard.views import Views
from reconciler.errors import NidusError, short

SIGN_IN = "/sign-in"
FORM = 16 << 10  # bytes of a form: a token, or a reason


def create_app(views: Views, door: Door, clock: Callable[[], float] = time.time) -> Flask:
    """The pages over `views` for whom `door` lets in. What is refused by the head of a request is refused before its body is read and
    without a question to anybody."""
    app = Flask("dashboard")
    app.config["MAX_CONTENT_LENGTH"] = FORM
    app.url_map.merge_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["short"] = short
    app.jinja_env.finalize = _drawn
    people = SignIn(door, clock)
    desk = Desk(views, people, clock)
    clusters, sources, entrance = Clusters(desk), Sources(desk), Entrance(desk)
    shown = (Overview(desk), clusters, sources, Reviews(desk), Spending(desk))

    @app.before_request
    def known() -> Response | None:
        wrong = None if request.routing_exception else refusal(door, request)
        return Response(wrong[0], wrong[1], mimetype="text/plain") if wrong else None

    @app.after_request
    def guarded(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers[name] = value
        if request.endpoint != "static":
            answer.headers["Cache-Control"] = "private, no-store"
        return answer

    for rule, view in ((rule, view) for one in shown for rule, view in one.pages.items()):
        app.add_url_rule(rule, view.__name__, _signed(people, view))
    if door.access.auth != "none":
        for rule, view in {**clusters.forms, **sources.forms}.items():
            app.add_url_rule(rule, view.__name__, _signed(people, view), methods=["POST"])
    if door.access.auth == "kubernetes":
        app.add_url_rule(SIGN_IN, "sign_in", entrance.sign_in)
        app.add_url_rule(SIGN_IN, "enter", entrance.enter, methods=["POST"])
        app.add_url_rule("/sign-out", "leave", _signed(people, entrance.leave), methods=["POST"])
    app.register_error_handler(404, missing)
    app.register_error_handler(NidusError, silent)
    return app


def _drawn(value: object) -> object:
    """A value in a template. Markup is a part of a page that was made in the same way."""
    return pages.drawn(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _signed(people: SignIn, view: Callable[..., Answer]) -> Callable[..., Answer]:
    """A page for people who signed in; others are led to where they do."""

    @wraps(view)
    def shown(*given: object, **named: object) -> Answer:
        who = people.user(request)
        if who is not None:
            return view(who, *given, **named)
        if people.access.auth == "kubernetes" and request.method != "POST":
            return redirect(f"/sign-in?next={quote(request.full_path.rstrip('?'))}", 303)
        return Response("Sign in first: nobody is named by this request.\n", 401, mimetype="text/plain")

    return shown
