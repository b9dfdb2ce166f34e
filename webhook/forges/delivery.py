"""The result of a delivery, and the signature check of forges that use HMAC."""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_PREFIX = "sha256="
_REF = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]{1,1000}")
_REFS = 1000


Kind = Literal["push", "change", "comment", "ping", "ignored"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a verified delivery says, and nothing else of it is used (W2).

    `refs` are the full names (refs/heads/main, refs/tags/v1) of everything a push created, moved or deleted; `number` is that of the
    change request that moved (`change`: opened, pushed to, closed, merged, reviewed) or was written to (`comment`). Both are empty for
    other kinds.
    """

    kind: Kind
    refs: tuple[str, ...] = ()
    number: int = 0


def claimed(header: str) -> str:
    """The hex digest in a header `sha256=<hex>`; "" where it is of another form."""
    digest = header.removeprefix(_PREFIX)
    return digest if header.startswith(_PREFIX) and _HEX.fullmatch(digest) else ""


def signed(digest: str, body: bytes, secrets: tuple[bytes, ...]) -> bool:
    """Whether the hex HMAC-SHA256 `digest` is of these raw bytes under one of the secrets: constant time, on bytes (W1, M19).

    Every secret is tried, also after one has matched; an empty one never matches.
    """
    if not _HEX.fullmatch(digest):
        return False
    given = bytes.fromhex(digest)
    answers = [hmac.compare_digest(hmac.digest(secret, body, "sha256"), given) for secret in secrets if secret]
    return any(answers)


def document(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a body. ValueError for everything else, deep nesting and absurd numbers included (M19)."""
    try:
        value = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def refs(values: object) -> tuple[str, ...]:
    """A list of ref names, checked, each once. ValueError if it is anything else."""
    if not isinstance(values, list) or not values or len(values) > _REFS:
        raise ValueError("refs: not a list of names")
    if not all(isinstance(value, str) and _REF.fullmatch(value) for value in values):
        raise ValueError("refs: not a list of full ref names")
    return tuple(dict.fromkeys(values))
