"""The values a chart is rendered with: files, then the profile's, then the cluster's, merged as Helm merges `-f`."""

from collections.abc import Mapping
from typing import Any

from reconciler.errors import Stalled
from reconciler.packs.documents import documents
from reconciler.packs.wire import Job


def layered(job: Job) -> dict[str, Any]:
    """`valuesFiles` in order < `values` < `overrides`. The chart's own values are below them all; Helm adds them.

    Raises Stalled(RenderFailed) for a file that is not one map.
    """
    merged: Mapping[str, Any] = {}
    for path in job.spec.get("valuesFiles", ()):
        for source, values in documents(job, path):
            if not isinstance(values, Mapping):
                raise Stalled(f"{source}: values are a map", reason="RenderFailed")
            merged = merge(merged, values)
    for key in ("values", "overrides"):
        merged = merge(merged, job.spec.get(key) or {})
    return dict(merged)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Maps are merged key by key, everything else is replaced whole. A null stays: it removes the chart's default."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(under, value) if both else value  # type: ignore[arg-type]
    return merged
