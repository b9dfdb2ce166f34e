"""What a pass remembers for the next one; corrections that repeat too often are stopped (R3). Pure."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from reconciler.model import Change, LayerStatus, ObjectRef, Plan, Result, Target, replace

Key = tuple[Target, ObjectRef]
OFTEN = 5  # corrections of one object within the window; after that they are held
WINDOW = 600.0  # seconds
PUT_BACK = frozenset({"Drift", "Deleted", "Claimed"})
DONE = frozenset({"configured", "created"})
SOON = 15.0  # seconds until pods are looked at again, at least
SHARE = 0.25  # of the time for which their layer has not been Current


class Memory(Struct, frozen=True):
    """May be lost with the process. `settled`: pairs known to be equal (P3); `since`: when a layer became unready;
    `put_back`: when we corrected an object, in seconds since the epoch, oldest first (R3)."""

    settled: Mapping[Key, str] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
    put_back: Mapping[Key, tuple[float, ...]] = field(default_factory=dict)


def contended(plan: Plan, memory: Memory, now: float) -> Plan:
    """The plan, with corrections held that were made too often lately, because somebody else changes the object again
    and again (R3). What guards a tenant is put back every time."""
    if not memory.put_back:
        return plan
    return replace(plan, changes=tuple(_yielding(change, memory, now) for change in plan.changes))


def looks(memory: Memory, layers: Mapping[str, LayerStatus], since: Mapping[str, float], now: float) -> list[float]:
    """When pods are to be looked at again although nothing may tell of them: only what a layer applies is watched, and only until it
    is Current. While it is not, a dozen times in twenty minutes, then more seldom; once it is, one more time, since a container that
    ends at once may have counted as ready for a moment. `since`: when each layer that is not Current became so."""
    waiting = [now - since[name] for name, one in layers.items() if one.causes and name in since]
    turned = any(name in layers and layers[name].state == "Current" for name in memory.since)
    return [*(now + max(SOON, waited * SHARE) for waited in waiting), *([now + SOON] if turned else [])]


def corrections(memory: Memory, results: Sequence[Result], now: float) -> dict[Key, tuple[float, ...]]:
    """The times of the corrections that still count, those of this pass included."""
    found = {key: recent for key, times in memory.put_back.items() if (recent := _recent(times, now))}
    for result in results:
        change = result.change
        if change.reason in PUT_BACK and result.outcome in DONE:
            found[change.target, change.ref] = (*found.get((change.target, change.ref), ()), now)
    return found


def _yielding(change: Change, memory: Memory, now: float) -> Change:
    times = _recent(memory.put_back.get((change.target, change.ref), ()), now)
    if change.guard or change.reason not in PUT_BACK or len(times) < OFTEN:
        return change
    fields = ", ".join(one.path for one in change.fields[:3]) or "the object"
    who = min((owner.name for owner in change.by), default="somebody")
    return replace(change, action="hold", reason="Contended", detail=f"{who} keeps changing {fields}", desired=None)


def _recent(times: Sequence[float], now: float) -> tuple[float, ...]:
    return tuple(at for at in times if now - at < WINDOW)
