"""Fields that must go although no apply of ours would remove them (A1), as paths:

- an entry of a keyed list whose key somebody edited: the server takes it for another one beside ours, and refuses both;
- a default block of a union without an owner that does not fit the type in Git;
- a field that somebody wrote and the manifest sets to null;
- a field of our last apply that is no longer in Git and that somebody's edit owns too.

Never a field that another applier owns, or that an autoscaler sets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from msgspec import Struct

from reconciler.model import MISSING, Object
from reconciler.plan import paths
from reconciler.plan.conflict import edited, rivals
from reconciler.plan.fields import TOP, Owners, entries, leaves, owned, owner_of
from reconciler.plan.mark import ref_of
from reconciler.plan.shapes import Keyed, Table, keys_of, shape, table
from reconciler.plan.suspects import lost
from reconciler.plan.walk import empty, stands

ALIKE: Mapping[str, tuple[str, ...]] = {"ports": ("name", "nodePort", "hostPort")}
"""Fields beside the key that two entries of such a list may not share."""

STRATEGY = ("spec.strategy.type", "RollingUpdate", "spec.strategy.rollingUpdate")
UPDATE = ("spec.updateStrategy.type", "RollingUpdate", "spec.updateStrategy.rollingUpdate")
UNIONS: Mapping[tuple[str, str], tuple[str, str, str]] = {
    ("apps", "Deployment"): STRATEGY,
    ("apps", "StatefulSet"): UPDATE,
    ("apps", "DaemonSet"): UPDATE,
    ("", "Service"): ("spec.sessionAffinity", "ClientIP", "spec.sessionAffinityConfig"),
}
"""Discriminator, the value that allows the block, and the block (Kubernetes 1.36, pkg/apis/*/validation)."""


PAIRS = 10_000  # comparisons of entries in one list, at most


class Strays(Struct, frozen=True):
    """Paths that have to go, sorted. `edits`: written by somebody else (`by`); `left`: of our last apply and no longer
    in Git; `unfit`: defaults."""

    edits: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    by: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(sorted({*self.edits, *self.left, *self.unfit}))


def found(wanted: Object, live: Object, before: Sequence[str], yielded: Iterable[str] = ()) -> Strays:
    """The fields that have to go so that the object is as in Git. `before`: the fields of our last confirmed apply;
    `yielded`: paths that are left to somebody else."""
    owners, away = Owners(live), paths.Index(yielded)

    def chosen(some: Iterable[str], *, nobody: bool = False) -> tuple[str, ...]:
        whose = {path: rivals(owners, path) for path in some if not away.touches(path)}
        return tuple(sorted(path for path, who in whose.items() if edited(who) or (nobody and not who)))

    edits = chosen([*_renamed(wanted, live, before), *_nulled(wanted, live)])
    by = tuple(sorted({one.name for path in edits for one in rivals(owners, path)}))
    return Strays(edits, chosen(lost(wanted, live, before)), chosen(_unfit(wanted, live), nobody=True), by)


def _renamed(wanted: Object, live: Object, before: Sequence[str]) -> Iterator[str]:
    """Entries of keyed lists that are ours with an edited key, or that conflict with ours."""
    rows, held = table(wanted["apiVersion"]), _items(before)
    spoken = {name: value for name, value in wanted.items() if name not in TOP}
    for here in _lists(spoken, live, "", "", rows):
        yield from _strangers(here, held.get(here.path, frozenset()), rows)


class _Keyed(NamedTuple):
    """A keyed list that Git asks for, beside the live one: entries by key."""

    path: str
    name: str
    form: Keyed
    asked: dict[tuple[Any, ...], Any]
    there: dict[tuple[Any, ...], Any]

    def item(self, key: tuple[Any, ...]) -> str:
        return paths.item(self.path, zip(self.form.keys, key, strict=True))


def _lists(asked: Mapping[str, Any], live: Mapping[str, Any], path: str, above: str, rows: Table) -> Iterator[_Keyed]:
    """The keyed lists below two maps, where both have them."""
    for name, value in asked.items():
        there, form = live.get(name), shape(rows, above, name)
        if isinstance(value, dict) and isinstance(there, dict) and form is None:
            yield from _lists(value, there, paths.child(path, name), name, rows)
        elif isinstance(form, Keyed) and isinstance(value, list) and isinstance(there, list):
            keys, theirs = keys_of(value, form), keys_of(there, form)
            if keys is not None and theirs is not None:
                pairs = dict(zip(keys, value, strict=True)), dict(zip(theirs, there, strict=True))
                here = _Keyed(paths.child(path, name), name, form, *pairs)
                yield here
                yield from _below(here, rows)


def _below(here: _Keyed, rows: Table) -> Iterator[_Keyed]:
    for key in here.asked.keys() & here.there.keys() if not here.form.whole else ():
        yield from _lists(here.asked[key], here.there[key], here.item(key), here.name, rows)


def _strangers(here: _Keyed, held: frozenset[str], rows: Table) -> Iterator[str]:
    """Entries that are not desired and conflict with desired ones, or are one of ours under another key."""
    theirs = [key for key in here.there if key not in here.asked and here.item(key) not in held]
    if not theirs:
        return
    single = ALIKE.get(here.name, ())
    taken = {(name, str(one.get(name))) for one in here.asked.values() for name in single if one.get(name)}
    absent = [one for key, one in here.asked.items() if key not in here.there]
    gone = bool(held - {here.item(key) for key in here.there}) and len(absent) * len(theirs) <= PAIRS
    bare = [{name: value for name, value in one.items() if name not in here.form.keys} for one in absent]
    for key in theirs:
        one = here.there[key]
        same = any((name, str(one.get(name))) in taken for name in single)
        if same or (gone and any(stands(each, one, here.name, rows) for each in bare)):
            yield here.item(key)


def _items(before: Iterable[str]) -> dict[str, frozenset[str]]:
    """The entries of keyed lists among the fields of our last apply, by the path of the list."""
    found: dict[str, set[str]] = {}
    for path in before:
        ups = paths.ancestors(path)
        for one, above in pairwise(ups):
            if one.endswith("]"):
                found.setdefault(above, set()).add(one)
    return {path: frozenset(items) for path, items in found.items()}


def _unfit(wanted: Object, live: Object) -> Iterator[str]:
    ref = ref_of(wanted)
    if (row := UNIONS.get((ref.group, ref.kind))) is None:
        return
    kind, fits, block = row
    asked = paths.get(wanted, kind)
    if asked in (MISSING, None, fits) or paths.get(wanted, block) not in (MISSING, None):
        return
    if paths.get(live, block) not in (MISSING, None):
        yield block


def _nulled(wanted: Object, live: Object) -> Iterator[str]:
    """Fields that somebody wrote below a field that the manifest sets to null. The field itself is removed by the
    apply."""
    asked, there = paths.Values(wanted), paths.Values(live)
    nulls = [path for path in owned(wanted) if asked.get(path) is None]
    some = [path for path in nulls if not empty("", _or_none(there.get(path)))]
    if not some:
        return
    ours = paths.Index(some)
    for entry in entries(live):
        if edited([owner_of(entry)]):
            yield from (path for path in leaves(entry.get("fieldsV1")) if path not in ours.exact and ours.over(path))


def _or_none(value: Any) -> Any:
    return None if value is MISSING else value
