"""What operations do on the host after a pass, beside its plan: a step of each that is concerned."""

from collections.abc import Mapping
from typing import Any

from reconciler.apply import growth, kubeconfigs, restores, snapshots
from reconciler.apply.steps import Ground, Machine, Stepped, step
from reconciler.model import Errand, Record, replace
from reconciler.operations import restore

MACHINES: Mapping[str, Machine[Any]] = {
    "backup": snapshots.MACHINE,
    "restore": restores.MACHINE,
    "access": kubeconfigs.MACHINE,
}
"""Operation -> its steps, in the order in which they are done: which archives are gone by now is known before a restore begins."""


def steps(ground: Ground) -> Stepped:
    """A step of each. The record of one is what the next begins with."""
    done = growth.step(ground)
    for machine in MACHINES.values():
        if machine.concerned(ground.assignment):
            one = step(machine, replace(ground, record=done.record))
            times = [at for at in (done.again, one.again) if at is not None]
            errands, answered = (*done.errands, *one.errands), (*done.answered, *one.answered)
            done = Stepped(one.record, min(times, default=None), errands, answered)
    return replace(done, errands=_spared(done.errands, done.record))


def _spared(errands: tuple[Errand, ...], record: Record) -> tuple[Errand, ...]:
    """Without the removal of what a restore is under way with that began in this pass."""
    awaited = restore.awaited([record]) if errands else ()
    return tuple(one for one in errands if one.does != "remove" or (one.location.bucket, one.key) not in awaited)
