"""The hooks of one phase of a layer, one after another (K7). Nothing waits here: a hook that runs is a state of the layer."""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from reconciler import health
from reconciler.errors import LeaseLost, NidusError
from reconciler.gather import Reader
from reconciler.gather import causes as reading
from reconciler.health import causes
from reconciler.model import Change, Layer, LayerStatus, Link, ObjectRef, Plan, Result, replace
from reconciler.plan import hooks
from reconciler.plan.hook_changes import BROKEN, RUNNING

WROTE = frozenset({"created", "configured", "replaced"})
_WORDS = {"failed": "Failed", "held": "Held"}


class Open(Struct, frozen=True):
    """A phase that is not over: the layer's state, what to watch, and until when the hook may take (seconds since the epoch)."""

    status: LayerStatus
    watch: tuple[ObjectRef, ...] = ()
    until: float = float("inf")


def changes(layer: Layer, plan: Plan, sign: int) -> list[Change]:
    """The changes of the hooks before (`sign` -1) or after (1) the objects of a layer, in their order."""
    return [one for one in plan.changes if one.layer == layer.name and one.turn * sign > 0]


def phase(
    layer: Layer, phase: Sequence[Change], carry: Callable[[Change], Result], reader: Reader, now: float
) -> Iterator[Result | Open]:
    """Sends what is due and yields the results; at last, where the phase is not over, the layer's state.

    What was made in this pass is recorded before anything follows from it, so the phase goes on in the next pass.
    """
    found: Open | None = None
    wrote: Open | None = None
    for change in (one for one in phase if one.action != "delete"):
        result, way = _judged(carry(change), layer, reader, now)
        yield result
        wrote = _at(layer, result, "was applied") if result.outcome in WROTE else wrote
        found = _open(layer, result, way)
        if found is not None:
            break
    for change in (one for one in phase if one.action == "delete"):
        result = carry(change)
        yield result
        if change.reason == BROKEN:
            found = _at(layer, replace(result, outcome="failed"), change.detail)
        elif result.outcome != "deleted" and found is None:
            found = _at(layer, result, result.error or "is being deleted")
    if end := found or wrote:
        yield end


def _judged(result: Result, layer: Layer, reader: Reader, now: float) -> tuple[Result, tuple[Link, ...]]:
    """The result of a hook that is there, failed where the hook did, and the way to the cause."""
    live, change = result.live, result.change
    if change.reason != RUNNING or live is None or result.outcome != "unchanged":
        return result, ()
    way = _way(layer, result, reader)
    found = hooks.verdict(change.ref, live, layer.timeout, now)
    if found.state is not hooks.State.BROKE:
        return result, way
    told = ": ".join(
        filter(None, (found.why, causes.told(way) if way else "", "" if way else health.compute(live).message))
    )
    return replace(result, outcome="failed", error=told or "it failed", reason=BROKEN, stalls=not found.why), way


def _way(layer: Layer, result: Result, reader: Reader) -> tuple[Link, ...]:
    if result.live is None or not causes.followed(result.live):
        return ()
    try:
        below = reading.read(result.live, reader.client(layer.target), reader.reads)
    except LeaseLost:
        raise
    except NidusError:  # the target stopped answering: the next pass says so
        below = ()
    return causes.chain(result.live, below)


def _open(layer: Layer, result: Result, way: tuple[Link, ...]) -> Open | None:
    """Where the layer stands with this hook; None where the next one may go."""
    change = result.change
    if result.outcome in WROTE:
        return _at(layer, result, "runs") if hooks.waited(change.ref) else None
    if change.reason == RUNNING and result.outcome == "unchanged" and result.live is not None:
        if not hooks.waited(change.ref):
            return None
        told = (causes.told(way) if way else "") or health.compute(result.live).message
        return replace(_at(layer, result, told or "runs", way), until=hooks.deadline(result.live, layer.timeout))
    if result.outcome == "deleting":
        return _at(layer, result, "the object of an earlier run is being deleted")
    return _at(layer, result, result.error or change.detail or change.reason, way)


def _at(layer: Layer, result: Result, told: str, way: tuple[Link, ...] = ()) -> Open:
    ref, word = result.change.ref, _WORDS.get(result.outcome, "InProgress")
    message = f"{result.change.hook} hook {ref}: {told}"
    status = LayerStatus(layer.name, str(layer.target), word, message, ref=ref, causes=way)
    return Open(status, (ref,) if layer.target.nested and word == "InProgress" else ())
