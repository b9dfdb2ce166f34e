"""The planner: what one pass must do to a nested cluster, from values alone (P1, P3, P4, P6).

desired + observed + inventory -> changes in apply order, and the consent their destructive part needs
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.model import Bundle, Change, Desired, FieldChange, InventoryEntry, Layer, Object, Observed, Plan
from reconciler.plan import consent, drift, flags, order, prune
from reconciler.plan.diff import diff
from reconciler.plan.fields import owned
from reconciler.plan.mark import ours, ref_of
from reconciler.plan.redact import is_secret_like, redact
from reconciler.plan.request import ignored, request
from reconciler.plan.suspects import Key

LATER = "known after the control plane is up"
UNSERVED = "KindMissing"
LATER_KIND = "known after the server has this kind"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One desired object beside all that is known of it."""

    layer: Layer
    obj: Object
    key: Key
    seen: Observed | None
    entry: InventoryEntry | None
    claimed: str = ""  # the layer before that names the same object


def compute(
    bundle: Bundle,
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    inventory: Sequence[InventoryEntry],
    *,
    salt: bytes,
    unknown: Mapping[str, str],
    nonce: str,
    now: float = 0.0,
) -> Plan:
    """The plan of one cluster; same inputs, equal plan, whatever order they come in.

    `observed` holds every desired object and every inventory entry asked about; what is missing is skipped as NotObserved,
    never taken as absent. A live object without `merged` passed the cheap walk (`plan.suspects`) and is unchanged. `unknown`:
    layers nobody could render or reach, with the reason; nothing is pruned on their targets. `now` (seconds) matters to
    tombstones alone: before they are due, what they would delete is held.
    """
    entries = {(entry.target, entry.ref): entry for entry in inventory}
    wanted = [] if bundle.tombstone else list(_wanted(bundle, desired, observed, entries))
    made = [_decide(one, bundle, salt, nonce) for one in wanted if one.layer.name not in unknown]
    kept = {one.key for one in wanted}
    made += [] if bundle.tombstone else _unplaced(desired, unknown)
    known = frozenset(one.layer.name for one in desired if not one.unplaced) - unknown.keys()
    gone = [entry for key, entry in sorted(entries.items()) if key not in kept]
    pruned = list(prune.changes(bundle, gone, observed, known, nonce, now))
    ordered = order.arranged(made, pruned, bundle.layers)
    return Plan(bundle.cluster, bundle.revision, ordered, consent.of(ordered), _told(unknown, desired, bundle))


def _unplaced(desired: Sequence[Desired], unknown: Mapping[str, str]) -> list[Change]:
    """Objects whose kind nobody serves yet: their scope, and so their name, is not known (A2)."""
    return [
        Change("skip", one.layer.target, ref_of(item), one.layer.name, reason=UNSERVED, flags=(LATER_KIND,))
        for one in desired
        if one.layer.name not in unknown
        for item in one.unplaced
    ]


def _told(unknown: Mapping[str, str], desired: Sequence[Desired], bundle: Bundle) -> dict[str, str]:
    """Why each unknown layer is, in the bundle's order: one that could be rendered waits for its nested control plane (P6)."""
    dark = {one.layer.name for one in desired if one.layer.target.nested}
    at = {layer.name: index for index, layer in enumerate(bundle.layers)}
    return {
        name: ": ".join(
            part for part in (LATER if name in dark and LATER not in unknown[name] else "", unknown[name]) if part
        )
        for name in sorted(unknown, key=lambda name: (at.get(name, len(at)), name))
    }


def _wanted(
    bundle: Bundle,
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    entries: Mapping[Key, InventoryEntry],
) -> Iterator[Wanted]:
    """Every desired object, layers in the bundle's order; the second of two that name one object says who has it."""
    first: dict[Key, str] = {}
    at = {layer.name: index for index, layer in enumerate(bundle.layers)}
    for one in sorted(desired, key=lambda each: (at.get(each.layer.name, len(at)), each.layer.name)):
        for obj in one.objects:
            key = (one.layer.target, ref_of(obj))
            yield Wanted(one.layer, obj, key, observed.get(key), entries.get(key), first.get(key, ""))
            first.setdefault(key, one.layer.name)


def _decide(one: Wanted, bundle: Bundle, salt: bytes, nonce: str) -> Change:
    target, ref = one.key
    change = Change("unchanged", target, ref, one.layer.name, uid=one.seen.uid if one.seen else "", desired=one.obj)
    seen = one.seen
    if one.claimed:
        return replace(
            change, action="hold", reason="ClaimedTwice", flags=(f"layer {one.claimed} has it",), desired=None
        )
    if seen is None:
        return replace(change, action="skip", reason="NotObserved", desired=None)
    if seen.live is None:
        return _create(change, one, seen)
    if "deletionTimestamp" in seen.live["metadata"]:
        return replace(change, action="skip", reason="Terminating", desired=None)
    if seen.foreign or not ours(one.entry, seen.live, bundle.cluster, nonce):
        return replace(change, action="hold", reason="NotOwner", desired=None)
    return _compare(change, one, seen, bundle, salt)


def _create(change: Change, one: Wanted, seen: Observed) -> Change:
    body = request(one.obj, one.layer, None)
    if seen.unknown:
        return replace(change, action="create", reason=seen.unknown, flags=("known after apply",), desired=body)
    removed = one.entry is not None and one.entry.state == "owned" and one.entry.uid != ""
    if removed and one.layer.drift != "correct":
        return drift.tolerated(change, one.layer, ("deleted by somebody else",))
    return replace(change, action="create", reason="Deleted" if removed else "", desired=body)


def _compare(change: Change, one: Wanted, seen: Observed, bundle: Bundle, salt: bytes) -> Change:
    """The change of a live object of ours: what its fields say first, then what its state demands."""
    live = seen.live or {}
    body = request(one.obj, one.layer, live)
    before = one.entry.fields if one.entry else ()
    plain = _fields(body, one, seen, before)
    change = replace(
        change, desired=body, fields=redact(change.ref, plain, salt), flags=drift.scaled(one.obj, body, live)
    )
    change = replace(change, flags=(*change.flags, *flags.of(change, bundle)))
    state = one.entry.state if one.entry else "owned"
    if seen.immutable:
        return flags.replaced(change, live, bundle)
    if state == "retained":
        return replace(change, action="adopt", reason="Retained")
    if seen.refused or seen.unknown:
        return _unsure(change, seen)
    return drift.judged(change, one.layer, drift.found(plain, live, before)) if plain else change


def _fields(body: Object, one: Wanted, seen: Observed, before: Sequence[str]) -> tuple[FieldChange, ...]:
    """What would change of the fields that are or were ours; nothing where nobody had to ask."""
    if seen.merged is None and not (seen.immutable or seen.refused or seen.unknown):
        return ()
    pointers = ignored(one.layer.ignore, ref_of(body))
    return diff(body, seen.live, seen.merged, (*owned(body), *before), pointers)


def _unsure(change: Change, seen: Observed) -> Change:
    """The dry-run gave no answer: the apply will ask again, and its answer counts."""
    if seen.unknown:
        return replace(change, action="configure", reason=seen.unknown, flags=(*change.flags, "known after apply"))
    told = "refused by the server" if is_secret_like(change.ref) else f"refused by the server: {seen.refused}"
    return replace(change, action="configure", reason="Refused", flags=(*change.flags, told))
