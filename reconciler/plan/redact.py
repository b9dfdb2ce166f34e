"""Replaces secret values (P5) by a hash, keyed with this installation's salt and the value's place, and a length.

An author who may have a plan made of values of their own would otherwise try thousands of guesses at a value elsewhere in one plan, by
its equal hash. So hashes of equal values are equal in the same field of the same object alone.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.model import MISSING, FieldChange, Object, ObjectRef, Target, replace
from reconciler.patterns import lazy
from reconciler.plan import paths

SECRET_LIKE = lazy(r"(Secret|Secrets|Credential|Credentials|Password|Token|PrivateKey)\Z")
SHOWN = lazy(r"(metadata\.labels|type\Z|immutable\Z|metadata\.finalizers|metadata\.ownerReferences)")
_OPEN = frozenset({"apiVersion", "kind", "metadata", "type", "immutable"})
COPIES = lazy(r'metadata\.annotations(\Z|\."[^"]*last-applied[^"]*")')


def is_secret_like(ref: ObjectRef) -> bool:
    """Whether objects of this kind hold secret values."""
    return SECRET_LIKE.search(ref.kind) is not None


def redact(target: Target, ref: ObjectRef, changes: Sequence[FieldChange], salt: bytes) -> tuple[FieldChange, ...]:
    """The changes of an object safe to show: of Secret-like kinds everything but labels, type and owners is
    `(sensitive, sha256:<8 hex>, <n> bytes)`; so are copies of a whole object in annotations elsewhere."""
    is_secret, key = is_secret_like(ref), of_object(target, ref, salt)

    def shown(one: FieldChange) -> FieldChange:
        if not (is_secret and not SHOWN.match(one.path)) and not COPIES.match(one.path):
            return one
        return replace(one, before=_placed(one.before, key, one.path), after=_placed(one.after, key, one.path))

    return tuple(map(shown, changes))


def of_object(target: Target, ref: ObjectRef, salt: bytes) -> bytes:
    """The key of the hashes of one object's values."""
    return _bound(_bound(salt, str(target)), str(ref))


def mask(value: Any, key: bytes) -> Any:
    """The replacement of one value; a missing one stays missing. Base64 text is decoded first."""
    if isinstance(value, str) and value == MISSING:
        return value
    data = _bytes(value)
    keyed = hmac.new(key, data, hashlib.sha256).hexdigest()
    return f"(sensitive, sha256:{keyed[:8]}, {len(data)} bytes)"


def hidden(obj: Object, key: bytes) -> dict[str, Any]:
    """An object safe to show: of Secret-like kinds every value but the metadata, type and owners is masked, and so are copies
    of a whole object in annotations of any kind. `key` is that of the object."""
    metadata = obj["metadata"]
    annotations = {
        name: _placed(value, key, paths.child("metadata.annotations", name)) if "last-applied" in name else value
        for name, value in (metadata.get("annotations") or {}).items()
    }
    shown = {**obj, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
    if SECRET_LIKE.search(str(obj["kind"])) is None:
        return shown
    return {
        name: value if name in _OPEN else _masked(value, key, paths.child("", name)) for name, value in shown.items()
    }


def _masked(value: Any, key: bytes, path: str) -> Any:
    """Every value at or below `path`, each masked for its own."""
    if isinstance(value, Mapping):
        return {name: _masked(one, key, paths.child(path, str(name))) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, key, f"{path}[{at}]") for at, one in enumerate(value)]
    return _placed(value, key, path)


def _placed(value: Any, key: bytes, path: str) -> Any:
    """The replacement of the value at a path, as `plan.diff` spells it, of the object that `key` is of: the one place where both meet."""
    return mask(value, _bound(key, path))


def _bound(key: bytes, place: str) -> bytes:
    return hmac.digest(key, place.encode(errors="surrogatepass"), "sha256")


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value.encode()
