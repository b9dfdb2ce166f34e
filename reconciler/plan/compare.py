"""The change of one live object of ours: what its fields say first, then what its state demands (A1, P3, P4)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.model import Bundle, Change, FieldChange, InventoryEntry, Layer, Object, Observed
from reconciler.plan import drift, flags, paths
from reconciler.plan.diff import diff
from reconciler.plan.fields import managed, owned
from reconciler.plan.mark import ref_of
from reconciler.plan.redact import is_secret_like, redact
from reconciler.plan.request import ignored, request
from reconciler.plan.suspects import Key, unclaimed

SHOWN = 3  # fields that a flag names


@dataclass(frozen=True, slots=True)
class Wanted:
    """One desired object beside all that is known of it."""

    layer: Layer
    obj: Object
    key: Key
    seen: Observed | None
    entry: InventoryEntry | None
    claimed: str = ""  # the layer before that names the same object


def compare(change: Change, one: Wanted, seen: Observed, bundle: Bundle, salt: bytes) -> Change:
    """What becomes of a live object: unchanged, configure, adopt, replace, hold, or skip under the layer's drift policy."""
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
    if plain:
        return drift.judged(change, one.layer, drift.found(plain, live, before))
    return _claimed(change, body, seen, before)


def _fields(body: Object, one: Wanted, seen: Observed, before: Sequence[str]) -> tuple[FieldChange, ...]:
    """What would change of the fields that are or were ours; nothing where nobody had to ask."""
    if seen.merged is None and not (seen.immutable or seen.refused or seen.unknown):
        return ()
    pointers = ignored(one.layer.ignore, ref_of(body))
    return diff(body, seen.live, seen.merged, (*owned(body), *before), pointers)


def _claimed(change: Change, body: Object, seen: Observed, before: Sequence[str]) -> Change:
    """Desired fields that are equal are ours only once applied (A1): they are applied, unless the dry-run says that the server
    would not list them as ours then either."""
    missing = unclaimed(owned(body), before) if seen.merged is not None else ()
    if not missing or seen.live is None or seen.merged is None:
        return change
    now, then = paths.Index(managed(seen.live)), paths.Index(managed(seen.merged))
    found = [path for path in missing if not now.touches(path) and then.touches(path)]
    if not found:
        return change
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    told = f"{', '.join(found[:SHOWN])}{more} {'become' if len(found) > 1 else 'becomes'} ours"
    return replace(change, action="configure", reason="Claimed", flags=(*change.flags, told))


def _unsure(change: Change, seen: Observed) -> Change:
    """The dry-run gave no answer: the apply will ask again, and its answer counts."""
    if seen.unknown:
        return replace(change, action="configure", reason=seen.unknown, flags=(*change.flags, "known after apply"))
    told = "refused by the server" if is_secret_like(change.ref) else f"refused by the server: {seen.refused}"
    return replace(change, action="configure", reason="Refused", flags=(*change.flags, told))
