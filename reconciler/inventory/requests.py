"""What people ask for: objects of kind Request, which an admission policy lets each write in their own name only (A9, D3).

ConfigMaps `nidus-request-*` of earlier releases are still read and removed, and never written.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec

from reconciler import decoding
from reconciler.errors import ApiError, ErrorClass
from reconciler.inventory.reading import OVERRULING, Read, Reading, Spent
from reconciler.kube import shape
from reconciler.kube.client import Client
from reconciler.kube.shape import Head
from reconciler.model import Object, ObjectRef, Request, replace
from reconciler.operations.situation import newest

API = "nidus.dev/v1alpha1"
LABEL = "nidus.dev/request"  # of the ConfigMaps
PREFIX = "nidus-request-"  # of their names
LONGEST = 366 * 86400.0  # seconds a request may stand
LARGEST = 1 << 20  # characters of a ConfigMap's request
KINDS = ("approve", "suspend", "resume", "sleep", "wake", "extend", "rotate", "backup", "restore")
ITEMS = 500  # lines of a consent
LINE = 1024  # characters of one, of a reason, and of a user's name
TOGETHER = 65536  # bytes of all lines of a consent
NAME = 253
COMMENTED = "by a comment on change request #"  # and its number: the reason of an approval on a forge
APPROVERS = 100  # accounts of a forge that approved something together

_Text = Annotated[str, msgspec.Meta(max_length=LINE)]
_Name = Annotated[str, msgspec.Meta(max_length=NAME)]


class _Told(msgspec.Struct):
    kind: Literal["approve", "suspend", "resume", "sleep", "wake", "extend", "rotate", "backup", "restore"]
    who: _Text
    source: _Name = ""
    cluster: _Name = ""
    consent: Annotated[str, msgspec.Meta(max_length=64)] = ""
    items: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=ITEMS)] = ()
    reason: _Text = ""
    change: Annotated[int, msgspec.Meta(ge=0)] = 0
    approvers: Annotated[tuple[int, ...], msgspec.Meta(max_length=APPROVERS)] = ()


class _Spec(_Told):
    expires: str = ""


class _Old(_Told):
    expires: float = 0.0  # seconds since the epoch


def load(client: Client, namespace: str, known: Mapping[str, float], now: float, *, old: bool = True) -> Read:
    """What the requests say at `now`, read one by one: memory grows with what stands and not with what there is.

    `known`: when each cluster began, 0 where that is not known. Without `old` only objects of kind Request are read. Raises ApiError.
    """
    reading = Reading(known, now)
    client.raw_list("nidus.dev", "Request", namespace=namespace, kept=partial(_taken, reading, "Request"))
    if old:
        client.raw_list("", "ConfigMap", namespace=namespace, labels=LABEL, kept=partial(_taken, reading, "ConfigMap"))
    return reading.done()


def _taken(reading: Reading, kind: str, head: Head, raw: bytes) -> tuple[Head, bytes]:
    """Take an item of a list; nothing of it stays in the list."""
    item = {**shape.body(raw, "list"), "kind": kind}  # items of a list leave the kind out
    found = parse(item)
    if found is not None:
        reading.take(found, _version(item))
    elif kind == "Request":
        reading.refuse(Spent(head.ref.name, head.uid), _created(item))
    return Head(head.ref, head.uid, head.version, {}), b""


def parse(item: Object) -> Request | None:
    """A request from its object; None where it is malformed (it then asks for nothing).

    Its time and its name are the object's own, never what its writer says. It ends after it began, and within a year.
    """
    try:
        old = item.get("kind") == "ConfigMap"
        metadata = item["metadata"]
        name, uid = str(metadata["name"]), str(metadata["uid"])
        created = _created(item)
        told: _Spec | _Old = _told(item) if old else decoding.converted(item["spec"], _Spec)
        expires = _expiry(told)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None
    if (old and not name.startswith(PREFIX)) or not _stands(told.kind, created, expires):
        return None
    reason = "".join(c if c.isprintable() else " " for c in told.reason)
    change = told.change or _commented(reason)
    who = "".join(c if c.isprintable() else "?" for c in told.who)
    return Request(
        told.kind, told.source, told.cluster, who, created, expires, told.consent, told.items, reason,
        name, uid, old, change, told.approvers,
    )  # fmt: skip


def _commented(reason: str) -> int:
    """The change request on which an approval was given that an earlier release stored, or a host that does not know the fields for it
    yet; 0 for none. Nobody is known who approved it, so that it counts for nothing."""
    number = reason.removeprefix(COMMENTED)
    return int(number) if number != reason and number.isascii() and number.isdigit() and len(number) < 19 else 0


def write(client: Client, namespace: str, request: Request) -> Request:
    """Store a request as a new object: operators may create requests and change none (A9). Returns it as it is stored: with a name where
    it has none, and without the lines of a consent that do not fit, whose digest alone approves. Raises ApiError."""
    subject = request.consent or f"{request.source}/{request.cluster}"
    items = request.items if _fits(request.items) else ()
    request = replace(request, name=request.name or name(request.kind, subject, request.created), items=items)
    spec: dict[str, Any] = {"kind": request.kind, "who": request.who}
    told = {"source": request.source, "cluster": request.cluster, "consent": request.consent, "reason": request.reason}
    spec |= {key: value for key, value in told.items() if value}
    if request.items:
        spec["items"] = list(request.items)
    if request.change:
        spec |= {"change": request.change, "approvers": list(request.approvers[:APPROVERS])}
    if request.expires:
        spec["expires"] = _instant(request.expires)
    metadata = {"name": request.name, "namespace": namespace}
    client.create({"apiVersion": API, "kind": "Request", "metadata": metadata, "spec": spec})
    return request


def name(kind: str, subject: str, now: float) -> str:
    """The name of a request that is made now: what it is about and when. `subject`: a digest, or SOURCE/CLUSTER."""
    digest = subject if re.fullmatch("[0-9a-f]{64}", subject) else hashlib.sha256(subject.encode()).hexdigest()
    return f"{kind}-{digest[:16]}-{int(now * 1000):x}"


def _fits(items: Iterable[str]) -> bool:
    """Whether an approval may list these items (policy nidus-requests)."""
    return sum(len(one.encode()) for one in items) <= TOGETHER


def remove(client: Client, namespace: str, spent: Spent) -> None:
    """Remove the very object of a request; one that is gone already is fine. Raises ApiError."""
    group, kind = ("", "ConfigMap") if spent.old else ("nidus.dev", "Request")
    try:
        client.delete(ObjectRef(group, kind, namespace, spent.name), spent.uid)
    except ApiError as error:
        if error.kind is not ErrorClass.RACED:
            raise


def suspended(requests: Iterable[Request], cluster: str, now: float) -> Request | None:
    """The suspension in effect: the newest suspend, unless a resume is newer or it expired. `requests` oldest first."""
    found = newest(requests, ("suspend", "resume"), cluster)
    stands = found is not None and found.kind == "suspend" and (not found.expires or found.expires > now)
    return found if stands else None


def _told(item: Object) -> _Old:
    """What a ConfigMap of an earlier release asks for."""
    text = item["data"]["request"]
    if len(text) > LARGEST:
        raise ValueError
    return decoding.decoded(text, _Old)


def _expiry(told: _Spec | _Old) -> float:
    """In seconds since the epoch, 0 for never. Raises ValueError for a time of no zone, which means another time everywhere."""
    given: str | float = told.expires
    if not isinstance(given, str):
        return float(given)
    if not given:
        return 0.0
    found = datetime.fromisoformat(given)
    if found.tzinfo is None:
        raise ValueError(given)
    return found.timestamp()


def _stands(kind: str, created: float, expires: float) -> bool:
    """Whether it stood for some time and not for longer than a year; only what stops a cluster may be without an end."""
    if not expires:
        return kind in OVERRULING and kind not in ("extend", "backup", "restore")
    return math.isfinite(expires) and created < expires <= created + LONGEST


def _created(item: Object) -> float:
    """When the API server took it. Raises ValueError, and more of what is no object."""
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"]).timestamp()


def _version(item: Mapping[str, Any]) -> int:
    text = str(item["metadata"].get("resourceVersion", ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(math.ceil(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
