"""Why a nested cluster is as it is: what blocks it, what waits, who wrote the commit, and what to do. Pure: over views."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from reconciler.model import Authored, LayerStatus
from reconciler.report import bodies
from reconciler.report.view import ClusterView, SourceView

BLOCKING = ("Failed", "InProgress", "Held", "Unknown")


class Why(Struct, frozen=True):
    """What is known of one cluster, sorted by what matters. `since` is RFC 3339, "" where it is not known; `unknown` says in sentences
    what cannot be told, `advice` what a human should do."""

    cluster: str
    word: str
    since: str
    message: str
    attempted: str
    applied: str
    authored: Authored | None
    source: SourceView | None
    mistakes: tuple[str, ...]
    blocked: tuple[LayerStatus, ...]
    waiting: tuple[LayerStatus, ...]
    held: tuple[str, ...]
    digest: str
    seen: str
    unknown: tuple[str, ...]
    advice: tuple[str, ...]


def of(cluster: ClusterView, source: SourceView | None) -> Why:
    """The explanation of a cluster and its source, as their last views have them."""
    blocked = tuple(one for one in cluster.layers if one.state in BLOCKING)
    digest = cluster.held.consent if cluster.held else ""
    return Why(
        cluster.cluster,
        cluster.word or "Pending",
        cluster.since,
        message(cluster),
        cluster.attempted,
        cluster.applied,
        cluster.authored,
        source,
        _mistakes(cluster, source),
        blocked,
        tuple(one for one in cluster.layers if one.state == "Waiting"),
        cluster.plan.held,
        digest,
        cluster.seen,
        tuple(_unknown(cluster, source)),
        tuple(_advice(cluster, source, digest)),
    )


def message(cluster: ClusterView) -> str:
    """The sentence beside the word; "" where everything is as in Git."""
    told = {one.type: one for one in cluster.conditions}
    if cluster.word == "Held" and cluster.plan.held:
        return "; ".join(cluster.plan.held)
    if cluster.word == "Invalid" and "Stalled" in told:
        return told["Stalled"].message
    ready = told.get("Ready")
    return "" if ready is None or (cluster.word == "Ready" and ready.status == "True") else ready.message


def body(why: Why) -> dict[str, Any]:
    """The explanation as a JSON value; what is not known is left out."""
    commit = bodies.authored(why.authored)
    layers = [bodies.layer(one) for one in (*why.blocked, *why.waiting)]
    source = (
        {"name": why.source.source, "revision": why.source.revision, "error": why.source.error} if why.source else {}
    )
    told = {
        "name": why.cluster,
        "status": why.word,
        "since": why.since,
        "message": why.message,
        "revision": {"attempted": why.attempted, "applied": why.applied, **commit},
        "source": {key: value for key, value in source.items() if value},
        "mistakes": list(why.mistakes),
        "layers": layers,
        "layersSeen": why.seen,
        "held": list(why.held),
        "digest": why.digest,
        "unknown": list(why.unknown),
        "advice": list(why.advice),
    }
    return {key: value for key, value in told.items() if value}


def _mistakes(cluster: ClusterView, source: SourceView | None) -> tuple[str, ...]:
    """The mistakes in the cluster's own file, as file:line:column: code message."""
    found = source.violations if source else ()
    return tuple(f"{v.path}:{v.line}:{v.column}: {v.code} {v.message}" for v in found if v.path == cluster.file)


def _unknown(cluster: ClusterView, source: SourceView | None) -> Sequence[str]:
    """What the status objects do not tell."""
    found = []
    ready = next((one for one in cluster.conditions if one.type == "Ready"), None)
    if ready is not None and ready.reason == "Unreachable":
        found.append("the state inside: its API server does not answer")
    if cluster.layers and cluster.seen:
        found.append("the layers now: the last pass did not look at them")
    if cluster.attempted and cluster.authored is None:
        found.append("who wrote the commit: the source was not read at it since the controller started")
    if source is None and cluster.source:
        found.append(f"the state of source {cluster.source}: there is no such Source")
    return found


def _advice(cluster: ClusterView, source: SourceView | None, digest: str) -> Sequence[str]:
    found = []
    if digest:
        found.append(f"to allow what is held: nidus approve {digest}")
    if cluster.word == "Suspended":
        found.append(f"to go on: nidus resume {cluster.cluster}, or a commit where its file says suspend")
    if cluster.word == "Asleep":
        found.append(f"to wake it: nidus wake {cluster.cluster}, or a commit where its file says it sleeps")
    if cluster.word == "Invalid":
        found.append("a commit that mends its file")
    if source is not None and source.error:
        found.append(f"source {source.source} cannot be read, so no newer commit arrives: {source.error}")
    return found
