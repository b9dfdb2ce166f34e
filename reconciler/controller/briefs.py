"""Reports of passes that did not look: suspended, in grace, held as a whole, or failed before anything could be seen. Pure."""

from dataclasses import replace
from datetime import datetime

from reconciler import conditions
from reconciler.assignment import Assignment, Unresolved
from reconciler.errors import NidusError, Stalled
from reconciler.inventory.requests import suspended
from reconciler.model import Bundle, Held, Plan, Report, Request, Revision


def suspension(bundle: Bundle, requests: tuple[Request, ...], now: float) -> str:
    """Why the cluster is suspended: what Git says, else the newest request that has not expired; "" if it is not."""
    if bundle.suspend:
        return bundle.suspend
    asked = suspended(requests, bundle.cluster, now)
    return (asked.reason or f"suspended by {asked.who}") if asked else ""


def awake(bundle: Bundle, now: float) -> Bundle:
    """The bundle, not suspended any more once the time that stands in Git is over."""
    ends = _until(bundle)
    return replace(bundle, suspend="") if ends is not None and ends <= now else bundle


def suspension_ends(bundle: Bundle, requests: tuple[Request, ...], now: float) -> float | None:
    """When to look again, in seconds since the epoch; None where only a human ends it."""
    if bundle.suspend:
        return _until(bundle)
    asked = suspended(requests, bundle.cluster, now)
    return asked.expires or None if asked else None


def _until(bundle: Bundle) -> float | None:
    suspend = bundle.document.cluster.spec.suspend if bundle.document else None
    try:
        return datetime.fromisoformat(suspend.until).timestamp() if suspend and suspend.until else None
    except ValueError:  # no such day: it never ends by itself
        return None


def in_grace(bundle: Bundle, now: float) -> bool:
    """Gone from Git, and its grace period is not over (D1)."""
    return bundle.tombstone is not None and bundle.tombstone.due > now


def resting(given: Assignment, now: float) -> Report | None:
    """Suspended, or in its grace period: nothing is touched, until `next_at` of the report. None where there is something to do."""
    bundle, suspended = given.bundle, suspension(given.bundle, given.requests, now)
    if not suspended and not in_grace(bundle, now):
        return None
    found, word = conditions.compute(
        (), (), held=given.held, suspended=suspended, tombstone=bundle.tombstone, invalid="", never_applied=False
    )
    ends = suspension_ends(bundle, given.requests, now)
    due = bundle.tombstone.due if bundle.tombstone and not suspended else ends
    plan = Plan(bundle.cluster, bundle.revision, ())
    return Report(bundle.cluster, bundle.revision, plan, (), (), found, word, given.held, next_at=due)


def unresolved(given: Unresolved) -> Report:
    """There is no bundle: the file is broken and nothing older was accepted, or its content cannot be read (S8)."""
    if given.invalid:
        return invalid(given.cluster, given.revision, given.invalid)
    why = given.held or Held("Unreadable", "its content cannot be read")
    if why.reason in ("BadRecord", "NewerFormat"):
        return failed(given.cluster, given.revision, Stalled(why.message, reason=why.reason))
    return held(given.cluster, given.revision, why)


def with_held(report: Report, held: Held | None) -> Report:
    """What admission holds of a cluster is said beside what its pass came to."""
    if held is None or report.held is not None:
        return report
    word = "Held" if report.word == "Ready" else report.word
    return replace(report, held=held, word=word, conditions=conditions.with_held(report.conditions, held))


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
