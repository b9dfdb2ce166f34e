"""Which controller leads, and whether it still does: from the Lease."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.verbs import table

if TYPE_CHECKING:
    from reconciler.kube.client import Client


@dataclass(frozen=True, slots=True)
class Leader:
    """The holder of the Lease ("" for none), since when it leads, when it was last renewed (seconds since the epoch, 0 where the
    Lease does not say), for how long that is good. `known` is False where this account may not read the Lease."""

    holder: str = ""
    since: float = 0.0
    renewed: float = 0.0
    lasts: float = 15.0
    known: bool = True

    def lives(self, now: float) -> bool:
        """Whether a controller runs; True as well where that is not known."""
        return not self.known or (bool(self.holder) and now - self.renewed <= 2 * self.lasts)

    def told(self, now: float) -> str:
        """One sentence about it; "" where nothing is known."""
        if not self.known:
            return ""
        if not self.holder:
            return "none holds the Lease: nothing is reconciled until one runs"
        if not self.lives(now):
            silent = table.age(now - self.renewed)
            return (
                f"no controller has renewed the Lease for {silent} ({self.holder} held it): what is shown is from then, "
                "and nothing is reconciled until one runs"
            )
        return f"{self.holder} leads since {table.age(now - self.since)}"


def read(client: Client, namespace: str) -> Leader:
    """The Lease as it stands; what it says of a wrong type counts as not said."""
    from reconciler.controller.leadership import LEASE
    from reconciler.errors import ApiError, one_line
    from reconciler.model import ObjectRef

    try:
        lease = client.get(ObjectRef("coordination.k8s.io", "Lease", namespace, LEASE)) or {}
    except ApiError:
        return Leader(known=False)
    spec = lease.get("spec") or {}
    lasts = spec.get("leaseDurationSeconds")
    return Leader(
        one_line(spec.get("holderIdentity"), 100),
        seconds(spec.get("acquireTime")),
        seconds(spec.get("renewTime")),
        float(lasts) if isinstance(lasts, int) else 15.0,
    )


def seconds(text: object) -> float:
    """Seconds since the epoch of a time as the API writes it; 0 where it says none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def ago(text: object, now: float | None = None) -> str:
    """How long ago a time as the API writes it was, such as 12m; "" where it says none."""
    at = seconds(text)
    return table.age((time.time() if now is None else now) - at) if at else ""
