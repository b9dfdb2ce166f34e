"""The public listener: POST /webhook/<key>, nothing else (W1 to W4).

Order of checks: size, route, signature, shape, mark. Only the status code says what happened; bodies contain nothing
about the installation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from webhook.forges import FORGES

LIMIT = 3 << 20
_RETRY_AFTER = "5"
_BODIES = {200: "ok\n", 202: "accepted\n", 401: "refused\n", 404: "refused\n", 503: "try again later\n"}

Mark = Callable[[str, tuple[str, ...]], None]


class MarkFailed(Exception):
    """Raised by `mark` when the request could not be stored: the sender should try again."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: the source it wakes, the forge that signs, and the valid secrets (read anew for each delivery, so that
    they can be rotated)."""

    source: str
    provider: str
    secrets: Callable[[], tuple[bytes, ...]]


def create_app(routes: Mapping[str, Route], mark: Mark, limit: int = LIMIT) -> Flask:
    """The webhook as a WSGI application: key -> route at /webhook/<key>; bodies up to `limit` bytes.

    `mark(source, refs)` stores the request durably or raises MarkFailed. Answers: 202 marked, 200 ping or an event of
    no interest, 400 malformed, 401 not signed, 404 no such route or no secret for it, 413 too large, 503 with
    Retry-After when not stored. Raises ValueError for an unknown provider.
    """
    unknown = {route.provider for route in routes.values()} - set(FORGES)
    if unknown:
        raise ValueError(f"unknown webhook provider: {', '.join(sorted(unknown))}")
    app = Flask("webhook", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = limit

    @app.post("/webhook/<key>")
    def receive(key: str) -> Response:
        return _answer(_receive(routes.get(key), mark))

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        return _answer(error.code or 400)

    return app


def _receive(route: Route | None, mark: Mark) -> int:
    """One delivery to its status code."""
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return 413
    except (ClientDisconnected, OSError):
        return 400
    secrets = tuple(secret for secret in route.secrets() if secret) if route else ()
    if route is None or not secrets:
        return 404
    forge = FORGES[route.provider]
    headers = {name.lower(): value for name, value in request.headers.items()}
    if not forge.verify(headers, body, secrets):
        return 401
    try:
        delivery = forge.parse(headers, body)
    except ValueError:
        return 400
    if delivery.kind != "push":
        return 200
    try:
        mark(route.source, delivery.refs)
    except MarkFailed:
        return 503
    return 202


def _answer(status: int) -> Response:
    response = Response(_BODIES.get(status, "bad request\n"), status, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if status == 503:
        response.headers["Retry-After"] = _RETRY_AFTER
    return response
