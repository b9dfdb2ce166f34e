"""The first page: who needs somebody, and all clusters by choice; the hosts; and the events that keep open pages up to date."""

from collections.abc import Callable, Hashable, Mapping
from typing import Final

from flask import Response, abort, render_template, request
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from dashboard import fleet, pages
from dashboard.desk import Desk
from dashboard.feed import TOPIC
from reconciler.model import UserInfo

STREAM: Final = "webhook.stream"  # where the listener looks for an answer without an end
KINDS: Final = {"clusters": "nestedclusters", "sources": "sources"}
DRAWN: Final = 32  # overviews that are kept


class Overview:
    """These pages of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._drawn: dict[Hashable, Markup] = {}
        self.pages: Mapping[str, Callable[..., Answer]] = {
            "/": self.overview,
            "/hosts": self.hosts,
            "/events": self.events,
        }

    def overview(self, who: UserInfo) -> Answer:
        # the number is read before what it numbers: else old content would have a new number
        views, now = self._desk.views, self._desk.clock()
        number = views.feed.newest() if views.number is None else views.number()
        clusters, sources, choice = self._desk.clusters(who), self._desk.sources(who), fleet.chosen(request.args)
        told = tuple(pages.troubles(sources.values(), now))  # not the same for all who may get a source
        key = (tuple(clusters), tuple(sources), told, choice, number, int(now // 60))
        body = self._drawn.get(key)
        if body is None:  # the same for all who see the same: one change is drawn once for hundreds of readers
            if len(self._drawn) >= DRAWN:
                self._drawn.clear()
            found = fleet.overview(clusters, sources, choice, now)
            body = self._drawn[key] = Markup(render_template("clusters.html", found=found))
        return self._desk.page(who, "overview.html", topic="", body=body)

    def hosts(self, who: UserInfo) -> Answer:
        clusters, known = self._desk.clusters(who).values(), self._desk.views.hosts()
        if who.name and not self._desk.may(who, "get"):  # a host without a cluster of theirs is none of their business
            known = {name: version for name, version in known.items() if any(one.host == name for one in clusters)}
        found = fleet.hosts(clusters, known)
        return self._desk.page(who, "hosts.html", topic="", found=found)

    def events(self, who: UserInfo) -> Answer:
        """Tell a page of changes, as they come."""
        views, topic = self._desk.views, request.args.get("topic", "")
        kind, _, name = topic.partition("/")
        if not TOPIC.fullmatch(topic) or (name and not self._desk.visible(who, [name], KINDS[kind])):
            abort(404)
        # a list, where the listener can send an answer without an end
        streams = request.environ.get(STREAM) if request.method == "GET" else None
        seen = request.headers.get("Last-Event-ID", "")
        following = views.feed.follow(topic, seen, who.name) if streams is not None and views.live() else None
        if streams is None or following is None:
            return Response("Too many pages are open. This one asks every few seconds.\n", 503, {"Retry-After": "60"})
        streams.append(following)
        return Response(b"", mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})
