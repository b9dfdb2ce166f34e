"""Who may write to a repository, and who approved its change requests (B5)."""

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from reconciler.controller.opened import Open
from reconciler.forges import Forge
from reconciler.model import Approval, ChangeRequest, Person, replace


class Asked(Struct, frozen=True):
    """Who wrote the changes that an approval is about, by id, and how many others have to approve it."""

    authors: frozenset[int]
    needed: int


class People:
    """The accounts of one forge. Every call may raise what the forge raises."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge
        self._me: Person | None = None
        self._may: dict[Person, bool] = {}

    def me(self) -> Person:
        """The account of the token, asked once."""
        self._me = self._me or self._forge.me()
        return self._me

    def writes(self, who: Person) -> bool:
        """Whether an account may write, asked once until `anew`."""
        if who not in self._may:
            self._may[who] = self._forge.can_write(who)
        return self._may[who]

    def anew(self) -> None:
        """Forget who may write."""
        self._may = {}

    def approvers(self, one: Open, now: ChangeRequest, authors: Collection[int] = ()) -> tuple[Person, ...]:
        """Who approved what was planned of a change request that is `now` so, but for `authors` of what else is asked about."""
        found = approvers(one, now, self._forge.approvals(now), self.me(), self.writes)
        return tuple(each for each in found if each.id not in authors)

    def look(self, one: Open, now: float, most: float) -> None:
        """Note who approved it, where somebody has to: read where something of it moved, or `most` seconds after the last time."""
        if one.planned is None or one.basis is None or not one.planned.needed:
            return
        state = (one.change.updated, one.digest)
        if state != one.asked or now - one.asked_at >= most:
            one.approved = tuple(sorted(each.name for each in self.approvers(one, one.change)))
            one.asked, one.asked_at = state, now
        one.planned = replace(one.planned, approved=one.approved)

    def together(self, one: Open, by: Person, asked: Asked) -> tuple[int, ...]:
        """The accounts that approve it, where one more approval, by this person, is all that is missing; else nobody."""
        if by.id in asked.authors:
            return ()
        if asked.needed < 2:
            return (by.id,)
        others = (each.id for each in self.approvers(one, one.change, asked.authors))
        found = tuple(sorted({by.id, *others}))
        return found if len(found) >= asked.needed else ()


def approvers(
    one: Open, now: ChangeRequest, approvals: Iterable[Approval], me: Person, writes: Callable[[Person], bool]
) -> tuple[Person, ...]:
    """Who approved what was planned: people other than its author who may write, and who approved the very head that was planned, while
    our comment showed the consent. Each once, in the order of the forge."""
    basis, (consent, since) = one.basis, one.showing
    if one.reviewed is None or basis is None or basis.head != now.head or consent != basis.review.consent.digest:
        return ()
    found: dict[int, Person] = {}
    for each in approvals:
        known = each.head == now.head and each.at > since and each.by.id not in (now.author.id, me.id)
        if known and each.by.id not in found and writes(each.by):
            found[each.by.id] = each.by
    return tuple(found.values())
