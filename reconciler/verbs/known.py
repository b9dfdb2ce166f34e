"""What the verbs look up on the host cluster before they act: sources, nested clusters, and whether a controller is alive."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconciler.errors import ApiError, ErrorClass, Stalled, printable, prints
from reconciler.verbs import table, usage

if TYPE_CHECKING:
    from reconciler.kube.client import Client

Item = Mapping[str, Any]
_IDLE = "nothing is reconciled until one runs"


def listed(client: Client, kind: str, namespace: str) -> tuple[Sequence[Item], str]:
    """All Sources or NestedClusters, and the resourceVersion of the list. Raises Stalled where Nidus is not installed."""
    with installed(kind):
        return client.list("nidus.dev", kind, namespace=namespace)


@contextmanager
def installed(kind: str = "") -> Iterator[None]:
    """Raises Stalled where the host cluster lacks what Nidus needs and is asked for inside: this kind, or its namespace."""
    try:
        yield
    except ApiError as error:
        if error.kind not in (ErrorClass.KIND_MISSING, ErrorClass.NAMESPACE_MISSING):
            raise
        message, files = f"it has no kind {kind} of nidus.dev", "deploy/crds"
        if not kind:
            message, files = error.message, "deploy/crds -f deploy/rbac.yaml"
        hint = f"kubectl apply -f {files}; or is --context another cluster?"
        raise Stalled(f"Nidus is not installed on this host cluster: {message}", hint=hint) from None


def names(items: Sequence[Item]) -> list[str]:
    return sorted(str(item["metadata"]["name"]) for item in items)


def cluster(client: Client, namespace: str, name: str) -> Item:
    """The nested cluster NAME. Raises Stalled where there is none."""
    items, _ = listed(client, "NestedCluster", namespace)
    for item in items:
        if item["metadata"]["name"] == name:
            return item
    raise missing(name, namespace, names(items))


def missing(name: str, namespace: str, there: Sequence[str]) -> Stalled:
    """The error for a nested cluster that is not there; `there` are those that are."""
    return Stalled(f"no nested cluster {name} in namespace {namespace}", hint=instead(name, there))


def instead(name: str, there: Sequence[str]) -> str:
    """Which name was probably meant, or which there are."""
    return str(usage.absent("", name, there, "there are", "there is none; is --namespace the controller's?").hint)


def lease(client: Client, namespace: str) -> Item | None:
    """The controllers' Lease; None where no controller ever ran in this namespace. Raises ApiError."""
    from reconciler.controller.leadership import LEASE
    from reconciler.model import ObjectRef

    return client.get(ObjectRef("coordination.k8s.io", "Lease", namespace, LEASE))


def controller(client: Client, namespace: str) -> tuple[bool, str]:
    """Whether a controller holds the Lease and renewed it lately, and that in words. Raises ApiError. The Lease itself
    decides who writes, so a wrong answer does no harm."""
    import time

    spec = (lease(client, namespace) or {}).get("spec") or {}
    holder = "".join(filter(prints, str(spec.get("holderIdentity") or "")))[:100]
    silent = time.time() - seconds(spec.get("renewTime"))
    if not holder:
        return False, f"none holds the Lease: {_IDLE}"
    if silent > 2 * float(spec.get("leaseDurationSeconds") or 15):
        return False, f"{holder} was last seen {table.age(silent)} ago: what is shown is from then, and {_IDLE}"
    return True, f"{holder} leads since {table.age(time.time() - seconds(spec.get('acquireTime')))}"


def leads(client: Client, namespace: str) -> str:
    """Which controller leads, or that none does; "" where this user may not read the Lease."""
    try:
        return controller(client, namespace)[1]
    except ApiError:
        return ""


def dead(client: Client, namespace: str) -> str:
    """That no controller is alive; "" where one is, or where this user may not see that."""
    try:
        alive, told = controller(client, namespace)
    except ApiError:
        return ""
    return "" if alive else told


def warn(client: Client, namespace: str) -> None:
    """Tell who has just asked for something that no controller is alive to do it; nothing where this user may not see
    that."""
    told = dead(client, namespace)
    if told:
        print(printable(f"note: no controller is alive: {told}"), file=sys.stderr)


def seconds(text: object) -> float:
    """Seconds since the epoch of a time as the API writes it; 0 where it says none."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
