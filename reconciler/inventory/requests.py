"""What people ask for: ConfigMaps `nidus-request-*`, which Role `nidus-operator` allows to create (A9, D3)."""

from collections.abc import Iterable
from typing import Any

import msgspec

from reconciler.kube.client import Client
from reconciler.model import Object, ObjectRef, Request

LABEL = "nidus.dev/request"
KEPT = 86400.0  # seconds an expired request is kept, to see what was asked
OVERRULING = frozenset({"suspend", "resume"})
KINDS = ("approve", "suspend", "resume", "sync")
_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Request)


def load(client: Client, namespace: str) -> tuple[Request, ...]:
    """All requests, oldest first; malformed ones are left out."""
    objects, _ = client.list("", "ConfigMap", namespace=namespace, labels=LABEL)
    return parse_all(objects)


def parse_all(objects: Iterable[Object]) -> tuple[Request, ...]:
    found = (request for item in objects if (request := parse(item)))
    return tuple(sorted(found, key=lambda request: (request.created, request.name)))


def parse(item: Object) -> Request | None:
    """A request from its ConfigMap; None where it is malformed."""
    try:
        request = _decoder.decode((item.get("data") or {})["request"])
    except (KeyError, msgspec.MsgspecError):
        return None
    return request if request.kind in KINDS else None


def write(client: Client, namespace: str, request: Request) -> None:
    """Store a request as a new object: operators may create requests and change none (A9). Raises ApiError."""
    metadata: dict[str, Any] = {"name": request.name, "namespace": namespace, "labels": {LABEL: request.kind}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    client.create({**body, "data": {"request": _encoder.encode(request).decode()}})


def remove(client: Client, namespace: str, request: Request) -> None:
    """Remove the object of a request; one that is gone already is fine. Raises ApiError."""
    ref = ObjectRef("", "ConfigMap", namespace, request.name)
    found = client.get(ref)
    if found is not None:
        client.delete(ref, str(found["metadata"]["uid"]))


def suspended(requests: Iterable[Request], cluster: str, now: float) -> Request | None:
    """The suspension in effect: the newest suspend, unless a resume is newer or it expired. `requests` oldest first."""
    found = None
    for request in requests:
        if request.cluster == cluster and request.kind in ("suspend", "resume"):
            found = request
    stands = found is not None and found.kind == "suspend" and (not found.expires or found.expires > now)
    return found if stands else None


def spent(requests: Iterable[Request], now: float) -> tuple[Request, ...]:
    """Requests without effect: expired a day ago, or a suspend or resume that a newer one replaces."""
    newest = {one.cluster: one for one in requests if one.kind in OVERRULING}
    return tuple(
        one
        for one in requests
        if (one.expires and one.expires + KEPT < now) or (one.kind in OVERRULING and newest[one.cluster] is not one)
    )
