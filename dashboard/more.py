"""The pages beside clusters: sources, open change requests, cost. Each shows its reader what they may get (U8)."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from flask import abort, redirect, request
from markupsafe import escape
from werkzeug.wrappers import Response as Answer

from dashboard import actions, costs, pages
from dashboard.actions import Ask
from dashboard.site import Site
from reconciler.errors import Stalled
from reconciler.model import UserInfo
from reconciler.report.view import SourceView

DELIVERIES: Final = 20  # of a source, the newest
PLAN: Final = 80_000  # bytes of a plan as it is written: the page stays below 100 KB
KEPT: Final = 13  # months before this one of which days are kept
CHANGES: Final = 100


class More:
    """These pages over a site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.pages: Mapping[str, Callable[..., Answer]] = {
            "/sources": self.sources,
            "/sources/<name>": self.source,
            "/changes": self.changes,
            "/changes/<source>/<int:number>": self.change,
            "/cost": self.cost,
        }
        self.forms: Mapping[str, Callable[..., Answer]] = {"/sources/<name>/<verb>": self.act_on_source}

    def sources(self, who: UserInfo) -> Answer:
        found = self._site.sources(who)
        now = self._site.clock()
        told = {
            name: [text for each, text in pages.troubles([one], now) if each == name] for name, one in found.items()
        }
        ages = {name: pages.age(now - one.fetched) if one.fetched else "" for name, one in found.items()}
        whole = {name for name in found if self._site.whole(who, name)}
        return self._site.page(who, "sources.html", topic="", found=found, told=told, ages=ages, whole=whole)

    def source(self, who: UserInfo, name: str) -> Answer:
        one, now, whole = self._source(who, name), self._site.clock(), self._site.whole(who, name)
        one = one if whole else pages.withheld(one)
        hook = next((each for each in self._site.views.webhooks() if whole and each["source"] == name), None)
        deliveries = [
            (pages.ago(str(each["at"]), now), each) for each in (hook["deliveries"] if hook else [])[-DELIVERIES:][::-1]
        ]
        stages = [(stage, pages.took(dict(one.stages).get("seen", at), at)) for stage, at in one.stages]
        may = {verb for verb in ("sync", "approve") if who.name and self._site.may(who, verb)}
        given = {"fetched": pages.age(now - one.fetched) if one.fetched else "", "done": request.args.get("done", "")}
        return self._site.page(
            who, "source.html", topic=f"sources/{name}", one=one, hook=hook, deliveries=deliveries, stages=stages, may=may,
            changing=self._site.visible(who, one.changing), whole=whole, **given,
        )  # fmt: skip

    def act_on_source(self, who: UserInfo, name: str, verb: str) -> Answer:
        """Ask for something of all clusters of a source: who may do so to every cluster."""
        self._site.proven(who)
        one = self._source(who, name)
        if verb not in ("sync", "approve"):
            abort(404)
        if not self._site.may(who, verb):
            return self._site.refused(f"You have no right to {verb} all nested clusters.", 403)
        try:
            asked = Ask(verb, source=name) if verb == "sync" else actions.approval(one.held, request.form)
            self._site.views.ask(who, asked)
        except Stalled as error:
            return self._site.refused(error.told, 409)
        return redirect(f"/sources/{name}?done={verb}", 303)

    def changes(self, who: UserInfo) -> Answer:
        found = [each for each in self._site.views.changes() if self._reads(who, str(each["source"]))]
        now = self._site.clock()
        ages = [pages.ago(str(each["planned"]), now) for each in found]
        return self._site.page(
            who, "changes.html", found=list(zip(found, ages, strict=True))[:CHANGES], count=len(found)
        )

    def change(self, who: UserInfo, source: str, number: int) -> Answer:
        known = [one for one in self._site.views.changes() if (one["source"], one["number"]) == (source, number)]
        if not known or not self._reads(who, source):
            abort(404)
        plan = self._site.views.change(source, number)
        text = str(plan["text"]) if plan else ""
        shown = _fitting(text)
        return self._site.page(who, "change.html", one=known[0], plan=shown, cut=shown != text)

    def cost(self, who: UserInfo) -> Answer:
        now = self._site.clock()
        this = time.strftime("%Y-%m", time.gmtime(now))
        month = request.args.get("month", "") or this
        if month not in costs.months(this, KEPT):
            abort(404)
        found, (before, after) = self._site.views.spent(month), costs.beside(month)
        seen = self._site.visible(who, costs.clusters(found))
        bills = costs.bills(found, seen.__contains__, now) if seen else ()
        return self._site.page(
            who, "cost.html", month=month, before=before, after=after if after <= this else "", bills=bills,
            unread=found.unread, hours=found.seen // 3_600_000, wide=costs.WIDE, high=costs.HIGH,
        )  # fmt: skip

    def _source(self, who: UserInfo, name: str) -> SourceView:
        one = self._site.views.sources().get(name)
        if one is None or not self._site.visible(who, [name], "sources"):
            abort(404)
        return one

    def _reads(self, who: UserInfo, source: str) -> bool:
        """Whether somebody may read plans of a source: they tell of all its clusters."""
        site = self._site
        return bool(site.visible(who, [source], "sources")) and (not who.name or site.may(who, "get"))


def _fitting(text: str) -> str:
    """As much of a plan as fits a page, where each < takes four bytes."""
    found = text[:PLAN]
    while len(escape(found).encode()) > PLAN:
        found = found[: len(found) * 3 // 4]
    return found
