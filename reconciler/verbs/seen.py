"""What the status objects say, as the views they were written from; and waiting for them to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Object
    from reconciler.report.view import ClusterView, SourceView


@dataclass(frozen=True, slots=True)
class Seen:
    """The views by name, the objects they were read from, and the resourceVersion of the list of nested clusters."""

    clusters: Mapping[str, ClusterView]
    sources: Mapping[str, SourceView]
    items: Mapping[str, Object]
    roots: Mapping[str, Object]
    version: str

    @property
    def empty(self) -> bool:
        return not self.clusters and not self.sources


def read(client: Client, namespace: str) -> Seen:
    """All status objects of the namespace. Raises Stalled where the kinds of Nidus are not installed, ApiError."""
    from reconciler.errors import ApiError, ErrorClass, Stalled
    from reconciler.report import bodies

    try:
        sources, _ = client.list("nidus.dev", "Source", namespace=namespace)
        clusters, version = client.list("nidus.dev", "NestedCluster", namespace=namespace)
    except ApiError as error:
        if error.kind is not ErrorClass.KIND_MISSING:
            raise
        raise Stalled(
            "Nidus is not installed on this cluster: it has no kind NestedCluster",
            hint="another --context, or kubectl apply -f deploy/crds",
        ) from None
    return Seen(
        {str(item["metadata"]["name"]): bodies.read_cluster(item) for item in clusters},
        {str(item["metadata"]["name"]): bodies.read_source(item) for item in sources},
        {str(item["metadata"]["name"]): item for item in clusters},
        {str(item["metadata"]["name"]): item for item in sources},
        version,
    )


def nowhere(namespace: str) -> str:
    """What to say of a namespace without a source and without a cluster."""
    return (
        f"nothing of Nidus is in namespace {namespace}: -n names the controller's namespace, nidus check looks closer"
    )


def absent(name: str, seen: Seen, namespace: str) -> str:
    """What to say of a nested cluster that does not exist."""
    from reconciler.verbs import usage

    if seen.empty:
        return nowhere(namespace)
    hint = usage.close(name, seen.clusters) or "nidus status lists them"
    return f"no nested cluster {name} in namespace {namespace}; {hint}"


def wait(client: Client, namespace: str, version: str, seconds: float = 55.0) -> None:
    """Return when a nested cluster changes after `version`, at the latest after `seconds`."""
    lasts = max(1, int(seconds))
    events = client.watch(
        "nidus.dev", "NestedCluster", since=version, namespace=namespace, seconds=lasts, silence=lasts + 5.0
    )
    try:
        next(iter(events), None)
    finally:
        events.stop()
