"""Lets the claims of a control plane grow, after the quota that they count in."""

from reconciler.apply.steps import AGAIN, Ground, Stepped
from reconciler.errors import LeaseLost, NidusError
from reconciler.model import replace
from reconciler.operations import growth

LOOK = 30.0  # seconds between two looks at volumes that grow


def step(ground: Ground) -> Stepped:
    """The claims that ask for less than the document get its size; the record says how far they are."""
    volumes, record = ground.volumes, ground.record
    if volumes is None:
        return Stepped(replace(record, growth=None) if record.growth is not None else record)
    if volumes.refused:
        return Stepped(replace(record, growth=growth.told(volumes)), ground.now + LOOK)
    try:
        for one in volumes.claims:
            if growth.smaller(one.asks, volumes.asked):
                ground.client.apply(growth.body(one.ref, volumes.asked), uid=one.uid, force=True)
    except LeaseLost:
        raise
    except NidusError as error:
        return Stepped(replace(record, growth=growth.told(volumes, error.told)), ground.now + AGAIN)
    found = growth.told(volumes)
    return Stepped(replace(record, growth=found), ground.now + LOOK if found.behind else None)
