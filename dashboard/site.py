"""The pages, each for one reader: what somebody may not get is not there for them (U8)."""

import hashlib
import re
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar

from flask import Response, abort, redirect, render_template, request
from markupsafe import Markup
from msgspec import Struct, field
from werkzeug.wrappers import Response as Answer

from dashboard import actions, costs, graph, pages
from dashboard.actions import ACTIONS, Action, Ask
from dashboard.costs import Spent
from dashboard.feed import TOPIC, Feed
from dashboard.pages import Came, Choice
from dashboard.signin import SignIn
from reconciler.errors import NidusError, Stalled, short
from reconciler.model import Request, UserInfo, replace
from reconciler.plan.consent import whom
from reconciler.report.view import ClusterView, SourceView

_Each = TypeVar("_Each")
STREAM: Final = "webhook.stream"  # where the listener looks for an answer without an end
KINDS: Final = {"clusters": "nestedclusters", "sources": "sources"}
DRAWN: Final = 32  # overviews that are kept
SHOWN: Final = 20  # revisions of a cluster; `nidus history` has them all
LONGEST: Final = 100  # characters of a word in a question
PLACE: Final = re.compile(r"/(?:[A-Za-z0-9._~%?=&-][A-Za-z0-9._~%?=&/-]{0,400})?", re.ASCII)


class Views(Struct, frozen=True):
    """What the controller knows: clusters and sources by name. `waits`: what this process waits for, "" where it does its work. `ask`
    stores what somebody asks for, `asked` is what stands of a cluster. `feed` numbers the changes of clusters and sources, where this
    replica is told of them (`live`); `number` is that of what is shown, where it is another. `webhooks`, `changes` and `change` are those
    of the JSON API. `history` of a cluster, newest first, and what a month cost are read from the API server and may raise NidusError."""

    clusters: Callable[[], Mapping[str, ClusterView]]
    sources: Callable[[], Mapping[str, SourceView]]
    waits: Callable[[], str]
    ask: Callable[[UserInfo, Ask], None] = lambda who, ask: None
    asked: Callable[[str], Sequence[Request]] = lambda cluster: ()
    feed: Feed = field(default_factory=Feed)
    number: Callable[[], int] | None = None
    live: Callable[[], bool] = lambda: True
    webhooks: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    changes: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    change: Callable[[str, int], Mapping[str, Any] | None] = lambda source, number: None
    history: Callable[[str], Sequence[Came]] = lambda cluster: ()
    spent: Callable[[str], Spent] = lambda month: Spent(month, {}, {})


