"""Namespaces that packs put objects into and that no pack makes. `helm install --create-namespace` makes them; a pack does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from reconciler.model import NestedCluster, Object, ObjectRef


class Spaces(Struct, frozen=True):
    """What one pack makes and uses in some clusters: the namespaces among its objects, and those its objects lie in."""

    clusters: tuple[str, ...]
    made: frozenset[str]
    used: frozenset[str]


def of(clusters: tuple[str, ...], home: str, objects: Iterable[Object]) -> Spaces:
    """`home` is the namespace of the pack."""
    from reconciler.plan import mark

    refs = [mark.ref_of(item) for item in objects]
    made = frozenset(ref.name for ref in refs if (ref.group, ref.kind) == ("", "Namespace"))
    return Spaces(clusters, made, frozenset(_space(ref, home) for ref in refs) - {""})


def _space(ref: ObjectRef, home: str) -> str:
    """The namespace of an object, "" where it has none or only a cluster knows whether its kind has."""
    from reconciler.plan.kinds import NAMESPACED

    namespaced = NAMESPACED.get((ref.group, ref.kind))
    return "" if namespaced is False else ref.namespace or (home if namespaced else "")


def missing(
    packs: Sequence[Spaces], clusters: Mapping[str, NestedCluster]
) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(position in `packs`, namespace, clusters that lack it), of these clusters."""
    made: dict[str, set[str]] = defaultdict(set)
    for pack in packs:
        for name in pack.clusters:
            made[name] |= pack.made
    for name, cluster in clusters.items():
        made[name] |= {one.name for one in cluster.spec.namespaces}
    for index, pack in enumerate(packs):
        for space in sorted(pack.used):
            lacking = tuple(name for name in pack.clusters if name in clusters and space not in made[name])
            if lacking and not _given(space):
                yield index, space, lacking


def _given(space: str) -> bool:
    from reconciler.model import ObjectRef
    from reconciler.plan.kinds import made_by_kubernetes

    return made_by_kubernetes(ObjectRef("", "Namespace", "", space))
