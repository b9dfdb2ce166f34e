"""The page of one cluster, and what is asked for there."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import abort, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import actions, costs, graph, inside, pages
from dashboard.actions import ACTIONS
from dashboard.desk import Desk, scope
from reconciler.errors import NidusError, Stalled, Unavailable, short
from reconciler.model import Request, UserInfo, replace
from reconciler.report.workloads import KINDS, Inside

SHOWN: Final = 20  # revisions of a cluster; `nidus history` has them all


class Clusters:
    """These pages of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.pages: Mapping[str, Callable[..., Answer]] = {
            "/clusters/<name>": self.cluster,
            "/clusters/<name>/workloads": self.workloads,
        }
        self.forms: Mapping[str, Callable[..., Answer]] = {"/clusters/<name>/<verb>": self.act}

    def cluster(self, who: UserInfo, name: str) -> Answer:
        one, now = self._desk.cluster(who, name), self._desk.clock()
        ages = {layer.name: pages.ago(layer.since, now) for layer in one.layers}
        given = {"row": pages.row(one, now), "conditions": pages.conditions(one.conditions, now), "ages": ages}
        given |= {"actions": self._desk.actions(who, one), "times": actions.TIMES, "asked": self._asked(name, now)}
        given |= {"inside": self._desk.inside(who, name)}
        given |= {"graph": graph.of(one.layers), "wide": (graph.WIDE, graph.HIGH)}
        given |= self._read(name, now)
        done = ACTIONS.get(request.args.get("done", ""))
        return self._desk.page(
            who, "cluster.html", topic=f"clusters/{name}", one=one, done=done, attempted=short(one.attempted), **given
        )

    def workloads(self, who: UserInfo, name: str) -> Answer:
        """What runs inside, for who may see that: more than its status says."""
        one, kind = self._desk.cluster(who, name), request.args.get("kind", "")
        if not self._desk.inside(who, name):
            return self._desk.refused(f"You have no right to see the workloads of nested cluster {name}.", 403)
        found, told = self._inside(name, kind if kind in KINDS else ""), request.args.get("in", "")
        shown = inside.table(found.rows, told, self._desk.clock())
        given = {"kinds": KINDS, "kind": kind, "namespace": told[: inside.LONGEST], "notes": found.notes}
        return self._desk.page(who, "workloads.html", one=one, shown=shown, **given)

    def _inside(self, name: str, kind: str) -> Inside:
        try:
            return self._desk.views.inside(name, kind)
        except Unavailable as error:
            return Inside((), (f"{error.message}: this page asks again in a few seconds",))

    def act(self, who: UserInfo, name: str, verb: str) -> Answer:
        """Ask for something of a cluster."""
        self._desk.proven(who)
        one = self._desk.cluster(who, name)
        if verb not in ACTIONS:
            abort(404)
        whom = scope(verb, one)
        if not self._desk.allowed(who, verb, one):
            about = f"nested cluster {whom}" if whom else "all nested clusters, which this concerns"
            about = (
                f"all nested clusters of source {one.source}, which are synced together" if verb == "sync" else about
            )
            return self._desk.refused(f"You have no right to {verb} {about}.", 403)
        try:
            made = actions.made(verb, one, request.form, self._desk.clock())
            self._desk.views.ask(who, replace(made, cluster=whom))
        except Stalled as error:
            return self._desk.refused(error.told, 409)
        return redirect(f"/clusters/{name}?done={verb}", 303)

    def _asked(self, name: str, now: float) -> list[tuple[Request, str, str]]:
        """What stands of a cluster: the request, how long ago it was made, and when it ends."""
        found = [one for one in self._desk.views.asked(name) if not one.expires or one.expires > now]
        return [(one, pages.age(now - one.created), pages.ahead(one.expires, now)) for one in found]

    def _read(self, name: str, now: float) -> dict[str, Any]:
        """What is read from the API server for a page. Where it does not answer, the page says so and shows the rest."""
        try:
            history = pages.history(self._desk.views.history(name)[:SHOWN], now)
            return {"history": history, "bills": self._bills(name, now), "unread": ""}
        except NidusError as error:
            return {"history": (), "bills": (), "unread": error.reason}

    def _bills(self, name: str, now: float) -> tuple[costs.Bill, ...]:
        """What a cluster cost this month."""
        found = self._desk.views.spent(time.strftime("%Y-%m", time.gmtime(now)))
        return costs.bills(found, name.__eq__, now) if name in costs.clusters(found) else ()
