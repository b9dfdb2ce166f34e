"""The payloads of GitHub and of those that took them over: Gitea, Forgejo and Gogs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from webhook.forges import delivery, signing
from webhook.forges.delivery import FORM, JSON, Delivery, Message, NoSuchEvent, inside

TYPES = frozenset({JSON, FORM})
CHANGES = frozenset(
    {
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
        "pull_request_approved",  # from here on Gitea's and Forgejo's
        "pull_request_rejected",
        "pull_request_comment",
    }
)


def parse(event: str, headers: Mapping[str, str], body: bytes) -> Delivery:
    """What the event of this name says: `create` and `delete` are pushes of one ref too, since not every forge sends a push besides.
    Raises ValueError."""
    if event == "ping":
        return delivery.PING
    if event == "push":
        return delivery.push(delivery.payload(headers, body).get("ref"))
    if event in ("create", "delete"):
        told = delivery.payload(headers, body)
        return delivery.push(delivery.named(told.get("ref_type"), told.get("ref")))
    if event in CHANGES:
        return _change(delivery.payload(headers, body))
    if event == "issue_comment":
        return _comment(delivery.payload(headers, body))
    return delivery.IGNORED


def _change(told: Mapping[str, Any]) -> Delivery:
    number = inside(told, "pull_request", "number")
    return delivery.change(told.get("number") if number is None else number)


def _comment(told: Mapping[str, Any]) -> Delivery:
    """A comment to an issue that is no change request interests nobody."""
    is_change = told.get("is_pull") is True or inside(told, "issue", "pull_request") is not None
    return delivery.comment(inside(told, "issue", "number")) if is_change else delivery.IGNORED


def compose(told: Delivery, header: str) -> Message:
    """A delivery as these forges send it; the event's name is in the field `header`. Raises NoSuchEvent."""
    number = told.number
    if told.kind == "push" and len(told.refs) == 1:
        return delivery.message({"ref": told.refs[0]}, **{header: "push"})
    if told.kind == "change":
        body: dict[str, Any] = {"action": "synchronize", "number": number, "pull_request": {"number": number}}
        return delivery.message(body, **{header: "pull_request"})
    if told.kind == "comment":
        return delivery.message({"issue": {"number": number, "pull_request": {}}}, **{header: "issue_comment"})
    raise NoSuchEvent


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A forge whose header fields begin with its own name: `X-NAME-Signature` is the hexadecimal HMAC-SHA256 of the raw body, without a
    prefix, and `X-NAME-Event` the event. Fields that begin with one of `older` are read where its own are missing."""

    name: str
    older: tuple[str, ...] = ()
    TYPES: ClassVar[frozenset[str]] = TYPES

    def claim(self, headers: Mapping[str, str]) -> str:
        """The digest in the header, "" where there is none: without a secret the field is sent empty."""
        return signing.bare(self._field(headers, "signature"))

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
        """Whether the forge signed this body."""
        return signing.signed(self.claim(headers), body, secrets)

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """A push, a new and a deleted branch or tag name one ref; a pull request, a review or a comment its number. Raises ValueError."""
        return parse(self._field(headers, "event"), headers, body)

    def compose(self, told: Delivery) -> Message:
        """A delivery as the forge sends it, unsigned; it has no ping. Raises NoSuchEvent."""
        return compose(told, f"X-{self.name}-Event")

    def sign(self, body: bytes, secret: bytes, now: float) -> dict[str, str]:
        """The header fields that prove a body."""
        return {f"X-{self.name}-Signature": signing.digest(body, secret)}

    def _field(self, headers: Mapping[str, str], name: str) -> str:
        names = [f"x-{one.lower()}-{name}" for one in (self.name, *self.older)]
        return next((headers[one] for one in names if one in headers), "")
