"""Lets the claims of a control plane grow, after the quota that they count in."""

from reconciler.apply.steps import Ground, Stepped, rarer
from reconciler.errors import LeaseLost, NidusError
from reconciler.model import Volumes, replace
from reconciler.operations import growth


def step(ground: Ground) -> Stepped:
    """The claims that ask for less than the document get its size; the record says how far they are."""
    volumes, record = ground.volumes, ground.record
    if volumes is None:
        return Stepped(replace(record, growth=None) if record.growth is not None else record)
    if volumes.refused:
        return _told(ground, volumes)
    try:
        for one in volumes.claims:
            if growth.smaller(one.asks, volumes.asked):
                ground.client.apply(growth.body(one.ref, volumes.asked), uid=one.uid, force=True)
    except LeaseLost:
        raise
    except NidusError as error:
        return _told(ground, volumes, error.told)
    return _told(ground, volumes)


def _told(ground: Ground, volumes: Volumes, problem: str = "") -> Stepped:
    """What only a person ends is looked at with every other pass, and so is all of a cluster that sleeps."""
    found, before = growth.told(volumes, problem), ground.record.growth
    if found.over or (volumes.refused and not volumes.unread):
        return Stepped(replace(ground.record, growth=found))
    since = (before.since if before is not None else 0.0) or ground.now
    record = replace(ground.record, growth=replace(found, since=since))
    return Stepped(record, None if ground.asleep else rarer(ground.now, since))
