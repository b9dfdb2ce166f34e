"""Reports of passes that did not look: suspended, in grace, held as a whole, or failed before anything could be seen. Pure."""

from reconciler import conditions
from reconciler.errors import NidusError
from reconciler.inventory.requests import suspended
from reconciler.model import Bundle, Held, Plan, Report, Request, Revision


def suspension(bundle: Bundle, requests: tuple[Request, ...], now: float) -> str:
    """Why the cluster is suspended: what Git says, else the newest request that has not expired; "" if it is not."""
    if bundle.suspend:
        return bundle.suspend
    asked = suspended(requests, bundle.cluster, now)
    return (asked.reason or f"suspended by {asked.who}") if asked else ""


def in_grace(bundle: Bundle, now: float) -> bool:
    """Gone from Git, and its grace period is not over (D1)."""
    return bundle.tombstone is not None and bundle.tombstone.due > now


def resting(bundle: Bundle, held: Held | None, suspended: str) -> Report:
    """Suspended, or in its grace period: nothing is touched."""
    found, word = conditions.compute(
        (), (), held=held, suspended=suspended, tombstone=bundle.tombstone, invalid="", never_applied=False
    )
    due = bundle.tombstone.due if bundle.tombstone else None
    plan = Plan(bundle.cluster, bundle.revision, ())
    return Report(bundle.cluster, bundle.revision, plan, (), (), found, word, held, next_at=due)


def held(cluster: str, revision: Revision, why: Held) -> Report:
    """Held as a whole: there is no content to derive anything from (S8), or its removal waits for approval."""
    found, word = conditions.compute((), (), held=why, suspended="", tombstone=None, invalid="", never_applied=False)
    return Report(cluster, revision, Plan(cluster, revision, ()), (), (), found, word, why)


def invalid(cluster: str, revision: Revision, message: str) -> Report:
    """Its file is broken, and no version of it was ever accepted."""
    found, word = conditions.compute(
        (), (), held=None, suspended="", tombstone=None, invalid=message, never_applied=True
    )
    return Report(cluster, revision, Plan(cluster, revision, ()), (), (), found, word)


def failed(cluster: str, revision: Revision, error: NidusError) -> Report:
    """The pass could not look or persist; what stands, stands."""
    message = f"{error.reason}: {error.message}"
    found, _ = conditions.compute((), (), held=None, suspended="", tombstone=None, invalid=message, never_applied=False)
    return Report(cluster, revision, Plan(cluster, revision, ()), (), (), found, "Degraded")
