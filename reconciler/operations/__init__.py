"""What is done to a cluster on its second day, as part of the ordinary pass: after it was observed, before the dry-run.

An operation is a module and a row: it amends what is desired, and says what must be absent. There is no second way to apply.
"""

from collections.abc import Mapping

from reconciler.engine.leftovers import Selector
from reconciler.model import Desired, Observed
from reconciler.operations import sleep, upgrade
from reconciler.operations.situation import Amend as Amend
from reconciler.operations.situation import Amendment as Amendment
from reconciler.operations.situation import Situation as Situation
from reconciler.plan.mark import Key

OPERATIONS: Mapping[str, Amend] = {"sleep": sleep.amend, "backup": upgrade.amend}
"""Field of a cluster's spec -> its operation, in the order in which they amend."""


def amend(situation: Situation, desired: tuple[Desired, ...], observed: Mapping[Key, Observed]) -> Amendment:
    """What is desired after all operations. A cluster that is removed has none."""
    absent: list[Selector] = []
    for operation in OPERATIONS.values() if situation.bundle.document is not None else ():
        amended = operation(situation, desired, observed)
        desired = amended.desired
        absent += amended.absent
    return Amendment(desired, tuple(absent))
