"""One open change request: what was planned and told of it, and how that is stored."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from reconciler.controller.pace import Pause
from reconciler.errors import Stalled
from reconciler.forges import Forge, Unread
from reconciler.model import (
    Basis,
    ChangeRecord,
    ChangeRequest,
    ClusterReview,
    Comment,
    Person,
    Planned,
    Reviewed,
    replace,
)
from reconciler.plan import render_change


@dataclass(slots=True)
class Open:
    """One open change request, and what was told of it. `trusted` is the head that somebody who may write asked a plan for; `digest` that
    of its plan and `basis` what it stands on, None where nothing live was planned; `comment` is the id of ours, which shows the plan
    `shown`; `statuses` how many the head has, `status` the last one. `edited` is when our comment was written last, by the forge's
    clock, as far as we know, and `showing` the consent that it shows and since when: infinity where that is not known (yet).
    `approved` are the names of those who approved it, read last at `asked_at` in the state `asked`; `told` those that our comment names.
    `read` is up to when its comments were read, by the forge's clock. `rest`, `replan` and `deaf`: how long it is let be, its plan not
    made again, and its comments not read, because that failed.
    """

    change: ChangeRequest
    planned: Planned | None = None
    planned_at: float = 0.0
    digest: str = ""
    basis: Basis | None = None
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
    approved: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    asked: tuple[float, str] = (-1.0, "")
    asked_at: float = 0.0
    rest: Pause = field(default_factory=Pause)
    replan: Pause = field(default_factory=Pause)
    read: float = 0.0
    deaf: Pause = field(default_factory=Pause)

    @property
    def touches(self) -> frozenset[str]:
        """The clusters of its source that its plan speaks of."""
        return frozenset(self.basis.clusters) if self.basis else frozenset()

    @property
    def reviewed(self) -> Reviewed | None:
        """Its plan as it was shown; None where there is none, or our comment does not show it."""
        return self.basis.review if self.basis is not None and self.shown == self.basis.digest else None

    def took(self, planned: Planned) -> None:
        """It was planned, or is known to give this tree now."""
        self.planned, self.digest, self.basis = planned, render_change.plan(planned), None
        if planned.review is not None and planned.tree:
            reviewed = Reviewed(self.change.number, planned.tree, planned.consent, planned.before, planned.least)
            clusters = tuple(one.cluster for one in planned.review.clusters if not _taken(one))
            self.basis = Basis(planned.change.head, planned.base, self.digest, reviewed, clusters, planned.needed)

    def recognise(self, comments: Iterable[Comment], me: Person, owner: str, key: bytes) -> None:
        """Find our comment: by its marker, or by its id where somebody took that away. One that is gone or was edited by somebody else
        shows nothing; one that was edited and is again as it was shows what it does from then on."""
        known, last = self.comment, self.edited
        self.comment, self.shown, self.edited = 0, "", math.inf
        for each in comments:
            found = render_change.read(each.body, owner, key) if each.author.id == me.id else None
            if found is not None or (each.author.id == me.id and each.id == known):
                self.comment = each.id
                if found is not None and found.whole:
                    self.shown, self.edited = found.plan, each.edited
                break
        if not self.shown or self.edited != last:
            self.showing = ("", math.inf)
        self.show()

    def wrote(self, comment: Comment) -> None:
        """Our comment was written, and shows the plan."""
        self.comment, self.shown, self.edited = comment.id, self.digest, comment.edited
        self.show()

    def show(self) -> None:
        """Note which consent our comment shows, and since when: a comment that is written again with the same one shows it still."""
        if not self.digest or self.shown != self.digest:
            return
        consent, since = self.basis.review.consent.digest if self.basis else "", self.showing[1]
        if self.showing[0] != consent or since == math.inf:
            self.showing = (consent, self.edited)

    # What is stored

    def record(self, source: str) -> ChangeRecord:
        """What is to be known of it after a restart."""
        consent, since = self.showing
        return ChangeRecord(
            source,
            self.change,
            self.basis if self.reviewed is not None else None,
            consent,
            since if since < math.inf else None,
            self.trusted,
            self.heard,
            self.statuses,
            self.status,
            approved=self.told,
            comment=self.comment,
            read=self.read,
            edited=self.edited if self.edited < math.inf else None,
        )


def _taken(one: ClusterReview) -> bool:
    """Whether the cluster is another source's."""
    return one.held is not None and one.held.reason == "NameTaken"


def recalled(record: ChangeRecord) -> Open:
    """A change request as an earlier process knew it. Its comment is looked at before anything counts."""
    since = math.inf if record.since is None else record.since
    digest = record.basis.digest if record.basis else ""
    return Open(
        record.change,
        digest=digest,
        basis=record.basis,
        trusted=record.trusted,
        shown=digest,
        heard=record.heard,
        statuses=record.statuses,
        status=record.status,
        showing=(record.consent, since),
        told=record.approved,
        comment=record.comment,
        read=record.read,
        edited=math.inf if record.edited is None else record.edited,
    )


def renewed(known: Open | None, change: ChangeRequest) -> Open:
    """A change request as it is now, with what was told of it."""
    one = known or Open(change)
    if one.change.head != change.head:
        one.statuses = 0
    one.change = change
    return one


def current(one: Open, forge: Forge) -> ChangeRequest:
    """The change request as it is now; closed where it is gone: some forges delete them. Raises what the forge raises."""
    try:
        return forge.change(one.change.number)
    except Stalled as error:
        if error.reason != "ForgeMissing":
            raise
        return replace(one.change, state="closed")


def listed(forge: Forge, branch: str, most: int) -> tuple[list[ChangeRequest], list[str]]:
    """What can be read of the open change requests that go into a branch, at most so many, and why something could not: what is missing
    is not closed. Raises what the forge raises."""
    found, unread = list[ChangeRequest](), list[str]()
    try:
        for one in islice(forge.open_changes(branch), most):
            if isinstance(one, Unread):
                unread.append(one.told)
            else:
                found.append(one)
    except Stalled as error:
        if error.reason != "ForgeAnswer" or not (found or unread):
            raise
        unread.append(error.message)
    return found, unread
