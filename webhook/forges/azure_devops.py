"""Azure DevOps: service hooks are not signed; they sign in with HTTP Basic, whose password is the secret. The user name is not looked at.

Source: Microsoft's documentation, "Webhooks with Azure DevOps" and "Service hooks events".
"""

import base64
import binascii
from collections.abc import Mapping

from webhook.forges import delivery, signing
from webhook.forges.delivery import JSON, Delivery, Message, NoSuchEvent, inside

TYPES = frozenset({JSON})
_CHANGES = frozenset({"git.pullrequest.created", "git.pullrequest.updated", "git.pullrequest.merged"})
_COMMENT = "ms.vss-code.git-pullrequest-comment-event"


def claim(headers: Mapping[str, str]) -> str:
    """The password in the header, "" where there is none."""
    scheme, _, told = headers.get("authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(told.strip(), validate=True).decode("utf-8") if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[2]


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
    """Whether the sender knows one of the passwords."""
    return signing.token(claim(headers).encode(), secrets)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """A push names every ref it updated; a pull request or a comment its number. Raises ValueError."""
    told = delivery.document(body)
    event = told.get("eventType")
    if event == "git.push":
        updates = inside(told, "resource", "refUpdates")
        return Delivery(
            "push", delivery.refs([inside(one, "name") for one in updates] if isinstance(updates, list) else None)
        )
    if event == _COMMENT:
        return delivery.comment(inside(told, "resource", "pullRequest", "pullRequestId"))
    if isinstance(event, str) and event in _CHANGES:
        return delivery.change(inside(told, "resource", "pullRequestId"))
    return delivery.IGNORED


def compose(told: Delivery) -> Message:
    """A delivery as Azure DevOps sends it, not signed in; it has no ping. Raises NoSuchEvent."""
    if told.kind == "push":
        return delivery.message(
            {"eventType": "git.push", "resource": {"refUpdates": [{"name": ref} for ref in told.refs]}}
        )
    if told.kind == "change":
        return delivery.message({"eventType": "git.pullrequest.updated", "resource": {"pullRequestId": told.number}})
    if told.kind == "comment":
        return delivery.message({"eventType": _COMMENT, "resource": {"pullRequest": {"pullRequestId": told.number}}})
    raise NoSuchEvent


def sign(body: bytes, secret: bytes, now: float) -> dict[str, str]:
    """The header fields that sign in."""
    return {"Authorization": "Basic " + base64.b64encode(b"nidus:" + secret).decode()}
