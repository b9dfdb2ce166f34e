"""Computes the three conditions and the STATUS word of a cluster from its layers and results.

Waiting and held are not failures (T1): they are never Stalled. Messages are sorted, so that equal states give equal
texts.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from reconciler.model import PRUNING_WAITS, UNPROVEN, Condition, Held, LayerStatus, Result, Tombstone

WORDS = frozenset(
    {
        "Pending",
        "Provisioning",
        "Ready",
        "Progressing",
        "Degraded",
        "Waiting",
        "Held",
        "Suspended",
        "Asleep",
        "Deleting",
        "Expired",
        "Invalid",
    }
)
_MOVING = frozenset({"Provisioning", "Progressing", "Waiting", "Deleting", "Pending"})
_LISTED = 5
_TOLD = frozenset({"Awaited", "Terminating"})  # reasons of waiting that the error says in full
_WAYS = {
    "NotOwner": "NotOwner: exists and is not ours; rename or remove it",
    "ClaimedTwice": "ClaimedTwice: two layers name it; remove it from one of them",
}  # what a human must do about an object that is held


class _State(Struct, frozen=True):
    """The messages that decide the word, by kind."""

    failed: tuple[str, ...]
    unseen: tuple[str, ...]
    stalled: tuple[str, ...]
    moving: tuple[str, ...]
    waiting: tuple[str, ...]
    held: tuple[str, ...]
    pruning: tuple[str, ...]  # what deletions wait for; the message shows one of them
    unproven: tuple[str, ...]  # what a removal cannot end before it is read


def compute(
    layers: Sequence[LayerStatus],
    results: Sequence[Result],
    *,
    held: Held | None,
    suspended: str,
    tombstone: Tombstone | None,
    invalid: str,
    never_applied: bool,
    unreachable: str = "",
    asleep: str = "",
    expired: bool = False,
    restoring: str = "",
) -> tuple[tuple[Condition, ...], str]:
    """Conditions Ready, Reconciling, Stalled (in this order) and the STATUS word.

    `suspended` is the reason of a suspend ("" if none), `invalid` the first violation of the cluster's own file ("" if
    none), `never_applied` that nothing of this cluster was ever applied, `unreachable` why the API server of a cluster
    that was up does not answer now ("" if it does): the state inside is not known, and Ready is Unknown. `asleep` is why
    the cluster sleeps ("" if it is awake): layers that wait until it wakes (`sleeps`) are no trouble (O4).
    `expired`: it sleeps because its ttl ended, and its deletion comes next (O6); `restoring`: how far its restore is, for which it
    sleeps or wakes (O9).
    """
    looked_at = [one for one in layers if not one.sleeps]
    state = _state(looked_at, results, held)
    word, message = _word(state, layers, suspended, tombstone, invalid, never_applied, asleep, expired)
    if restoring and word in (_MOVING - {"Deleting"}) | {"Asleep"}:
        word, message = "Provisioning" if never_applied else "Progressing", restoring
    ready = _ready(word, message, state, layers)
    if restoring and ready.status != "True" and word not in ("Suspended", "Deleting"):
        ready = Condition("Ready", "False", "Restoring", restoring)
    elif asleep and word not in ("Suspended", "Deleting"):
        ready = Condition("Ready", "False", "Expired" if expired else "Asleep", asleep)
    elif unreachable and word not in ("Suspended", "Deleting"):
        ready = Condition("Ready", "Unknown", "Unreachable", unreachable)
    return (ready, _reconciling(word, message), _stalled(state, invalid, held)), word


def with_held(found: tuple[Condition, ...], held: Held) -> tuple[Condition, ...]:
    """The conditions of a pass, with what admission holds added: Stalled, where only a commit or the operator can end
    it."""
    if not held.stalls:
        return found
    stalled = Condition("Stalled", "True", held.reason, held.message)
    return tuple(stalled if one.type == "Stalled" and one.status != "True" else one for one in found)


def _state(layers: Sequence[LayerStatus], results: Sequence[Result], held: Held | None) -> _State:
    failed = [result for result in results if result.outcome == "failed"]
    return _State(
        failed=_sentences([*_layers(layers, "Failed"), *map(_failure, failed)]),
        unseen=_sentences(_layers(layers, "Unknown")),
        stalled=_sentences(map(_failure, (result for result in failed if result.stalls))),
        moving=_sentences(
            [
                *_layers(layers, "InProgress"),
                *(
                    f"{r.change.ref} is being deleted{f', and {r.error}' if r.error else ''}"
                    for r in results
                    if r.outcome == "deleting"
                ),
            ]
        ),
        waiting=_sentences(
            [
                *_layers(layers, "Waiting"),
                *(
                    f"{r.change.ref}: {r.error if r.reason in _TOLD else r.reason or 'waiting'}"
                    for r in results
                    if r.outcome == "waiting" and r.reason != PRUNING_WAITS
                ),
            ]
        ),
        held=_sentences(
            [
                *([held.message] if held else []),
                *_layers(layers, "Held"),
                *(f"{r.change.ref}: {way(r.reason or r.change.why)}" for r in results if r.outcome == "held"),
            ]
        ),
        pruning=_sentences(
            [
                *(r.error for r in results if r.reason == PRUNING_WAITS),
                *(flag for r in results if r.change.reason == "LayerUnknown" for flag in r.change.flags),
            ]
        ),
        unproven=_sentences(f"{r.change.ref}: {r.change.why}" for r in results if r.change.reason == UNPROVEN),
    )


def _word(
    state: _State,
    layers: Sequence[LayerStatus],
    suspended: str,
    tombstone: Tombstone | None,
    invalid: str,
    never_applied: bool,
    asleep: str,
    expired: bool,
) -> tuple[str, str]:
    """The first word that applies: decisions of people come first, then errors, then progress."""
    starting = "Provisioning" if never_applied else "Progressing"
    order: tuple[tuple[str, bool, str], ...] = (
        ("Suspended", bool(suspended), suspended),
        ("Held", tombstone is not None and bool(state.held), _text(state.held)),
        ("Deleting", tombstone is not None, _deletion(state, tombstone)),
        ("Expired", expired, asleep),
        ("Invalid", bool(invalid), invalid),
        ("Held", bool(state.held), _text(state.held)),
        ("Degraded", bool(state.failed), _text(state.failed, state.pruning)),
        ("Provisioning" if never_applied else "Degraded", bool(state.unseen), _text(state.unseen, state.pruning)),
        (starting, bool(state.moving), _text(state.moving, state.pruning)),
        (starting, bool(asleep and state.waiting), _text(state.waiting, state.pruning)),
        ("Asleep", bool(asleep), asleep),
        ("Provisioning" if never_applied else "Waiting", bool(state.waiting), _text(state.waiting, state.pruning)),
        ("Pending", not layers, "nothing has been planned yet"),
    )
    return next(((word, message) for word, true, message in order if true), ("Ready", "everything is as in Git"))


def _ready(word: str, message: str, state: _State, layers: Sequence[LayerStatus]) -> Condition:
    """True when every layer is Current, also while something waits for an approval; Unknown when no pass looked."""
    if not layers:
        return Condition("Ready", "Unknown" if word in ("Suspended", "Pending") else "False", word, message)
    trouble = state.failed or state.unseen or state.moving or state.waiting
    healthy = all(layer.state in ("Current", "Held") for layer in layers) and not trouble
    if word == "Deleting" or not healthy:
        reason = word if word not in ("Suspended", "Held", "Invalid") else "NotReady"
        return Condition("Ready", "False", reason, message if reason == word else _text(trouble))
    return Condition("Ready", "True", "Ready", f"{len(layers)} layers are Current")


def _reconciling(word: str, message: str) -> Condition:
    moving = word in _MOVING
    return Condition("Reconciling", "True" if moving else "False", word, message if moving else "")


def _stalled(state: _State, invalid: str, held: Held | None) -> Condition:
    if invalid:
        return Condition("Stalled", "True", "Invalid", invalid)
    if state.stalled:
        return Condition("Stalled", "True", "ApplyFailed", _text(state.stalled))
    if held is not None and held.stalls:
        return Condition("Stalled", "True", held.reason, held.message)
    return Condition("Stalled", "False", "NotStalled", "")


def _deletion(state: _State, tombstone: Tombstone | None) -> str:
    told = _text(state.failed or state.unseen or state.moving or state.waiting)
    if told or tombstone is None:
        return told
    due = datetime.fromtimestamp(tombstone.due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = f"removed from Git; policy {tombstone.policy} is carried out from {due} on, putting the file back cancels it"
    return "; ".join(filter(None, (told, _text(state.unproven))))


def _failure(result: Result) -> str:
    return f"{result.change.ref}: {result.error or result.reason or 'failed'}"


def _layers(layers: Sequence[LayerStatus], *states: str) -> list[str]:
    return [f"{one.name}: {one.message or one.state}" for one in layers if one.state in states]


def way(reason: str) -> str:
    """The reason of a held object, and what a human should do where the reason alone does not say it."""
    return _WAYS.get(reason, reason)


def _sentences(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(found)))


def _text(sentences: Sequence[str], besides: Sequence[str] = ()) -> str:
    more = len(sentences) - _LISTED
    cut = [f"and {more} more"] if more > 0 else []
    return "; ".join([*sentences[:_LISTED], *cut, *besides[:1]])
