"""GitHub: X-Hub-Signature-256 over the raw body; the event's name in X-GitHub-Event.

Source: GitHub's documentation, "Validating webhook deliveries" and "Webhook events and payloads".
"""

from collections.abc import Mapping

from webhook.forges import delivery, githublike, signing
from webhook.forges.delivery import Delivery, Message

TYPES = githublike.TYPES


def claim(headers: Mapping[str, str]) -> str:
    """The digest in the header, "" where there is none. The older SHA-1 header is not read."""
    return signing.claimed(headers.get("x-hub-signature-256", ""))


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
    """Whether GitHub signed this body."""
    return signing.signed(claim(headers).partition("=")[2], body, secrets)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """A push names one ref; a pull request, a review or a comment its number. Raises ValueError."""
    return githublike.parse(headers.get("x-github-event", ""), headers, body)


def compose(told: Delivery) -> Message:
    """A delivery as GitHub sends it, unsigned. Raises NoSuchEvent."""
    if told.kind == "ping":
        return delivery.message({"zen": "Practicality beats purity."}, X_GitHub_Event="ping")
    return githublike.compose(told, "X-GitHub-Event")


def sign(body: bytes, secret: bytes, now: float) -> dict[str, str]:
    """The header fields that prove a body."""
    return {"X-Hub-Signature-256": "sha256=" + signing.digest(body, secret)}
