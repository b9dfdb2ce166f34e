"""What is answered before a request's body is read: what the router refuses, a body that is too large, and what an application's
`before_request` functions refuse, which therefore look at the head only."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response


def refusal(app: Flask, environ: Mapping[str, Any]) -> Response | None:
    """The answer to a request that is refused whatever its body is, None where there is no objection.

    `environ` is that of WSGI, without a body. An application without a MAX_CONTENT_LENGTH takes no bodies.
    """
    with app.request_context(dict(environ)):
        try:
            if (request.content_length or 0) > (app.config["MAX_CONTENT_LENGTH"] or 0):
                raise RequestEntityTooLarge
            if request.routing_exception is not None:
                raise request.routing_exception
            answer = app.preprocess_request()
        except Exception as error:
            answer = app.handle_user_exception(error)
        return None if answer is None else app.process_response(app.make_response(answer))
