"""What the status objects say, as the views they were written from; and waiting for them to change."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import ApiError, ErrorClass
from reconciler.verbs import known, table

PAUSE = 2.0  # seconds before a server that did not answer is asked again

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


def read(client: Client, namespace: str) -> Seen:
    """All status objects of the namespace. Raises Stalled where Nidus is not installed, ApiError."""
    from reconciler.report import bodies

    sources, _ = known.listed(client, "Source", namespace)
    clusters, version = known.listed(client, "NestedCluster", namespace)
    return Seen(
        {one.cluster: one for one in map(bodies.read_cluster, clusters)},
        {one.source: one for one in map(bodies.read_source, sources)},
        {str(item["metadata"]["name"]): item for item in clusters},
        {str(item["metadata"]["name"]): item for item in sources},
        version,
    )


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


@contextmanager
def patiently() -> Iterator[None]:
    """For what a person watches for longer: a server that does not answer is told of on stderr, and asked again after a pause.
    Raises every other ApiError."""
    try:
        yield
    except ApiError as error:
        if error.kind not in (ErrorClass.TRANSIENT, ErrorClass.RELIST):
            raise
        print(f"{error.told}; trying again", file=sys.stderr, flush=True)
        time.sleep(PAUSE)


def ago(text: str, now: float) -> str:
    """How long ago a time as the API writes it was, such as 12m; "" where it says none. `now` in seconds since the epoch."""
    at = known.seconds(text)
    return table.age(now - at) if at else ""
