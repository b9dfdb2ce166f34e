"""From the plan that a change request showed to its merge: whether what it destroys was approved by somebody (B5)."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec import Struct

from reconciler.model import Approval, ChangeRequest, Comment, Person, Planned, Reviewed
from reconciler.plan import render_change

KEPT = 7 * 86400.0  # seconds that the plan of a closed change request is remembered
MOST = 1000  # of them
STATUSES = 50  # of one commit; a forge takes 1,000


@dataclass(slots=True)
class Open:
    """One open change request, and what was told of it. `trusted` is the head that somebody who may write asked a plan for;
    `digest` that of its plan, `comment` the id of ours, which shows the plan `shown`; `statuses` how many the head has, `status` the
    last one. `edited` is when our comment was written last, by the forge's clock, and `showing` the consent that it shows and since when:
    infinity where that is not known yet.
    """

    change: ChangeRequest
    planned: Planned | None = None
    planned_at: float = 0.0
    digest: str = ""
    again: bool = False
    trusted: str = ""
    comment: int = 0
    shown: str = ""
    updated: float = -1.0
    heard_at: float = 0.0
    heard: int = 0
    statuses: int = 0
    status: tuple[str, str, str] = ("", "", "")
    edited: float = math.inf
    showing: tuple[str, float] = ("", math.inf)

    @property
    def touches(self) -> frozenset[str]:
        """The clusters that its plan speaks of."""
        review = self.planned.review if self.planned else None
        return frozenset(one.cluster for one in review.clusters) if review else frozenset()

    @property
    def reviewed(self) -> Reviewed | None:
        """Its plan as it was shown; None where there is none, or our comment does not show it."""
        known = self.planned
        if known is None or known.review is None or not known.tree or self.shown != self.digest:
            return None
        return Reviewed(self.change.number, known.tree, known.consent)

    def recognise(self, comments: Iterable[Comment], me: Person, owner: str) -> None:
        """Find our comment. One that is gone or was edited by somebody else shows nothing."""
        self.comment, self.shown, self.edited = 0, "", math.inf
        for each in comments:
            found = render_change.read(each.body, owner) if each.author.id == me.id else None
            if found is not None:
                self.comment = each.id
                if found.whole:
                    self.shown, self.edited = found.plan, each.edited
                break
        if not self.shown:
            self.showing = ("", math.inf)
        self.show()

    def wrote(self, comment: int) -> None:
        """Our comment was written, and shows the plan; the forge's time of it is read later."""
        self.comment, self.shown, self.edited = comment, self.digest, math.inf
        self.show()

    def show(self) -> None:
        """Note which consent our comment shows, and since when: a comment that is written again with the same one shows it still."""
        if self.planned is None or self.shown != self.digest:
            return
        consent, since = self.planned.consent.digest, self.showing[1]
        if self.showing[0] != consent or since == math.inf:
            self.showing = (consent, self.edited)


class Merge(Struct, frozen=True):
    """A change request that was merged as `commit`, what it had shown, and who had approved that."""

    review: Reviewed
    commit: str
    who: str


class Merges:
    """What closed change requests had shown. `handed` gives a merge to the registry: whether that knows its commit; `progress` says
    how far a commit is, `tell` writes that to the forge."""

    def __init__(
        self,
        handed: Callable[[str, Reviewed, str], bool],
        progress: Callable[[str], tuple[str, str] | None],
        tell: Callable[[str, str, str], None],
    ) -> None:
        self._handed, self._progress, self._tell = handed, progress, tell
        self._followed: dict[str, tuple[float, int, tuple[str, str] | None]] = {}
        self._closed: dict[int, tuple[float, Reviewed]] = {}
        self._waiting: dict[int, tuple[float, Merge]] = {}

    @property
    def reviews(self) -> tuple[Reviewed, ...]:
        """Of all that were closed in the last week."""
        return tuple(review for _, review in self._closed.values())

    def closed(self, one: Open, now: float) -> None:
        """Remember what a change request showed when it was closed: the branch may have been read before or after that."""
        if one.reviewed is not None:
            self._closed[one.change.number] = (now, one.reviewed)

    def merged(self, one: Open, who: Person, now: float) -> None:
        """It was merged, and `who` had approved what it showed."""
        if one.reviewed is not None:
            told = f"{who.name}, by change request #{one.change.number}"
            self._waiting[one.change.number] = (now, Merge(one.reviewed, one.change.merged, told))

    def follow(self, commit: str, now: float) -> None:
        """Tell how far this commit is until every cluster that it changed is Ready (B8)."""
        self._followed.setdefault(commit, (now, 0, None))

    def progress(self, now: float) -> None:
        """Tell what is new of the commits that are followed. Raises what the forge raises."""
        for commit, (since, count, last) in list(self._followed.items()):
            found = self._progress(commit)
            if found is not None and found != last and count < STATUSES:
                self._tell(commit, *found)
                self._followed[commit] = (since, count + 1, found)
            over = found[0] == "success" if found else last is not None
            if over or now - since >= KEPT:
                del self._followed[commit]

    def settle(self, now: float) -> None:
        """Hand over what was approved, and forget what is old."""
        for number, (_, merge) in list(self._waiting.items()):
            if self._handed(merge.commit, merge.review, merge.who):
                del self._waiting[number]
        self._waiting = {number: one for number, one in self._waiting.items() if now - one[0] < KEPT}
        recent = [(number, one) for number, one in self._closed.items() if now - one[0] < KEPT]
        self._closed = dict(recent[-MOST:])


def approver(
    one: Open, now: ChangeRequest, approvals: Iterable[Approval], me: Person, writes: Callable[[Person], bool]
) -> Person | None:
    """Who approved what was merged: somebody other than its author who may write, and who approved the very head that was planned,
    while our comment showed the consent. None where nobody did."""
    planned, (consent, since) = one.planned, one.showing
    if one.reviewed is None or planned is None or planned.change.head != now.head or consent != planned.consent.digest:
        return None
    for each in approvals:
        known = each.head == now.head and each.at > since and each.by.id not in (now.author.id, me.id)
        if known and writes(each.by):
            return each.by
    return None
