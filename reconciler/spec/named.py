"""The documents of a tree by name, of which each stands for one (V4)."""

from collections import defaultdict
from collections.abc import Mapping

from msgspec import Struct, field

from reconciler.model import ClusterProfile, Violation
from reconciler.spec.codes import Code
from reconciler.spec.entries import Entry, Item

_SHOWN = 5  # places that one message names


class Named(Struct):
    """Sound documents by name, each name once; `broken` are profiles that are not: (name, version or "")."""

    clusters: dict[str, Item] = field(default_factory=dict)
    profiles: dict[tuple[str, str], Item] = field(default_factory=dict)
    broken: set[tuple[str, str]] = field(default_factory=set)
    violations: list[Violation] = field(default_factory=list)


def gathered(read: Mapping[str, Entry]) -> Named:
    """The documents of all files; a name that several have is none's, and each of them has a violation."""
    named = Named()
    claims: dict[str, list[Item]] = defaultdict(list)
    for entry in read.values():
        for item in entry.items:
            claims[item.subject].append(item)
        named.broken.update((name, version) for kind, name, version in entry.broken if kind == "ClusterProfile")
    for items in claims.values():
        item = items[0]
        name = item.spec.metadata.name
        if len(items) > 1:
            named.violations += [_duplicate(one, items) for one in items]
            if isinstance(item.spec, ClusterProfile):
                named.broken.add((name, item.spec.spec.version))
        elif isinstance(item.spec, ClusterProfile):
            named.profiles[name, item.spec.spec.version] = item
        else:
            named.clusters[name] = item
    return named


def _duplicate(item: Item, items: list[Item]) -> Violation:
    others = [f"{one.path}:{one.line}" for one in items[: _SHOWN + 1] if one is not item][:_SHOWN]
    more = len(items) - 1 - len(others)
    also = f" and {more} other places" if more else ""
    message = f"{item.subject.replace('/', ' ')} is also in {', '.join(others)}{also}"
    return item.violation("/metadata/name", Code.DUPLICATE_NAME, message, "names are unique over all files")
