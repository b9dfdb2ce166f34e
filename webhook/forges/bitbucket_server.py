"""Bitbucket Server and Data Center: `X-Hub-Signature: sha256=<hex>` over the raw body; the event's name in X-Event-Key.

Source: Atlassian's documentation, "Event payload" and "Manage webhooks".
"""

from collections.abc import Mapping

from webhook.forges import bitbucket, delivery
from webhook.forges.delivery import Delivery, Message, NoSuchEvent, inside

TYPES = bitbucket.TYPES
claim, verify, sign = bitbucket.claim, bitbucket.verify, bitbucket.sign


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """A push names every ref it created, moved or deleted; a pull request or a comment its number. Raises ValueError."""
    event = headers.get("x-event-key", "")
    if event == "diagnostics:ping":
        return delivery.PING
    if event == "repo:refs_changed":
        return Delivery("push", delivery.refs(_refs(delivery.document(body).get("changes"))))
    if event.startswith("pr:comment:"):
        return delivery.comment(inside(delivery.document(body), "pullRequest", "id"))
    if event.startswith("pr:"):
        return delivery.change(inside(delivery.document(body), "pullRequest", "id"))
    return delivery.IGNORED


def compose(told: Delivery) -> Message:
    """A delivery as Bitbucket Server sends it, unsigned. Raises NoSuchEvent."""
    if told.kind == "ping":
        return delivery.message({"test": True}, X_Event_Key="diagnostics:ping")
    if told.kind == "push":
        changes = [{"ref": {"id": ref}, "refId": ref, "type": "UPDATE"} for ref in told.refs]
        return delivery.message({"eventKey": "repo:refs_changed", "changes": changes}, X_Event_Key="repo:refs_changed")
    if told.kind in ("change", "comment"):
        event = "pr:from_ref_updated" if told.kind == "change" else "pr:comment:added"
        return delivery.message({"eventKey": event, "pullRequest": {"id": told.number}}, X_Event_Key=event)
    raise NoSuchEvent


def _refs(changes: object) -> object:
    return [inside(change, "ref", "id") for change in changes] if isinstance(changes, list) else None
