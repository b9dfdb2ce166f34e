"""What an operation decides from, and what it answers."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf

from msgspec import Struct

from reconciler.engine.leftovers import Selector
from reconciler.model import AWAKE, Bundle, Desired, Observed, Record, Request, Sleeping
from reconciler.plan.mark import Key


class Situation(Struct, frozen=True):
    """One cluster at one moment (`now` in seconds since the epoch), with the requests of all clusters, oldest first; `sleeping`: what
    `decide` says of it; `up`: its control plane answers; `grace`: the operator's grace period, in seconds."""

    bundle: Bundle
    record: Record
    requests: Sequence[Request]
    now: float
    sleeping: Sleeping = AWAKE
    up: bool = True
    grace: float = 0.0


def newest(requests: Iterable[Request], kinds: Collection[str], cluster: str, after: float = -inf) -> Request | None:
    """The newest request of these kinds that concerns a cluster and was made after a time, in seconds since the epoch. `requests` oldest
    first."""
    found = None
    for one in requests:
        if one.kind in kinds and one.cluster == cluster and one.created > after:
            found = one
    return found


def since(requests: Iterable[Request], begun: float) -> tuple[Request, ...]:
    """What was asked for since a cluster began (`State.begun`). What was asked for before is about an earlier one of its name: it neither
    stops the new one nor does anything to it."""
    return tuple(one for one in requests if one.created >= begun)


class Amendment(Struct, frozen=True):
    """What is desired after an operation. `absent`: what must not be there, expanded to objects with their UIDs when observed (D4);
    `stops`: why the engine's layer is not applied now."""

    desired: tuple[Desired, ...]
    absent: tuple[Selector, ...] = ()
    stops: str = ""


Amend = Callable[[Situation, tuple[Desired, ...], Mapping[Key, Observed]], Amendment]
"""An operation: what is desired and what was observed -> what is desired. Pure."""
