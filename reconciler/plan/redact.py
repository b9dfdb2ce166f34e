"""Replaces secret values (P5) by a hash, keyed with this installation's salt, and a length."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.model import MISSING, FieldChange, Object, ObjectRef, replace

SECRET_LIKE = re.compile(r"(Secret|Secrets|Credential|Credentials|Password|Token|PrivateKey)\Z")
SHOWN = re.compile(r"(metadata\.labels|type\Z|immutable\Z|metadata\.finalizers|metadata\.ownerReferences)")
_OPEN = frozenset({"apiVersion", "kind", "metadata", "type", "immutable"})
COPIES = re.compile(r'metadata\.annotations(\Z|\."[^"]*last-applied[^"]*")')


def is_secret_like(ref: ObjectRef) -> bool:
    """Whether objects of this kind hold secret values."""
    return SECRET_LIKE.search(ref.kind) is not None


def redact(ref: ObjectRef, changes: Sequence[FieldChange], salt: bytes) -> tuple[FieldChange, ...]:
    """The changes safe to show: of Secret-like kinds everything but labels, type and owners is
    `(sensitive, sha256:<8 hex>, <n> bytes)`, equal for equal values; so are copies of a whole object in annotations elsewhere."""
    hidden = is_secret_like(ref)
    return tuple(
        replace(one, before=mask(one.before, salt), after=mask(one.after, salt))
        if (hidden and not SHOWN.match(one.path)) or COPIES.match(one.path)
        else one
        for one in changes
    )


def mask(value: Any, salt: bytes) -> Any:
    """The replacement of one value; a missing one stays missing. Base64 text is decoded first."""
    if isinstance(value, str) and value == MISSING:
        return value
    data = _bytes(value)
    keyed = hmac.new(salt, data, hashlib.sha256).hexdigest()
    return f"(sensitive, sha256:{keyed[:8]}, {len(data)} bytes)"


def hidden(obj: Object, salt: bytes) -> dict[str, Any]:
    """An object safe to show: of Secret-like kinds every value but the metadata, type and owners is masked, and so are copies
    of a whole object in annotations of any kind."""
    metadata = obj["metadata"]
    annotations = {
        key: mask(value, salt) if "last-applied" in key else value
        for key, value in (metadata.get("annotations") or {}).items()
    }
    shown = {**obj, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
    if SECRET_LIKE.search(str(obj["kind"])) is None:
        return shown
    return {key: value if key in _OPEN else _masked(value, salt) for key, value in shown.items()}


def _masked(value: Any, salt: bytes) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(one, salt) for key, one in value.items()}
    return [_masked(one, salt) for one in value] if isinstance(value, list) else mask(value, salt)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value.encode()
