"""Any sender that can compute an HMAC: `X-Nidus-Signature: sha256=<hex>` over the raw body, as a post-receive hook does with openssl.

The body is `{"ref": "refs/heads/main"}` or `{"refs": ["refs/heads/main", ...]}`; `{"ping": true}` tests the secret.
"""

from collections.abc import Mapping

from webhook.forges.delivery import Delivery, claimed, document, refs, signed

# curl calls a body a form where it is not told what it is, and other senders call it nothing.
TYPES = frozenset(
    {"application/json", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain", ""}
)


def claim(headers: Mapping[str, str]) -> str:
    """The digest in the header, "" where there is none."""
    return claimed(headers.get("x-nidus-signature", ""))


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...]) -> bool:
    """Whether the sender knows one of the secrets."""
    return signed(claim(headers), body, secrets)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """The refs of a push. Raises ValueError when there are none."""
    body_of = document(body)
    if body_of.get("ping") is True:
        return Delivery("ping")
    return Delivery("push", refs(body_of["refs"] if "refs" in body_of else [body_of.get("ref")]))
