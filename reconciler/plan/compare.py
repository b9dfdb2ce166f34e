"""The change of one live object of ours: from its fields first, then from its state (A1, P3, P4)."""

from collections.abc import Sequence

from msgspec import Struct

from reconciler.errors import few
from reconciler.model import MISSING, Bundle, Change, FieldChange, InventoryEntry, Layer, Object, Observed, replace
from reconciler.plan import drift, flags, paths, scale, strays
from reconciler.plan.diff import diff, without
from reconciler.plan.fields import managed, owned, pointer, scaled
from reconciler.plan.mark import ref_of, remade
from reconciler.plan.redact import is_secret_like, redact
from reconciler.plan.request import ignored, left, path_of, request
from reconciler.plan.suspects import Key, lost, unclaimed

UNSERVED = "VersionNotServed"  # the reason of a change that the server refuses: it has the kind at other versions
SHOWN = 3  # fields that a flag names


class Wanted(Struct, frozen=True):
    """One desired object and what is known of it."""

    layer: Layer
    obj: Object
    key: Key
    seen: Observed | None
    entry: InventoryEntry | None
    claimed: str = ""  # the layer before that names the same object


def compare(change: Change, one: Wanted, seen: Observed, bundle: Bundle, salt: bytes) -> Change:
    """The change of a live object: unchanged, configure, adopt, replace, hold, or skip by the layer's drift policy."""
    live = seen.live or {}
    body = request(one.obj, one.layer, live, seen.driven)
    before = one.entry.fields if one.entry else ()
    gone = _strays(one, seen, before)
    body = without(body, [pointer(path) for path in gone.unfit])  # a null there would keep what it names
    plain = _fields(body, one, seen, before)
    more = _without(plain, gone.all, live)
    fields = redact(change.target, change.ref, (*plain, *more), salt)
    told = (*scale.told(one.obj, body, seen, before), *left(one.obj, one.layer), *flags.of(change, fields))
    change = replace(change, desired=body, strays=gone.all, fields=fields, flags=told)
    state = one.entry.state if one.entry else "owned"
    made = (
        () if one.entry is not None and remade(one.entry, live) else before
    )  # the engine wrote all of it, and edited nothing
    if seen.immutable:
        return flags.replaced(replace(change, strays=()), live, bundle)
    if state == "retained":
        return replace(change, action="adopt", reason="Retained")
    if seen.unserved:
        return replace(change, action="configure", reason=UNSERVED, flags=(*told, seen.unserved))
    if seen.unknown or (seen.refused and not gone.all):
        return _unsure(change, seen)
    if plain or more:
        return drift.judged(change, one.layer, drift.found(plain, live, made), plain, gone)
    return _claimed(change, body, seen, made)


def _strays(one: Wanted, seen: Observed, before: Sequence[str]) -> strays.Strays:
    """The fields that have to go (`plan.strays`); none where no dry-run was needed."""
    if seen.live is None or not _asked(seen):
        return strays.Strays()
    yielded = [path_of(seen.live, each) for each in ignored(one.layer.ignore, ref_of(one.obj))]
    if seen.driven:
        yielded += [scale.REPLICAS, *(path for path, _ in scaled(seen.live))]
    return strays.found(one.obj, seen.live, before, yielded)


def _asked(seen: Observed) -> bool:
    return seen.merged is not None or seen.immutable or bool(seen.refused or seen.unknown or seen.unserved)


def _fields(body: Object, one: Wanted, seen: Observed, before: Sequence[str]) -> tuple[FieldChange, ...]:
    """The changes of fields that are or were ours; none where no dry-run was needed."""
    if not _asked(seen):
        return ()
    pointers = ignored(one.layer.ignore, ref_of(body))
    found = diff(body, seen.live, seen.merged, (*owned(body), *before), pointers)
    if seen.merged is not None or seen.live is None:
        return found
    return (*found, *_without(found, lost(body, seen.live, before), seen.live))  # a dry-run does not show these


def _without(shown: Sequence[FieldChange], gone: Sequence[str], live: Object) -> tuple[FieldChange, ...]:
    """The removal of these paths, without those already shown."""
    known, values = paths.Index(one.path for one in shown), paths.Values(live)
    found = ((path, values.get(path)) for path in gone if not known.touches(path))
    return tuple(FieldChange(path, value, MISSING) for path, value in found if value is not MISSING)


def _claimed(change: Change, body: Object, seen: Observed, before: Sequence[str]) -> Change:
    """A desired field that is equal but not ours becomes ours only by an apply (A1): it is applied, unless the dry-run
    shows that the server would not list it as ours even then."""
    missing = unclaimed(body, owned(body), before) if seen.merged is not None else ()
    if not missing or seen.live is None or seen.merged is None:
        return change
    now, then = paths.Index(managed(seen.live)), paths.Index(managed(seen.merged))
    found = [path for path in missing if not now.touches(path) and then.touches(path)]
    if not found:
        return change
    told = f"{few(found, SHOWN)} {'become' if len(found) > 1 else 'becomes'} ours"
    return replace(change, action="configure", reason="Claimed", flags=(*change.flags, told))


def _unsure(change: Change, seen: Observed) -> Change:
    """The dry-run gave no answer: the object is applied, and the server's answer to that decides."""
    if seen.unknown:
        return replace(change, action="configure", reason=seen.unknown, flags=(*change.flags, "known after apply"))
    told = "refused by the server" if is_secret_like(change.ref) else f"refused by the server: {seen.refused}"
    return replace(change, action="configure", reason="Refused", flags=(*change.flags, told))
