"""The last revisions of each cluster, a ConfigMap each in the controller's namespace (U2)."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE, ApiError, ErrorClass
from reconciler.inventory.packing import deflated, inflated
from reconciler.kube.client import Client
from reconciler.model import Object, ObjectRef, replace

LABEL: Final = "nidus.dev/history"  # its value is the cluster
PREFIX: Final = "nidus-history-"
KEPT: Final = 50  # revisions of one cluster
UNPACKED: Final = 1 << 20
TEXT: Final = 200  # characters of an author or a subject


class Passage(Struct, frozen=True):
    """One revision of one cluster. Times are seconds since the epoch, 0 where it did not come so far or that is not known:
    `admitted` for the cluster, `applied` wholly, and first `ready`. `number`: the change request that was merged, 0 for none."""

    revision: str
    admitted: float = 0.0
    applied: float = 0.0
    ready: float = 0.0
    author: str = ""
    subject: str = ""
    number: int = 0


_decoder = decoding.decoder(tuple[Passage, ...])


def merged(stored: Sequence[Passage], more: Iterable[Passage]) -> tuple[Passage, ...]:
    """The newest KEPT of both, oldest first. One more of the last revision completes it: what is known first stays."""
    found = list(stored)
    for one in more:
        if found and found[-1].revision == one.revision:
            found[-1] = _completed(found[-1], one)
        else:
            found.append(one)
    return tuple(found[-KEPT:])


def _completed(known: Passage, more: Passage) -> Passage:
    names = (one.name for one in msgspec.structs.fields(Passage))
    return replace(known, **{name: getattr(known, name) or getattr(more, name) for name in names})


def add(client: Client, namespace: str, cluster: str, more: Iterable[Passage]) -> None:
    """Add revisions of a cluster. One that cannot be read begins anew: it is shown to people, and nothing is decided by it.
    Raises ApiError, RACED where somebody else wrote it meanwhile."""
    item = client.get(_ref(namespace, cluster))
    stored = of(item) if item else ()
    found = merged(stored, more)
    if item and found == stored:
        return
    metadata: dict[str, Any] = {
        "name": f"{PREFIX}{cluster}",
        "namespace": namespace,
        "labels": {LABEL: cluster},
    }
    data = {"format": "1", "revisions": deflated(msgspec.json.encode(found))}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    if item is not None:
        metadata["resourceVersion"] = item["metadata"]["resourceVersion"]
    client.apply(body, force=True)


def forget(client: Client, namespace: str, cluster: str) -> None:
    """Delete the history of a cluster that no longer exists. Raises ApiError."""
    client.delete(_ref(namespace, cluster), uid="")


def read(client: Client, namespace: str, cluster: str = "") -> dict[str, tuple[Passage, ...]]:
    """The revisions of one cluster, or of each, oldest first. Raises ApiError."""
    selector = f"{LABEL}={cluster}" if cluster else LABEL
    items, _ = client.list("", "ConfigMap", namespace=namespace, labels=selector)
    return {str(item["metadata"]["labels"][LABEL]): of(item) for item in items}


def seen(client: Client, namespace: str, cluster: str = "") -> dict[str, tuple[Passage, ...]]:
    """As `read`; nothing where this user may not list ConfigMaps."""
    try:
        return read(client, namespace, cluster)
    except ApiError as error:
        if error.kind is not ErrorClass.DENIED:
            raise
        return {}


def of(item: Object) -> tuple[Passage, ...]:
    """What a ConfigMap holds, nothing where it cannot be read."""
    try:
        return _decoder.decode(inflated(item["data"]["revisions"], UNPACKED))[-KEPT:]
    except (KeyError, TypeError, zlib.error, *UNREADABLE):
        return ()


def _ref(namespace: str, cluster: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", namespace, f"{PREFIX}{cluster}")
