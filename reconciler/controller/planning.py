"""When the plan of a change request is made, and from what (B3, B4)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.controller import border
from reconciler.controller.opened import Open
from reconciler.controller.pace import Share
from reconciler.controller.people import People
from reconciler.controller.reviewing import Reviewer
from reconciler.controller.telling import Teller
from reconciler.errors import LeaseLost, NidusError, Retry, Stalled
from reconciler.forges import Forge
from reconciler.model import Planned, Revision, replace
from reconciler.source.runner import STOPPING

ANEW = 600.0  # seconds after which comments are read, and plans are made, without a reason
STRANGERS, LOOKING = 10, 60.0  # heads of those who may not write that a round fetches, and seconds that this takes
# what is no failure of the plan
ELSEWHERE = frozenset({"ForgeUnreachable", "ForgeLimited", "ForgeRefused", STOPPING})


class Planning:
    """Plans the change requests of one source. Calls raise what the forge raises, and LeaseLost."""

    def __init__(
        self, forge: Forge, reviewer: Reviewer, people: People, teller: Teller, clock: Callable[[], float]
    ) -> None:
        self.alive: Callable[[], None] = lambda: None
        self._forge, self._reviewer, self._people, self._teller, self._clock = forge, reviewer, people, teller, clock
        self._between: dict[str, frozenset[str]] = {}
        self._trees: dict[str, str] = {}
        self._strangers = Share(STRANGERS, LOOKING)

    def begin(self) -> None:
        """A round begins."""
        self._strangers.begin()

    def anew(self) -> None:
        """The branch may have moved."""
        self._between, self._trees = {}, {}

    def plan(self, one: Open, base: Revision) -> bool:
        """Plan it again where its head, its base or what it touches moved; where that failed, after a pause that grows. False where it is a
        stranger's, whose turn comes in another round."""
        now, place = self._clock(), (one.change.head, base.commit)
        if one.replan.waits(place, now):
            return True
        try:
            if not self._stands(one, base) or one.again or one.replan.failed or self._is_old(one, now):
                if self._strangers.over and not self.trusted(one):
                    return False
                self._anew(one, base)
            one.replan.over()
        except LeaseLost:
            raise
        except NidusError as error:
            if error.reason in ELSEWHERE:
                raise
            one.replan.fail(place, now)
            one.took(Planned(one.change, base.commit, problem=error.told))
            self._teller.failed(one, error)
        return True

    def _anew(self, one: Open, base: Revision) -> None:
        known = one.planned
        if self.trusted(one) and (known is None or (known.change.head, known.base) != (one.change.head, base.commit)):
            self._teller.status(one, "pending", "The plan is being made")
        one.again, one.planned_at = False, self._clock()
        with border.contained("change", str(one.change.number)), self._head(one) as head:
            if head != one.change.head:
                raise Retry("its head moved while it was read", reason="Moved")
            one.took(self._reviewer.plan(one.change, base, trusted=self.trusted(one), alive=self.alive))

    @contextmanager
    def _head(self, one: Open) -> Iterator[str]:
        """The head, in the mirror: that of a stranger only while this is entered."""
        number, mirror = one.change.number, self._reviewer.mirror
        if self.trusted(one):
            yield mirror.change(number, self._forge.ref(number), one.change.head)
        else:
            with self._strangers.taking(), mirror.stranger(number, self._forge.ref(number)) as head:
                yield head

    def _is_old(self, one: Open, now: float) -> bool:
        """Whether it is time to look again, without a reason: nothing live is in what is told of a stranger's."""
        live = one.planned is None or one.planned.review is not None or self.trusted(one)
        return live and now - one.planned_at >= ANEW

    def _stands(self, one: Open, base: Revision) -> bool:
        """Whether the plan is still that of this head on this base. A base that moved elsewhere gives it another tree, and tells anew what
        its clusters would be made of without it."""
        known = one.planned
        if known is None or known.change.head != one.change.head:
            return False
        if known.base == base.commit or self._has(known, base):
            return True
        if known.review is None and known.tree and not self.trusted(one) and self._is_same(known.base, base):
            one.took(replace(known, base=base.commit))
            return True
        if not known.review or {*one.touches, *known.before} & self._since(known.base, base):
            return False
        rebased = self._reviewer.rebased(known, base)
        if rebased is not None:
            one.took(rebased)
        return rebased is not None

    def _has(self, known: Planned, base: Revision) -> bool:
        """Whether the branch has what a merge would give, and the forge does not say so yet: what was shown stays until it does."""
        try:
            return known.review is not None and known.tree == self._tree(base.commit) != self._tree(known.base)
        except Stalled:
            return False

    def _tree(self, commit: str) -> str:
        """That of the source's path. Raises Stalled where the branch does not have the commit any more."""
        if commit not in self._trees:
            self._trees[commit] = self._reviewer.mirror.tree(commit).oid
        return self._trees[commit]

    def _since(self, commit: str, base: Revision) -> frozenset[str]:
        """The clusters that the branch changed since a commit."""
        if commit not in self._between:
            self._between[commit] = self._reviewer.moved(replace(base, commit=commit), base)
        return self._between[commit]

    def _is_same(self, commit: str, base: Revision) -> bool:
        """Whether a commit of the branch has what the branch has now."""
        try:
            return self._tree(commit) == self._tree(base.commit)
        except Stalled:
            return False

    def trusted(self, one: Open) -> bool:
        """Whether it may be planned: its author may write, or somebody who may asked for this head."""
        return one.trusted == one.change.head or (one.change.ours and self._people.writes(one.change.author))
