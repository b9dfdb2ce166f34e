"""Bitbucket Cloud: `X-Hub-Signature: sha256=<hex>` over the raw body; the event's name in X-Event-Key.

X-Hook-UUID only names the hook, so it proves nothing. Source: Atlassian's documentation, "Manage webhooks" and "Event payloads".
"""

from collections.abc import Mapping

from webhook.forges import delivery, signing
from webhook.forges.delivery import JSON, Delivery, Message, NoSuchEvent, inside

TYPES = frozenset({JSON})


def claim(headers: Mapping[str, str]) -> str:
    """The digest in the header, "" where there is none."""
    return signing.claimed(headers.get("x-hub-signature", ""))


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
    """Whether Bitbucket signed this body."""
    return signing.signed(claim(headers).partition("=")[2], body, secrets)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """A push names every ref it created, moved or deleted; a pull request or a comment its number. Raises ValueError."""
    event = headers.get("x-event-key", "")
    if event == "repo:push":
        return Delivery("push", delivery.refs(_refs(inside(delivery.document(body), "push", "changes"))))
    if event.startswith("pullrequest:comment_"):
        return delivery.comment(inside(delivery.document(body), "pullrequest", "id"))
    if event.startswith("pullrequest:"):
        return delivery.change(inside(delivery.document(body), "pullrequest", "id"))
    return delivery.IGNORED


def compose(told: Delivery) -> Message:
    """A delivery as Bitbucket Cloud sends it, unsigned; it has no ping. Raises NoSuchEvent."""
    if told.kind == "push":
        changes = [
            {"old": None, "new": dict(zip(("type", "name"), delivery.short(ref), strict=True))} for ref in told.refs
        ]
        return delivery.message({"push": {"changes": changes}}, X_Event_Key="repo:push")
    if told.kind in ("change", "comment"):
        event = "pullrequest:updated" if told.kind == "change" else "pullrequest:comment_created"
        return delivery.message({"pullrequest": {"id": told.number}}, X_Event_Key=event)
    raise NoSuchEvent


def sign(body: bytes, secret: bytes, now: float) -> dict[str, str]:
    """The header fields that prove a body."""
    return {"X-Hub-Signature": "sha256=" + signing.digest(body, secret)}


def _refs(changes: object) -> object:
    """The refs of a push; `new` is null where one was deleted, `old` where one was created."""
    if not isinstance(changes, list):
        return None
    told = [inside(change, "new") or inside(change, "old") for change in changes]
    return [delivery.named(inside(one, "type"), inside(one, "name")) for one in told]
