"""What one reader sees, and what they may ask for: the one place where the pages ask about rights (U8)."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from flask import Response, abort, render_template, request

from dashboard import pages
from dashboard.actions import ACTIONS, Action
from dashboard.signin import SignIn
from dashboard.views import Views
from reconciler.model import UserInfo
from reconciler.plan.consent import whom
from reconciler.report.view import ClusterView, SourceView

_Each = TypeVar("_Each")


class Desk:
    """Pages of `views` for the people who signed in: what somebody may not get is not there for them."""

    def __init__(self, views: Views, people: SignIn, clock: Callable[[], float]) -> None:
        self.views, self.people, self.clock = views, people, clock

    def clusters(self, who: UserInfo) -> Mapping[str, ClusterView]:
        """Those that somebody may get."""
        return self._shown(who, self.views.clusters(), "nestedclusters")

    def cluster(self, who: UserInfo, name: str) -> ClusterView:
        """One of them; else the answer is the same as where there is none."""
        one = self.views.clusters().get(name)
        if one is None or not self.visible(who, [name]):
            abort(404)
        return one

    def sources(self, who: UserInfo) -> Mapping[str, SourceView]:
        """Those that somebody may get, as far as they are told of them."""
        found = self._shown(who, self.views.sources(), "sources")
        return {name: one if self.whole(who, name) else pages.withheld(one) for name, one in found.items()}

    def source(self, who: UserInfo, name: str) -> SourceView:
        """One of them, whole."""
        one = self.views.sources().get(name)
        if one is None or not self.visible(who, [name], "sources"):
            abort(404)
        return one

    def plans(self, who: UserInfo, source: str) -> bool:
        """Whether somebody may read plans of a source: they tell of all its clusters."""
        return bool(self.visible(who, [source], "sources")) and (not who.name or self.may(who, "get"))

    def visible(self, who: UserInfo, names: Collection[str], kind: str = "nestedclusters") -> frozenset[str]:
        """Which of these somebody may get."""
        return self.people.access.seen(who, names, kind)

    def may(self, who: UserInfo, verb: str, name: str = "") -> bool:
        """Whether somebody may do this to a cluster, or to all."""
        return self.people.access.may(who, verb, name)

    def allowed(self, who: UserInfo, verb: str, one: ClusterView) -> bool:
        """Whether somebody may ask for this: a sync is one of the whole source, so it takes the right on all of its clusters."""
        if verb == "sync":
            return self.may(who, verb) or all(self.may(who, verb, each) for each in self._members(one.source))
        return self.may(who, verb, scope(verb, one))

    def inside(self, who: UserInfo, name: str) -> bool:
        """Whether somebody may see what runs inside a cluster; without a sign-in everything is shown."""
        return not who.name or self.may(who, "workloads", name)

    def actions(self, who: UserInfo, one: ClusterView) -> Mapping[str, Action]:
        """What this reader may ask for of a cluster as it is."""
        if not who.name:
            return {}
        offered = {verb: each for verb, each in ACTIONS.items() if each.offered(one)}
        return {verb: each for verb, each in offered.items() if self.allowed(who, verb, one)}

    def whole(self, who: UserInfo, source: str) -> bool:
        """Whether somebody may get all clusters of a source: what is told of it may name each of them."""
        if not who.name or self.may(who, "get"):
            return True
        members = self._members(source)
        return bool(members) and len(self.visible(who, members)) == len(members)

    def proven(self, who: UserInfo) -> None:
        """Refuse a form that is not of a page that this reader was given."""
        if not self.people.proves(request, who, request.form.get("proof", "")):
            abort(Response("This form is of an old page, or of another reader. Open the page again.\n", 403))

    def page(self, who: UserInfo, template: str, **given: Any) -> Response:
        """A page with the digest of its text, so that one that did not change is not sent again."""
        signed = {"who": who.name, "leaves": self.people.access.auth == "kubernetes"}
        proof = self.people.proof(request, who) if who.name else ""
        text = render_template(template, waits=self.views.waits(), proof=proof, **signed, **given)
        answer = Response(text, mimetype="text/html")
        answer.set_etag(hashlib.sha256(text.encode()).hexdigest()[:32])
        answer.make_conditional(request)
        return answer

    def refused(self, told: str, status: int) -> Response:
        """Something that somebody asked for is not done."""
        return Response(render_template("refused.html", told=told, back=request.path.rpartition("/")[0]), status)

    def _members(self, source: str) -> list[str]:
        return sorted(name for name, one in self.views.clusters().items() if one.source == source)

    def _shown(self, who: UserInfo, known: Mapping[str, _Each], kind: str) -> Mapping[str, _Each]:
        seen = self.people.access.seen(who, known.keys(), kind)
        return known if len(seen) == len(known) else {name: one for name, one in known.items() if name in seen}


def scope(verb: str, one: ClusterView) -> str:
    """The cluster that a right to a verb is asked for; "" for an approval of a set that concerns several, as the verb of the command
    line stores it: it takes the right on all of them."""
    return whom(one.held, one.cluster) if verb == "approve" and one.held is not None else one.cluster
