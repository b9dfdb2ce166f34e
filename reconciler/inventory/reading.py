"""Which requests stand, in bounded memory however many there are (A9). Pure.

Of each cluster the newest suspend or resume stands, and the newest sleep or wake. Of approvals, and of requests for clusters
that do not exist, the newest of each person stand, so that nobody takes the place of others. What was asked of an earlier cluster of
a name stands for none. What has no effect is spent: it may be deleted.
"""

from collections import Counter
from collections.abc import Mapping
from operator import attrgetter

from msgspec import Struct

from reconciler.model import Request

OVERRULING = {
    "suspend": "suspension",
    "resume": "suspension",
    "sleep": "sleep",
    "wake": "sleep",
    "extend": "end",
    "backup": "backup",
    "restore": "restore",
}
"""Kinds of which the newest of a cluster counts -> what they are about."""
KEPT = 86400.0  # seconds a request without effect is kept, to see what was asked
EACH = 200  # requests of one person, but for the newest of each cluster
TEXT = 4 << 20  # characters of their items
SHARES = 8  # so many persons may have as many as one may


class Spent(Struct, frozen=True):
    """The object of a request without effect; `old`: a ConfigMap of an earlier release."""

    name: str
    uid: str
    old: bool = False


class Read(Struct, frozen=True):
    """`standing` oldest first. `left`: person -> how many of their requests are spent because of newer ones of their own, or
    because there are too many of all."""

    standing: tuple[Request, ...]
    spent: tuple[Spent, ...]
    left: Mapping[str, int]


class _Row(Struct, frozen=True):
    created: float
    version: int
    name: str
    request: Request


_order = attrgetter("created", "version", "name")
"""That in which the API server took them: its times count whole seconds, its versions count within one."""


class Reading:
    """Takes requests one after another, in any order. `known`: when each cluster began (`State.begun`), 0 where that is not known; `now`
    in seconds."""

    def __init__(self, known: Mapping[str, float], now: float) -> None:
        self._known, self._now = known, now
        self._newest: dict[tuple[str, str], _Row] = {}
        self._replaced: set[tuple[str, str]] = set()
        self._bounded: list[_Row] = []
        self._text = 0
        self._spent: list[Spent] = []
        self._left = Counter[str]()

    def take(self, request: Request, version: int) -> None:
        """One request; `version` is that of its object as a number."""
        row = _Row(request.created, version, request.name, request)
        if request.expires and request.expires + KEPT < self._now:
            self._spend(request)
        elif request.created < self._known.get(request.cluster, 0.0):
            self._outlived(row)
        elif request.kind in OVERRULING and request.cluster in self._known:
            self._overrule(row)
        elif request.kind in OVERRULING or not request.expires or request.expires > self._now:
            self._bound(row)

    def refuse(self, malformed: Spent, created: float) -> None:
        """An object that asks for nothing."""
        if created + KEPT < self._now:
            self._spent.append(malformed)

    def done(self) -> Read:
        for about, row in [*self._newest.items()]:
            if row.request.kind == "resume" and row.created + KEPT < self._now and about not in self._replaced:
                self._spend(self._newest.pop(about).request)  # nothing is left that it overrules
        self._within()
        rows = sorted([*self._newest.values(), *self._bounded], key=_order)
        return Read(tuple(row.request for row in rows), tuple(self._spent), dict(self._left))

    def _overrule(self, row: _Row) -> None:
        about = row.request.cluster, OVERRULING[row.request.kind]
        known = self._newest.get(about)
        if known is not None:
            self._replaced.add(about)
            self._spend(min(known, row, key=_order).request)
        self._newest[about] = max(known or row, row, key=_order)

    def _outlived(self, row: _Row) -> None:
        """It was made for an earlier cluster of this name."""
        if row.created + KEPT < self._now:
            self._spend(row.request)

    def _bound(self, row: _Row) -> None:
        self._bounded.append(row)
        self._text += _text(row)
        if len(self._bounded) > 2 * SHARES * EACH or self._text > 2 * SHARES * TEXT:
            self._within()

    def _within(self) -> None:
        """Of those that are bounded, the newest of each person; of all persons, the newest one of each before the second of anybody."""
        turns, texts, own = Counter[str](), Counter[str](), list[tuple[int, int, _Row]]()
        for row in sorted(self._bounded, key=_order, reverse=True):
            turns[row.request.who] += 1
            texts[row.request.who] += _text(row)
            if turns[row.request.who] <= EACH and texts[row.request.who] <= TEXT:
                own.append((turns[row.request.who], _text(row), row))
            else:
                self._leave(row)
        self._bounded, self._text = [], 0
        for _, text, row in sorted(own, key=lambda one: one[:2]):  # newest first where both are equal
            if len(self._bounded) < SHARES * EACH and self._text + text <= SHARES * TEXT:
                self._bounded.append(row)
                self._text += text
            else:
                self._leave(row)

    def _leave(self, row: _Row) -> None:
        self._left[row.request.who] += 1
        self._spend(row.request)

    def _spend(self, request: Request) -> None:
        self._spent.append(Spent(request.name, request.uid, request.old))


def _text(row: _Row) -> int:
    return sum(map(len, row.request.items))
