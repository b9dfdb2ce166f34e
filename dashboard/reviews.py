"""The pages of open change requests and their plans."""

from collections.abc import Callable, Mapping
from typing import Final

from flask import abort
from markupsafe import escape
from werkzeug.wrappers import Response as Answer

from dashboard import pages
from dashboard.desk import Desk
from reconciler.model import UserInfo

PLAN: Final = 80_000  # bytes of a plan as it is written: the page stays below 100 KB
CHANGES: Final = 100


class Reviews:
    """These pages of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.pages: Mapping[str, Callable[..., Answer]] = {
            "/changes": self.changes,
            "/changes/<source>/<int:number>": self.change,
        }

    def changes(self, who: UserInfo) -> Answer:
        found = [each for each in self._desk.views.changes() if self._desk.plans(who, str(each["source"]))]
        now = self._desk.clock()
        ages = [pages.ago(str(each["planned"]), now) for each in found]
        return self._desk.page(
            who, "changes.html", found=list(zip(found, ages, strict=True))[:CHANGES], count=len(found)
        )

    def change(self, who: UserInfo, source: str, number: int) -> Answer:
        known = [one for one in self._desk.views.changes() if (one["source"], one["number"]) == (source, number)]
        if not known or not self._desk.plans(who, source):
            abort(404)
        plan = self._desk.views.change(source, number)
        text = pages.drawn(str(plan["text"])) if plan else ""
        shown = _fitting(text)
        return self._desk.page(who, "change.html", one=known[0], plan=shown, cut=shown != text)


def _fitting(text: str) -> str:
    """As much of a plan as fits a page, where each < takes four bytes."""
    found = text[:PLAN]
    while len(escape(found).encode()) > PLAN:
        found = found[: len(found) * 3 // 4]
    return found
