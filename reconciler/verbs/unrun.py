"""Objects of packs whose pods a cluster refuses for certain, by its pod security level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from reconciler.model import NestedCluster, Object, Rules

_SHOWN = 3  # objects, and reasons of each


class Refused(Struct, frozen=True):
    """What one level refuses of one pack: the objects with the reasons, as text, and the clusters of that level."""

    level: str
    clusters: tuple[str, ...]
    told: str


def of(clusters: Mapping[str, NestedCluster], objects: Iterable[Object], rules: Rules) -> list[Refused]:
    """`clusters`: those that use the pack."""
    from reconciler.engine import isolation_of

    levels: dict[str, list[str]] = {}
    for name, cluster in clusters.items():
        levels.setdefault(isolation_of(cluster, rules).pod_security, []).append(name)
    kept = list(objects)
    found = [(level, names, _told(kept, level)) for level, names in sorted(levels.items())]
    return [Refused(level, tuple(names), told) for level, names, told in found if told]


def _told(objects: Iterable[Object], level: str) -> str:
    from reconciler.engine.refusals import refused
    from reconciler.errors import few
    from reconciler.plan import mark

    told = [f"{mark.ref_of(one)} ({few(why, _SHOWN)})" for one in objects if (why := refused(one, level))]
    return few(told, _SHOWN)
