"""GitHub: X-Hub-Signature-256 over the raw body; the event's name in X-GitHub-Event.

Source: GitHub's documentation, "Validating webhook deliveries" and "Webhook events and payloads".
"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from webhook.forges.delivery import Delivery, claimed, document, refs, signed

_FORM = "application/x-www-form-urlencoded"
TYPES = frozenset({"application/json", _FORM})


def claim(headers: Mapping[str, str]) -> str:
    """The digest in the header, "" where there is none."""
    return claimed(headers.get("x-hub-signature-256", ""))


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...]) -> bool:
    """Whether GitHub signed this body. The older SHA-1 header is not read."""
    return signed(claim(headers), body, secrets)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """A push names one ref; ping is answered; every other event is ignored. Raises ValueError."""
    event = headers.get("x-github-event", "")
    if event == "ping":
        return Delivery("ping")
    if event != "push":
        return Delivery("ignored")
    return Delivery("push", refs([document(_json(headers, body)).get("ref")]))


def _json(headers: Mapping[str, str], body: bytes) -> bytes:
    """The payload: the body itself, or the field `payload` of a form, as a hook may be set up to send it."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return body
    values = parse_qs(body, max_num_fields=4, strict_parsing=True).get(b"payload", [])
    if len(values) != 1:
        raise ValueError("no payload in the form")
    return values[0]
