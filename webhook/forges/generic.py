"""Any sender that can compute an HMAC: `X-Nidus-Signature: sha256=<hex>` or `sha512=<hex>` over the raw body, as a post-receive hook does
with openssl.

The body is `{"ref": "refs/heads/main"}` or `{"refs": ["refs/heads/main", ...]}`; `{"change": 7}` and `{"comment": 7}` name a change
request, `{"ping": true}` tests the secret.
"""

from collections.abc import Mapping

from webhook.forges import delivery, signing
from webhook.forges.delivery import FORM, JSON, Delivery, Message, NoSuchEvent

# curl calls a body a form where it is not told what it is, and other senders call it nothing.
TYPES = frozenset({JSON, FORM, "application/octet-stream", "text/plain", ""})


def claim(headers: Mapping[str, str]) -> str:
    """The algorithm and digest in the header, "" where there are none."""
    return signing.claimed(headers.get("x-nidus-signature", ""), signing.LENGTHS)


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
    """Whether the sender knows one of the secrets."""
    algorithm, _, digest = claim(headers).partition("=")
    return bool(digest) and signing.signed(digest, body, secrets, algorithm)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """The refs of a push, or the number of a change request. Raises ValueError when there is neither."""
    told = delivery.document(body)
    if told.get("ping") is True:
        return delivery.PING
    if "change" in told:
        return delivery.change(told["change"])
    if "comment" in told:
        return delivery.comment(told["comment"])
    return Delivery("push", delivery.refs(told["refs"])) if "refs" in told else delivery.push(told.get("ref"))


def compose(told: Delivery) -> Message:
    """A delivery, unsigned. Raises NoSuchEvent."""
    if told.kind == "push":
        return delivery.message({"refs": told.refs})
    if told.kind in ("change", "comment"):
        return delivery.message({told.kind: told.number})
    if told.kind == "ping":
        return delivery.message({"ping": True})
    raise NoSuchEvent


def sign(body: bytes, secret: bytes, now: float) -> dict[str, str]:
    """The header fields that prove a body."""
    return {"X-Nidus-Signature": "sha256=" + signing.digest(body, secret)}
