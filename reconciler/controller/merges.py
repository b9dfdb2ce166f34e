"""From the plan that a change request showed to its merge: whether what it destroys was approved by somebody (B5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.controller.opened import Open, recalled
from reconciler.model import ChangeRecord, Merge, Person, Reviewed, replace

KEPT = 7 * 86400.0  # seconds that the plan of a closed change request is remembered
MOST = 1000  # of them
STATUSES = 50  # of one commit; a forge takes 1,000


class Branch(Protocol):
    """What the controller knows of the branch."""

    def explained(self, merge: Merge) -> None:
        """The forge says as which commit a change request was merged."""
        ...

    def consented(self, commit: str, review: Reviewed, who: str, approvers: tuple[int, ...]) -> bool:
        """Hand over a merge that was approved, by these accounts: whether its commit is known."""
        ...

    def newest(self) -> str:
        """The commit of the branch that was admitted last, "" where none was yet."""
        ...

    def progress(self, commit: str) -> tuple[str, str] | None:
        """How far a commit is, as a status and its words; None where it is not known."""
        ...

    def stages(self, commit: str) -> Mapping[str, float]:
        """When a commit was seen and admitted, in seconds since the epoch; nothing where it is not the newest."""
        ...


@dataclass(slots=True)
class Closed:
    """A change request that is closed since `at`, when its comment showed `review`. `who` approved what it had shown, "" where nobody
    did, and `by` are their accounts; `given`: this process handed that over, `handed`: some process did; `used`: it counts no more.
    `followed`: its merge is told of, `told` times, `last` so.
    """

    one: Open
    at: float
    review: Reviewed | None
    who: str = ""
    given: bool = False
    handed: bool = False
    used: bool = False
    followed: bool = False
    told: int = 0
    last: tuple[str, str] | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    by: tuple[int, ...] = ()

    def record(self, source: str) -> ChangeRecord:
        """What is to be known of it after a restart."""
        found = replace(self.one.record(source), closed=self.at, who=self.who, handed=self.handed, used=self.used)
        found = replace(found, stages=self.stages, by=self.by)
        return replace(found, followed=self.followed, basis=self.one.basis if self.review is not None else None)


class Merges:
    """What closed change requests had shown, and what became of them. `tell` writes a status and its words to the forge,
    and says whether it did."""

    def __init__(self, branch: Branch, tell: Callable[[Closed, str, str], bool]) -> None:
        self._branch, self._tell = branch, tell
        self._closed: dict[int, Closed] = {}

    @property
    def reviews(self) -> tuple[Reviewed, ...]:
        """Of all that were closed in the last week."""
        return tuple(one.review for one in self._closed.values() if one.review is not None)

    def records(self, source: str) -> list[ChangeRecord]:
        """What is to be known of them after a restart."""
        return [one.record(source) for one in self._closed.values()]

    def recall(self, record: ChangeRecord) -> None:
        """Take up what an earlier process knew."""
        one = recalled(record)
        given = (record.who, False, record.handed, record.used, record.followed)
        closed = Closed(one, record.closed, one.reviewed, *given, stages=record.stages, by=record.by)
        self._closed[record.change.number] = closed
        self._explain(closed)

    def _explain(self, closed: Closed) -> None:
        """Say as which commit it was merged, by the forge's word."""
        change, basis, review = closed.one.change, closed.one.basis, closed.review
        if change.state == "merged" and change.merged and basis is not None and review is not None:
            needed = max(basis.needed, review.least)
            self._branch.explained(Merge(change.number, change.author.id, needed, change.merged, review))

    def closed(self, one: Open, now: float) -> None:
        """Remember what a change request showed when it was closed: the branch may have been read before or after that."""
        self._closed[one.change.number] = Closed(one, now, one.reviewed)

    def known(self, number: int) -> Open | None:
        """A closed change request as it was; None where it is not remembered."""
        closed = self._closed.get(number)
        return closed.one if closed is not None else None

    def merged(self, number: int, who: Sequence[Person], *, follow: bool) -> None:
        """It was merged, and `who` had approved what it showed. `follow`: tell how far its commit is until every cluster that it changed
        is Ready (B8). Whether it counts for what waits is asked where it is used: of what else brought that (`consent.counts`)."""
        closed = self._closed[number]
        closed.followed = follow and bool(closed.one.change.merged)
        self._explain(closed)
        if closed.one.basis is not None and len(who) >= max(1, closed.one.basis.needed):
            closed.by = tuple(one.id for one in who)
            closed.who = f"{', '.join(one.name for one in who)}, by change request #{number}"

    def followed(self) -> list[Open]:
        """Those whose clusters are not all Ready yet, the newest first."""
        return [one.one for one in reversed(self._closed.values()) if one.followed]

    def progress(self, now: float) -> None:
        """Tell what is new of the commits that are followed. Raises what the forge raises."""
        for one in self._closed.values():
            if not one.followed:
                continue
            commit = one.one.change.merged
            found = self._branch.progress(commit)
            one.stages = _first(one.stages, self._branch.stages(commit))
            if found is not None and found[0] == "success":
                one.stages = {**one.stages, "ready": now}
            if found is not None and found != one.last and one.told < STATUSES and self._tell(one, *found):
                one.told, one.last = one.told + 1, found
            untold = one.last is None if found is None else found != one.last and one.told < STATUSES
            one.followed = untold or (found is not None and found[0] != "success")

    def settle(self, now: float) -> None:
        """Hand over what was approved, and forget what is old."""
        newest = self._branch.newest()
        for one in self._closed.values():
            review, commit = one.review, one.one.change.merged
            one.used = one.used or (one.handed and newest not in ("", commit))
            if review is not None and one.who and not (one.used or one.given):
                one.given = self._branch.consented(commit, review, one.who, one.by)
                one.handed = one.handed or one.given
        recent = [(number, one) for number, one in self._closed.items() if now - one.at < KEPT]
        self._closed = dict(recent[-MOST:])


def _first(known: Mapping[str, float], now: Mapping[str, float]) -> Mapping[str, float]:
    """Of each stage the first time: a process that begins anew may read the commit before it hears of its delivery."""
    return {name: min(times[name] for times in (known, now) if name in times) for name in {**known, **now}}