class Site:
    """The pages over `views`. Each takes who reads it."""

    def __init__(self, views: Views, people: SignIn, clock: Callable[[], float]) -> None:
        self.views, self._people, self.clock = views, people, clock
        self._drawn: dict[Hashable, Markup] = {}
        self.pages: Mapping[str, Callable[..., Answer]] = {
            "/": self.overview,
            "/clusters/<name>": self.cluster,
            "/events": self.events,
        }
        self.forms: Mapping[str, Callable[..., Answer]] = {"/clusters/<name>/<verb>": self.act}

    def overview(self, who: UserInfo) -> Answer:
        # the number is read before what it numbers: else old content would have a new number
        number = self.views.feed.newest() if self.views.number is None else self.views.number()
        clusters, sources, choice, now = self._clusters(who), self.sources(who), _choice(), self.clock()
        told = tuple(pages.troubles(sources.values(), now))  # not the same for all who may get a source
        key = (tuple(clusters), tuple(sources), told, choice, number, int(now // 60))
        body = self._drawn.get(key)
        if body is None:  # the same for all who see the same: one change is drawn once for hundreds of readers
            if len(self._drawn) >= DRAWN:
                self._drawn.clear()
            found = pages.overview(clusters, sources, choice, now)
            body = self._drawn[key] = Markup(render_template("clusters.html", found=found))
        return self.page(who, "overview.html", topic="", body=body)

    def events(self, who: UserInfo) -> Answer:
        """Tell a page of changes, as they come."""
        topic = request.args.get("topic", "")
        kind, _, name = topic.partition("/")
        if not TOPIC.fullmatch(topic) or (name and not self.visible(who, [name], KINDS[kind])):
            abort(404)
        # a list, where the listener can send an answer without an end
        streams = request.environ.get(STREAM) if request.method == "GET" else None
        seen = request.headers.get("Last-Event-ID", "")
        following = self.views.feed.follow(topic, seen) if streams is not None and self.views.live() else None
        if streams is None or following is None:
            return Response("Too many pages are open. This one asks every few seconds.\n", 503, {"Retry-After": "60"})
        streams.append(following)
        return Response(b"", mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def cluster(self, who: UserInfo, name: str) -> Answer:
        one, now = self._cluster(who, name), self.clock()
        ages = {layer.name: pages.ago(layer.since, now) for layer in one.layers}
        given = {"row": pages.row(one, now), "conditions": pages.conditions(one.conditions, now), "ages": ages}
        given |= {"actions": self._actions(who, one), "times": actions.TIMES, "asked": self._asked(name, now)}
        given |= {"graph": graph.of(one.layers), "wide": (graph.WIDE, graph.HIGH)}
        given |= self._read(name, now)
        done = ACTIONS.get(request.args.get("done", ""))
        return self.page(
            who, "cluster.html", topic=f"clusters/{name}", one=one, done=done, attempted=short(one.attempted), **given
        )

    def act(self, who: UserInfo, name: str, verb: str) -> Answer:
        """Ask for something of a cluster."""
        self.proven(who)
        one = self._cluster(who, name)
        if verb not in ACTIONS:
            abort(404)
        scope = self._scope(verb, one)
        if not self._allowed(who, verb, one):
            about = f"nested cluster {scope}" if scope else "all nested clusters, which this concerns"
            about = (
                f"all nested clusters of source {one.source}, which are synced together" if verb == "sync" else about
            )
            return self.refused(f"You have no right to {verb} {about}.", 403)
        try:
            self.views.ask(who, replace(actions.made(verb, one, request.form, self.clock()), cluster=scope))
        except Stalled as error:
            return self.refused(error.told, 409)
        return redirect(f"/clusters/{name}?done={verb}", 303)

    def refused(self, told: str, status: int) -> Answer:
        """Something that somebody asked for is not done."""
        return Response(render_template("refused.html", told=told, back=request.path.rpartition("/")[0]), status)

    def missing(self, error: Exception) -> Answer:
        """The same for everybody, and nobody is asked: an unknown path is answered by the listener's own thread."""
        del error
        return Response(render_template("missing.html"), 404)

    def silent(self, error: NidusError) -> Answer:
        """Somebody who had to be asked did not answer. Its words are not shown: they may hold what was asked."""
        return Response(render_template("silent.html", reason=error.reason), 503, {"Retry-After": "5"})

    # Sign-in

    def sign_in(self, wrong: str = "", status: int = 200) -> Answer:
        here = _place(request.values.get("next", "/"))
        elsewhere = request.headers.get("Sec-Fetch-Site") == "cross-site"
        text = render_template("signin.html", wrong=wrong, here=here, elsewhere=elsewhere)
        return Response(text, status)

    def enter(self) -> Answer:
        """Sign in by the form."""
        answer = redirect(_place(request.form.get("next", "/")), 303)
        wrong = self._people.enter(request, answer, request.form.get("token", ""))
        return self.sign_in(wrong, 401) if wrong else answer

    def leave(self, who: UserInfo) -> Answer:
        """Sign out."""
        self.proven(who)
        answer = redirect("/sign-in", 303)
        self._people.leave(request, answer)
        return answer

    # Parts

    def _cluster(self, who: UserInfo, name: str) -> ClusterView:
        one = self.views.clusters().get(name)
        if one is None or not self.visible(who, [name]):
            abort(404)
        return one

    def visible(self, who: UserInfo, names: Collection[str], kind: str = "nestedclusters") -> frozenset[str]:
        """Which of these somebody may get."""
        return self._people.access.seen(who, names, kind)

    def may(self, who: UserInfo, verb: str, name: str = "") -> bool:
        """Whether somebody may do this to a cluster, or to all."""
        return self._people.access.may(who, verb, name)

    def _actions(self, who: UserInfo, one: ClusterView) -> Mapping[str, Action]:
        """What this reader may ask for of a cluster as it is."""
        if not who.name:
            return {}
        offered = {verb: each for verb, each in ACTIONS.items() if each.offered(one)}
        return {verb: each for verb, each in offered.items() if self._allowed(who, verb, one)}

    def _allowed(self, who: UserInfo, verb: str, one: ClusterView) -> bool:
        """Whether somebody may ask for this: a sync is one of the whole source, so it takes the right on all of its clusters."""
        if verb == "sync":
            return self.may(who, verb) or all(self.may(who, verb, each) for each in self._members(one.source))
        return self.may(who, verb, self._scope(verb, one))

    def whole(self, who: UserInfo, source: str) -> bool:
        """Whether somebody may get all clusters of a source: what is told of it may name each of them."""
        if not who.name or self.may(who, "get"):
            return True
        members = self._members(source)
        return bool(members) and len(self.visible(who, members)) == len(members)

    def _members(self, source: str) -> list[str]:
        return sorted(name for name, one in self.views.clusters().items() if one.source == source)

    def _scope(self, verb: str, one: ClusterView) -> str:
        """The cluster that a right to a verb is asked for; "" for an approval of a set that concerns several, as the verb of the command
        line stores it: it takes the right on all of them."""
        return whom(one.held, one.cluster) if verb == "approve" and one.held is not None else one.cluster

    def _asked(self, name: str, now: float) -> list[tuple[Request, str, str]]:
        """What stands of a cluster: the request, how long ago it was made, and when it ends."""
        found = [one for one in self.views.asked(name) if not one.expires or one.expires > now]
        return [(one, pages.age(now - one.created), pages.ahead(one.expires, now)) for one in found]

    def _read(self, name: str, now: float) -> dict[str, Any]:
        """What is read from the API server for a page. Where it does not answer, the page says so and shows the rest."""
        try:
            history = pages.history(self.views.history(name)[:SHOWN], now)
            return {"history": history, "bills": self._bills(name, now), "unread": ""}
        except NidusError as error:
            return {"history": (), "bills": (), "unread": error.reason}

    def _bills(self, name: str, now: float) -> tuple[costs.Bill, ...]:
        """What a cluster cost this month."""
        found = self.views.spent(time.strftime("%Y-%m", time.gmtime(now)))
        return costs.bills(found, name.__eq__, now) if name in costs.clusters(found) else ()

    def _clusters(self, who: UserInfo) -> Mapping[str, ClusterView]:
        return self._shown(who, self.views.clusters(), "nestedclusters")

    def sources(self, who: UserInfo) -> Mapping[str, SourceView]:
        """Those that somebody may get, as far as they are told of them."""
        found = self._shown(who, self.views.sources(), "sources")
        return {name: one if self.whole(who, name) else pages.withheld(one) for name, one in found.items()}

    def _shown(self, who: UserInfo, known: Mapping[str, _Each], kind: str) -> Mapping[str, _Each]:
        """What of a kind somebody may get."""
        seen = self._people.access.seen(who, known.keys(), kind)
        return known if len(seen) == len(known) else {name: one for name, one in known.items() if name in seen}

    def proven(self, who: UserInfo) -> None:
        """Refuse a form that is not of a page that this reader was given."""
        if not self._people.proves(request, who, request.form.get("proof", "")):
            abort(Response("This form is of an old page, or of another reader. Open the page again.\n", 403))

    def page(self, who: UserInfo, template: str, **given: Any) -> Response:
        """A page with the digest of its text, so that one that did not change is not sent again."""
        signed = {"who": who.name, "leaves": self._people.access.auth == "kubernetes"}
        proof = self._people.proof(request, who) if who.name else ""
        text = render_template(template, waits=self.views.waits(), proof=proof, **signed, **given)
        answer = Response(text, mimetype="text/html")
        answer.set_etag(hashlib.sha256(text.encode()).hexdigest()[:32])
        answer.make_conditional(request)
        return answer


def _choice() -> Choice:
    """What the question of a page chooses."""
    told = {name: request.args.get(name, "")[:LONGEST] for name in ("name", "word", "source")}
    page = request.args.get("page", "1")
    return Choice(**told, page=int(page) if page.isdecimal() and len(page) < 6 else 1)


def _place(given: str) -> str:
    """Where somebody goes after they signed in: a page of ours, whatever a link says."""
    return given if PLACE.fullmatch(given) else "/"
