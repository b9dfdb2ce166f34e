"""The public listener: POST /webhook/<key>, nothing else (W1 to W4).

Order of checks: size, route, the form of the signature, the kind of content; then the body is read: secrets, signature, shape,
mark. Only the status code says what happened; bodies contain nothing about the installation.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from webhook.attempts import Attempts
from webhook.deliveries import Deliveries, Verdict
from webhook.forges import FORGES, Delivery

LIMIT = 3 << 20
_RETRY_AFTER = 5
_LATER = "try again later\n"
_BODIES = {200: "ok\n", 202: "accepted\n", 401: "refused\n", 404: "refused\n", 429: _LATER, 503: _LATER}

Mark = Callable[[str, Delivery], int]


class MarkFailed(Exception):
    """Raised by `mark` when the request could not be stored: the sender should try again."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: the source it wakes, the forge that signs, and the valid secrets (read anew for each delivery, so that
    they can be rotated)."""

    source: str
    provider: str
    secrets: Callable[[], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What requests share. `clock` gives seconds since the epoch."""

    routes: Mapping[str, Route]
    mark: Mark
    failures: Attempts
    log: Deliveries
    clock: Callable[[], float]


def create_app(
    routes: Mapping[str, Route],
    mark: Mark,
    limit: int = LIMIT,
    attempts: Attempts | None = None,
    log: Deliveries | None = None,
    clock: Callable[[], float] = time.time,
) -> Flask:
    """The webhook as a Flask application: key -> route at /webhook/<key>; bodies up to `limit` bytes.

    `mark(source, delivery)` is asked about pushes, change requests and comments: it stores the request durably and returns
    its generation, returns 0 where it interests nobody, or raises MarkFailed. Answers: 202 marked, 200 ping or nothing of interest,
    400 malformed, 401 not signed, 404 no such route or no secret for it, 413 too large, 415 content that the forge does not
    send, 429 in place of 401 and 404 for a sender that failed too often, 503 with Retry-After when not stored.
    Raises ValueError for an unknown provider.
    """
    unknown = {route.provider for route in routes.values()} - set(FORGES)
    if unknown:
        raise ValueError(f"unknown webhook provider: {', '.join(sorted(unknown))}")
    desk = _Desk(routes, mark, attempts or Attempts(), log or Deliveries(()), clock)
    app = Flask("webhook", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = limit
    app.url_map.merge_slashes = False  # else a redirect to whatever host the client names

    @app.before_request
    def judge() -> Response | None:
        key = (request.view_args or {}).get("key")
        status = 0 if key is None else _judged(routes.get(key), limit)
        return _answer(status, desk) if status else None

    @app.post("/webhook/<key>")
    def receive(key: str) -> Response:
        return _answer(_receive(routes[key], desk), desk)

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        return _answer(error.code or 400, desk)

    return app


def _judged(route: Route | None, limit: int) -> int:
    """The status code of a delivery that is refused for its head, else 0."""
    if (request.content_length or 0) > limit:
        return 413
    if route is None:
        return 404
    forge = FORGES[route.provider]
    if not forge.claim(_headers()):
        return 401
    return 0 if request.mimetype in forge.TYPES else 415


def _receive(route: Route, desk: _Desk) -> int:
    """One delivery to its status code, when its head was judged."""
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return 413
    except (ClientDisconnected, OSError):
        return 400
    secrets = tuple(secret for secret in route.secrets() if secret)
    if not secrets:
        return 404
    forge, headers = FORGES[route.provider], _headers()
    if not forge.verify(headers, body, secrets, desk.clock()):
        return 401
    try:
        delivery = forge.parse(headers, body)
    except ValueError:
        desk.log.add(route.source, desk.clock(), "malformed")
        return 400
    return _marked(route.source, delivery, desk)


def _marked(source: str, delivery: Delivery, desk: _Desk) -> int:
    at, asks = desk.clock(), delivery.kind not in ("ping", "ignored")
    try:
        generation = desk.mark(source, delivery) if asks else 0
    except MarkFailed:
        desk.log.add(source, at, "not stored", delivery)
        return 503
    verdict: Verdict = "marked" if generation else "nothing to do"
    desk.log.add(source, at, verdict, delivery, generation if delivery.kind == "push" else 0)
    return 202 if generation else 200


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _answer(status: int, desk: _Desk) -> Response:
    wait = desk.failures.failed(request.remote_addr or "") if status in (401, 404) else 0.0
    route = desk.routes.get((request.view_args or {}).get("key", ""))
    if status == 401 and route is not None:
        desk.log.refused(route.source, desk.clock())
    status = 429 if wait else status
    response = Response(_BODIES.get(status, "bad request\n"), status, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if status in (429, 503):
        response.headers["Retry-After"] = str(math.ceil(wait) or _RETRY_AFTER)
    return response
