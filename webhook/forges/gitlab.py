"""GitLab: the signing token (Standard Webhooks) where the hook has one, else the secret token in X-Gitlab-Token.

A secret `whsec_...` is a key for signatures and never accepted as a token, every other secret is a token. Where we hold a key, a
delivery that carries a signature must pass by it: it does not fall back to the token. The kind of event is read from the body,
which is what is signed.
Source: GitLab's documentation, "Webhooks" and "Webhook events".
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from webhook.forges import delivery, signing
from webhook.forges.delivery import JSON, Delivery, Message, NoSuchEvent, inside

TYPES = frozenset({JSON})


def claim(headers: Mapping[str, str]) -> str:
    """The signatures or the token in the header, "" where there is neither."""
    return headers.get("webhook-signature", "") or headers.get("x-gitlab-token", "")


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
    """Whether GitLab signed this body at this time, or knows a token of ours."""
    keys = tuple(secret for secret in secrets if secret.startswith(signing.KEY))
    tokens = tuple(secret for secret in secrets if not secret.startswith(signing.KEY))
    if keys and headers.get("webhook-signature"):
        return signing.standard(headers, body, keys, now)
    return signing.token(headers.get("x-gitlab-token", "").encode("latin-1", "backslashreplace"), tokens)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """A push of a branch or tag, a merge request, or a comment to one, of a project, a group or a system hook. Raises ValueError."""
    told = delivery.document(body)
    kind = told.get("object_kind") or told.get("event_name")
    if kind in ("push", "tag_push"):
        return delivery.push(told.get("ref"))
    if kind == "repository_update":
        return Delivery("push", delivery.refs(told.get("refs")))
    if kind == "merge_request":
        return delivery.change(inside(told, "object_attributes", "iid"))
    if kind == "note" and inside(told, "object_attributes", "noteable_type") == "MergeRequest":
        return delivery.comment(inside(told, "merge_request", "iid"))
    return delivery.IGNORED


def compose(told: Delivery) -> Message:
    """A delivery as GitLab sends it, unsigned; it has no ping. Raises NoSuchEvent."""
    if told.kind == "push" and len(told.refs) == 1:
        kind, hook = ("tag_push", "Tag Push Hook") if told.refs[0].startswith("refs/tags/") else ("push", "Push Hook")
        return delivery.message({"object_kind": kind, "ref": told.refs[0]}, X_Gitlab_Event=hook)
    if told.kind == "change":
        body: dict[str, Any] = {"object_kind": "merge_request", "object_attributes": {"iid": told.number}}
        return delivery.message(body, X_Gitlab_Event="Merge Request Hook")
    if told.kind == "comment":
        note = {"noteable_type": "MergeRequest"}
        body = {"object_kind": "note", "object_attributes": note, "merge_request": {"iid": told.number}}
        return delivery.message(body, X_Gitlab_Event="Note Hook")
    raise NoSuchEvent


def sign(body: bytes, secret: bytes, now: float) -> dict[str, str]:
    """The header fields that prove a body. Raises ValueError for a signing token that is none."""
    if secret.startswith(signing.KEY):
        return signing.standard_headers(body, secret, now, hashlib.sha256(body).hexdigest()[:32])
    return {"X-Gitlab-Token": secret.decode("latin-1")}
