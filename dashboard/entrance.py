"""The pages without a reader: signing in and out, and what is answered where something is not there or nobody answers."""

import re
from typing import Final

from flask import Response, redirect, render_template, request
from werkzeug.wrappers import Response as Answer

from dashboard.desk import Desk
from reconciler.errors import NidusError
from reconciler.model import UserInfo

PLACE: Final = re.compile(r"/(?:[A-Za-z0-9._~%?=&-][A-Za-z0-9._~%?=&/-]{0,400})?", re.ASCII)


class Entrance:
    """These pages of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def sign_in(self, wrong: str = "", status: int = 200) -> Answer:
        here = _place(request.values.get("next", "/"))
        elsewhere = request.headers.get("Sec-Fetch-Site") == "cross-site"
        text = render_template("signin.html", wrong=wrong, here=here, elsewhere=elsewhere)
        return Response(text, status)

    def enter(self) -> Answer:
        """Sign in by the form."""
        answer = redirect(_place(request.form.get("next", "/")), 303)
        wrong = self._desk.people.enter(request, answer, request.form.get("token", ""))
        return self.sign_in(wrong, 401) if wrong else answer

    def leave(self, who: UserInfo) -> Answer:
        """Sign out."""
        self._desk.proven(who)
        answer = redirect("/sign-in", 303)
        self._desk.people.leave(request, answer)
        return answer


def missing(error: Exception) -> Answer:
    """The same for everybody, and nobody is asked: an unknown path is answered by the listener's own thread."""
    del error
    return Response(render_template("missing.html"), 404)


def silent(error: NidusError) -> Answer:
    """Somebody who had to be asked did not answer. Its words are not shown: they may hold what was asked."""
    return Response(render_template("silent.html", reason=error.reason), 503, {"Retry-After": "5"})


def _place(given: str) -> str:
    """Where somebody goes after they signed in: a page of ours, whatever a link says."""
    return given if PLACE.fullmatch(given) else "/"
