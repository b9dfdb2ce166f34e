"""What an operation decides from, and what it answers."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from reconciler.engine.leftovers import Selector
from reconciler.model import (
    AWAKE,
    NO_VERSIONS,
    Backups,
    Bundle,
    Desired,
    Observed,
    Record,
    Request,
    Restores,
    Seen,
    Sleeping,
    Versions,
    Volumes,
)
from reconciler.plan.mark import Key


class Situation(Struct, frozen=True):
    """One cluster at one moment (`now` in seconds since the epoch), with the requests of all clusters, oldest first; `sleeping`: what
    `decide` says of it; `up`: its control plane answers; `grace`: the operator's grace period, in seconds;
    `volumes`: those that are to grow; `end_waits`: why its end is not carried out, "" where it is (O6)."""

    bundle: Bundle
    record: Record
    requests: Sequence[Request]
    now: float
    sleeping: Sleeping = AWAKE
    up: bool = True
    grace: float = 0.0
    volumes: Volumes | None = None
    end_waits: str = ""


def newest(
    requests: Iterable[Request], kinds: Collection[str], cluster: str, seen: Seen | None = None
) -> Request | None:
    """The newest request of these kinds that concerns a cluster and is not `seen`. `requests` oldest first."""
    found = None
    for one in requests:
        if one.kind in kinds and one.cluster == cluster and not (seen and _is(seen, one)):
            found = one
    return found


def seen_of(known: Backups | Restores) -> Seen:
    """The requests that are answered, by what is on record."""
    return known.seen or Seen(known.handled)


def answered(requests: Iterable[Request], kinds: Collection[str], cluster: str, before: Seen) -> Seen:
    """What is seen once all of these are answered. Only requests themselves say up to when: our own clock differs from that of the API
    server, and what it makes within one second has one time."""
    asked = [one for one in requests if one.kind in kinds and one.cluster == cluster and not _is(before, one)]
    if not asked:
        return before
    at = asked[-1].created
    kept = (before.uids or ()) if before.at == at else ()
    return Seen(at, (*kept, *(one.uid for one in asked if one.created == at)))


def _is(seen: Seen, one: Request) -> bool:
    return one.created < seen.at or (one.created == seen.at and (seen.uids is None or one.uid in seen.uids))


def since(requests: Iterable[Request], begun: float) -> tuple[Request, ...]:
    """What was asked for since a cluster began (`State.begun`). What was asked for before is about an earlier one of its name: it neither
    stops the new one nor does anything to it."""
    return tuple(one for one in requests if one.created >= begun)


class Amendment(Struct, frozen=True):
    """What is desired after an operation. `absent`: what must not be there, expanded to objects with their UIDs when observed (D4);
    `stops`: why the engine's layer is not applied now; `runs`: the versions of the engine's live workload, where they are to be on record
    before anything is applied."""

    desired: tuple[Desired, ...]
    absent: tuple[Selector, ...] = ()
    stops: str = ""
    runs: Versions = NO_VERSIONS


Amend = Callable[[Situation, tuple[Desired, ...], Mapping[Key, Observed]], Amendment]
"""An operation: what is desired and what was observed -> what is desired. Pure."""
