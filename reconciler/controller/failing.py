"""What fails for one change request alone, and what ends a round of all of them (B9)."""

import math
from collections.abc import Callable, Iterable

from reconciler.controller import border
from reconciler.controller.opened import Open
from reconciler.controller.pace import Share
from reconciler.controller.telling import Teller
from reconciler.errors import LeaseLost, NidusError
from reconciler.forges import Forge
from reconciler.source.runner import STOPPING

REFUSED = 600.0  # seconds for which a change request is let be that the forge refuses
LOST = 60.0  # seconds of a round that failures may take, until those that failed before, or come from elsewhere, wait for the next one
ENDING = frozenset({"ForgeLimited", STOPPING})  # what no other change request would get past
ASKED = frozenset({"ForgeUnreachable", "ForgeRefused"})  # what may be of one change request, or of the forge


class Failing:
    """Keeps the failures of change requests apart. `alive` is called before each."""

    def __init__(self, forge: Forge, teller: Teller, clock: Callable[[], float]) -> None:
        self.alive: Callable[[], None] = lambda: None
        self._forge, self._teller, self._clock = forge, teller, clock
        self._lost = Share(math.inf, LOST)

    def begin(self) -> None:
        """A round begins."""
        self._lost.begin()

    def ordered(self, found: Iterable[Open]) -> list[Open]:
        """In the order in which they have their turns: first those whose head lies in the repository itself; then others, what was planned
        longest ago first; at the end those that failed, whose pause ended first before others."""
        return sorted(found, key=_turn)

    def contained(self, one: Open, work: Callable[[], None]) -> bool:
        """Do it, and say whether that went well. A failure of one change request is told, and the others go on: it is let be then, until
        something of it moves or a pause is over that grows. Raises what ends a round."""
        self.alive()
        place, now = _state(one), self._clock()
        try:
            with self._lost.failing(), border.contained("change", str(one.change.number)):
                work()
        except NidusError as error:
            if not self.is_its_own(error):
                raise
            one.rest.fail(place, now, REFUSED if error.reason == "ForgeRefused" else 0.0)
            self._teller.failed(one, error)
            return False
        one.rest.over()
        return True

    def rests(self, one: Open) -> bool:
        """Whether it is to be let be, in this round."""
        if self._lost.over and (one.rest.failed or not one.change.inside):
            return True
        return one.rest.waits(_state(one), self._clock())

    def is_its_own(self, error: NidusError) -> bool:
        """Whether this is a failure of one change request alone: its author may have blocked us, or the forge may not come to an end of
        what stands in it. Raises where the forge answers nothing else either."""
        if isinstance(error, LeaseLost) or error.reason in ENDING:
            return False
        if error.reason in ASKED:
            self._forge.me()
        return True

    def is_unread(self, error: NidusError) -> bool:
        """Whether the forge gives no answer to be read about one change request, while it gives others. Raises as `is_its_own`."""
        return error.reason in {"ForgeAnswer", *ASKED} and self.is_its_own(error)


def _state(one: Open) -> tuple[str, ...]:
    """What a failure of a change request depends on."""
    return one.change.head, str(one.change.updated)


def _turn(one: Open) -> tuple[int, float]:
    if one.rest.failed:
        return 2, one.rest.until
    return (0, 0.0) if one.change.inside else (1, one.planned_at)
