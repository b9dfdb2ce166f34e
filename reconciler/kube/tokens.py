"""Tokens of a service account (TokenRequest)."""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from reconciler import decoding
from reconciler.errors import UNREADABLE
from reconciler.kube.client import Client
from reconciler.kube.errors import broken
from reconciler.kube.paths import path_of
from reconciler.kube.transport import Call
from reconciler.model import ObjectRef
from reconciler.patterns import lazy

LONGEST = 16 << 10  # characters
_SHAPE = lazy(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when it ends, in seconds since the epoch."""

    value: str = field(repr=False)
    ends: float


class _Status(msgspec.Struct, rename="camel"):
    token: str
    expiration_timestamp: datetime


class _Answer(msgspec.Struct):
    status: _Status


def request(client: Client, account: ObjectRef, seconds: int) -> Token:
    """A new token of this account for so long; the server may give it another end. Raises ApiError, also where the answer has another
    shape: it may be a tenant's server."""
    client.fence()
    resource = client.resource("", "ServiceAccount")
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    call = Call("create", "POST", path_of(resource, account, "token"), body=body, ref=account, resource=resource.plural)
    _, answer = client.transport.send(call, deadline=client.deadline)
    try:
        found = decoding.decoded(answer, _Answer).status
        ends = found.expiration_timestamp.timestamp()
    except (*UNREADABLE, OverflowError) as error:
        raise broken("get", "its answer about the token has another shape") from error
    if len(found.token) > LONGEST or not _SHAPE.fullmatch(found.token):
        raise broken("get", "its token is none that a header can carry")
    return Token(found.token, ends)
