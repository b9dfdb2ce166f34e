"""The values a chart is rendered with: files, then the profile's, then the cluster's, merged as Helm merges `-f`."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from reconciler.errors import Stalled
from reconciler.packs import sops
from reconciler.packs.documents import read
from reconciler.packs.wire import Job


class Values(Struct, frozen=True):
    """The values, and what of them was encrypted (K12)."""

    tree: dict[str, Any]
    secret: frozenset[str]


def layered(job: Job) -> Values:
    """`valuesFiles` in order < `values` < `overrides`. The chart's own values are below them all; Helm adds them.

    Raises Stalled: RenderFailed for a file that is not one map, DecryptionFailed.
    """
    merged: Mapping[str, Any] = {}
    secret: set[str] = set()
    for path in job.spec.get("valuesFiles", ()):
        file = read(job, path)
        secret |= {str(one) for one in file.clear.values()}
        for source, values in file.documents:
            if not isinstance(values, Mapping):
                raise Stalled(f"{source}: values are a map", reason="RenderFailed")
            merged = merge(merged, sops.filled(values, file.clear))
    for key in ("values", "overrides"):
        merged = merge(merged, job.spec.get(key) or {})
    return Values(dict(merged), frozenset(secret))


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Maps are merged key by key, everything else is replaced whole. A null stays: it removes the chart's default."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(under, value) if both else value  # type: ignore[arg-type]
    return merged
