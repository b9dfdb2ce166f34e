"""What is done to a cluster on its second day, as part of the ordinary pass: after it was observed, before the dry-run.

An operation is a module and a row. What it does on the host besides, step by step, is a row in `apply.after.MACHINES`. There is no
second way to apply.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from reconciler.engine.leftovers import Selector
from reconciler.model import AWAKE, NO_VERSIONS, Desired, Held, Observed, Sleeping
from reconciler.operations import backup, expiry, growth, restore, sleep, upgrade
from reconciler.operations.situation import Amend as Amend
from reconciler.operations.situation import Amendment as Amendment
from reconciler.operations.situation import Situation as Situation
from reconciler.plan.mark import Key


class Operation(Struct, frozen=True):
    """What an operation says of a cluster, each part None where it says nothing. `sleeps`: whether it is to sleep now; `amend`: what is
    desired; `held`: what waits for a human; `turns`: when to look again, in seconds since the epoch."""

    sleeps: Callable[[Situation], Sleeping | None] | None = None
    amend: Amend | None = None
    held: Callable[[Situation], Held | None] | None = None
    turns: Callable[[Situation], Iterable[float]] | None = None


OPERATIONS: Mapping[str, Operation] = {
    "restore": Operation(sleeps=restore.decide, held=restore.waits),
    "expiry": Operation(sleeps=expiry.decide, turns=expiry.turns),
    "sleep": Operation(sleeps=sleep.decide, amend=sleep.amend, turns=sleep.turns),
    "backup": Operation(turns=backup.turns),
    "growth": Operation(amend=growth.amend),
    "upgrade": Operation(amend=upgrade.amend, held=upgrade.held),
}
"""In the order in which they amend; the first that says something of sleep decides (O1, O6, O9)."""


def decide(situation: Situation) -> Sleeping:
    """Whether the cluster is to sleep now. One that is removed does not."""
    if situation.bundle.document is None or situation.bundle.tombstone is not None:
        return AWAKE
    said = (one.sleeps(situation) for one in OPERATIONS.values() if one.sleeps)
    return next((found for found in said if found is not None), AWAKE)


def amend(situation: Situation, desired: tuple[Desired, ...], observed: Mapping[Key, Observed]) -> Amendment:
    """What is desired after all operations. A cluster that is removed has none."""
    absent: list[Selector] = []
    stops, runs = "", NO_VERSIONS
    for one in OPERATIONS.values() if situation.bundle.document is not None else ():
        if one.amend is not None:
            amended = one.amend(situation, desired, observed)
            desired, stops = amended.desired, stops or amended.stops
            runs = runs if amended.runs == NO_VERSIONS else amended.runs
            absent += amended.absent
    return Amendment(desired, tuple(absent), stops, runs)


def held(situation: Situation) -> Held | None:
    """What waits for a human, None where nothing does."""
    said = (one.held(situation) for one in OPERATIONS.values() if one.held)
    return next((found for found in said if found is not None), None)


def turns(situation: Situation) -> list[float]:
    """When to look again, in seconds since the epoch."""
    return [at for one in OPERATIONS.values() if one.turns for at in one.turns(situation) if at > situation.now]
