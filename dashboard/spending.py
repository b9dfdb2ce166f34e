"""The page of what clusters cost in a month."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from flask import abort, request
from werkzeug.wrappers import Response as Answer

from dashboard import costs
from dashboard.desk import Desk
from reconciler.model import UserInfo

KEPT: Final = 13  # months before this one of which days are kept


class Spending:
    """This page of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.pages: Mapping[str, Callable[..., Answer]] = {"/cost": self.cost}

    def cost(self, who: UserInfo) -> Answer:
        now = self._desk.clock()
        this = time.strftime("%Y-%m", time.gmtime(now))
        month = request.args.get("month", "") or this
        if month not in costs.months(this, KEPT):
            abort(404)
        found, (before, after) = self._desk.views.spent(month), costs.beside(month)
        seen = self._desk.visible(who, costs.clusters(found))
        bills = costs.bills(found, seen.__contains__, now) if seen else ()
        return self._desk.page(
            who, "cost.html", month=month, before=before, after=after if after <= this else "", bills=bills,
            unread=found.unread, hours=found.seen // 3_600_000, wide=costs.WIDE, high=costs.HIGH,
        )  # fmt: skip
