"""What people may ask for of a cluster (U8): the same as the verbs of the command line, asked for in the same way."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from reconciler.errors import Stalled
from reconciler.model import Held
from reconciler.report.view import ClusterView

DAY: Final = 86400.0
TIMES: Final = {"1h": 3600.0, "8h": 8 * 3600.0, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY, "30d": 30 * DAY}
"""What a form offers, in seconds. The command line takes others."""
REASON: Final = 200  # characters


class Ask(Struct, frozen=True):
    """One thing that is asked for: `verb` of a cluster, or of a source where it syncs. `seconds` it stands, 0 for no end."""

    verb: str
    cluster: str = ""
    source: str = ""
    consent: str = ""
    items: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0


class Action(Struct, frozen=True):
    """One button: what it says, what it does in a sentence, whether it is there for a cluster, whether a reason is asked for, and which
    words stand before a time ("" where there is none). `ends`: whether it may be without a time."""

    label: str
    told: str
    offered: Callable[[ClusterView], bool]
    reason: bool = False
    time: str = ""
    ends: bool = True


def holds(one: ClusterView) -> bool:
    """Whether something of it can be approved."""
    return one.held is not None and bool(one.held.consent)


ACTIONS: Final[Mapping[str, Action]] = {
    "approve": Action("Approve", "Allow exactly what is listed, for a day, and nothing else.", holds),
    "sync": Action("Sync", "Read its source again, and compare all objects.", lambda one: bool(one.source)),
    "suspend": Action(
        "Suspend", "Stop reconciling it, for everybody to see. What runs goes on.", lambda one: one.word != "Suspended",
        True, "End after",
    ),
    "resume": Action("Resume", "Reconcile it again.", lambda one: one.word == "Suspended"),
    "sleep": Action(
        "Put to sleep", "Stop its pods and keep its data, until its schedule or somebody wakes it.",
        lambda one: not one.life.asleep, True, "Wake after",
    ),
    "wake": Action(
        "Wake", "Start it, until its schedule or somebody puts it to sleep.", lambda one: one.life.asleep, True,
        "Sleep again after"
    ),
    "extend": Action(
        "Extend", "Move its end further away.", lambda one: bool(one.life.expires_at), True, "Longer by", False
    ),
    "backup": Action("Back up", "Make a snapshot of its data now.", lambda one: one.life.backups is not None, True),
}  # fmt: skip
"""Verb of Kubernetes RBAC -> action."""
STANDS: Final = {"approve": DAY, "backup": DAY}  # seconds, where nobody is asked how long


def made(verb: str, one: ClusterView, form: Mapping[str, str], now: float) -> Ask:
    """What a form asks for, of a cluster as it is now. Raises Stalled where that is not possible, in a sentence for its reader."""
    action = ACTIONS[verb]
    if not action.offered(one):
        raise Stalled(f"{action.label} is not possible now: the cluster is not as it was when the page was made.")
    reason = form.get("reason", "")[:REASON] if action.reason else ""
    if verb == "approve":
        return approval(one.held, form, one.cluster)
    if verb == "sync":
        return Ask(verb, one.cluster, one.source)
    return Ask(verb, one.cluster, reason=reason, seconds=_seconds(verb, one, form, now))


def approval(held: Held | None, form: Mapping[str, str], cluster: str = "") -> Ask:
    """An approval of what its reader saw. Raises Stalled where something else is held by now."""
    if held is None or not held.consent or form.get("consent") != held.consent:
        raise Stalled("What is held has changed since the page was made. Read it again, then approve.")
    return Ask("approve", cluster, consent=held.consent, items=held.items, seconds=DAY)


def _seconds(verb: str, one: ClusterView, form: Mapping[str, str], now: float) -> float:
    action, given = ACTIONS[verb], form.get("lasts", "")
    if not action.time:
        return STANDS.get(verb, 0.0)
    if given not in TIMES and (given or not action.ends):
        raise Stalled("Choose one of the times.")
    seconds = TIMES.get(given, 0.0)
    if verb != "extend":
        return seconds
    ends = datetime.fromisoformat(one.life.expires_at).timestamp()
    return max(ends, now) + seconds - now
