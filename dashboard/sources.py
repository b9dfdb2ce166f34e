"""The pages of sources, and what is asked for there of all their clusters."""

from collections.abc import Callable, Mapping
from typing import Final

from flask import abort, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard import actions, pages
from dashboard.actions import Ask
from dashboard.desk import Desk
from reconciler.errors import Stalled
from reconciler.model import UserInfo

DELIVERIES: Final = 20  # of a source, the newest


class Sources:
    """These pages of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.pages: Mapping[str, Callable[..., Answer]] = {"/sources": self.sources, "/sources/<name>": self.source}
        self.forms: Mapping[str, Callable[..., Answer]] = {"/sources/<name>/<verb>": self.act_on_source}

    def sources(self, who: UserInfo) -> Answer:
        found, now = self._desk.sources(who), self._desk.clock()
        told = {
            name: [text for each, text in pages.troubles([one], now) if each == name] for name, one in found.items()
        }
        ages = {name: pages.age(now - one.fetched) if one.fetched else "" for name, one in found.items()}
        whole = {name for name in found if self._desk.whole(who, name)}
        return self._desk.page(who, "sources.html", topic="", found=found, told=told, ages=ages, whole=whole)

    def source(self, who: UserInfo, name: str) -> Answer:
        desk = self._desk
        one, now, whole = desk.source(who, name), desk.clock(), desk.whole(who, name)
        one = one if whole else pages.withheld(one)
        hook = next((each for each in desk.views.webhooks() if whole and each["source"] == name), None)
        deliveries = [
            (pages.ago(str(each["at"]), now), each) for each in (hook["deliveries"] if hook else [])[-DELIVERIES:][::-1]
        ]
        stages = [(stage, pages.took(dict(one.stages).get("seen", at), at)) for stage, at in one.stages]
        may = {verb for verb in ("sync", "approve") if who.name and desk.may(who, verb)}
        given = {"fetched": pages.age(now - one.fetched) if one.fetched else "", "done": request.args.get("done", "")}
        return desk.page(
            who, "source.html", topic=f"sources/{name}", one=one, hook=hook, deliveries=deliveries, stages=stages, may=may,
            changing=desk.visible(who, one.changing), whole=whole, **given,
        )  # fmt: skip

    def act_on_source(self, who: UserInfo, name: str, verb: str) -> Answer:
        """Ask for something of all clusters of a source: who may do so to every cluster."""
        self._desk.proven(who)
        one = self._desk.source(who, name)
        if verb not in ("sync", "approve"):
            abort(404)
        if not self._desk.may(who, verb):
            return self._desk.refused(f"You have no right to {verb} all nested clusters.", 403)
        try:
            asked = Ask(verb, source=name) if verb == "sync" else actions.approval(one.held, request.form)
            self._desk.views.ask(who, asked)
        except Stalled as error:
            return self._desk.refused(error.told, 409)
        return redirect(f"/sources/{name}?done={verb}", 303)
