"""Whether a cluster is suspended: by its file in Git, or by a request. Pure."""

from datetime import UTC, datetime

from reconciler.inventory.requests import suspended
from reconciler.model import Bundle, Request, replace


def suspension(bundle: Bundle, requests: tuple[Request, ...], now: float) -> str:
    """Why the cluster is suspended, by whom and until when: what Git says, else the newest request that has not expired; "" if it
    is not."""
    if bundle.suspend:
        return f"{bundle.suspend} (by its file{_ending(_until(bundle))})"
    asked = suspended(requests, bundle.cluster, now)
    if asked is None:
        return ""
    return f"{asked.reason or 'suspended'} (by {asked.who}{_ending(asked.expires or None)})"


def _ending(at: float | None) -> str:
    """, until 2026-01-01T00:00:00Z"""
    return f", until {datetime.fromtimestamp(at, UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}" if at is not None else ""


def awake(bundle: Bundle, now: float) -> Bundle:
    """The bundle, not suspended any more once the time written in Git is over."""
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
    except ValueError:  # no such day: only a commit ends it
        return None
