"""The result of a delivery, and what parsing shares: everything in a body is checked for its shape, nothing is believed (W2)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs

Kind = Literal["push", "change", "comment", "ping", "ignored"]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_REF = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]{1,1000}")
_REFS = 1000
_NUMBER = 1 << 31


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


IGNORED = Delivery("ignored")
PING = Delivery("ping")


def document(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a body. ValueError for everything else, deep nesting and absurd numbers included (M19)."""
    try:
        value = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def payload(headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    """The object in a body that is JSON, or a form with JSON in its field `payload`, as a hook may be set up. ValueError."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return document(body)
    values = parse_qs(body, max_num_fields=4, strict_parsing=True).get(b"payload", [])
    if len(values) != 1:
        raise ValueError("no payload in the form")
    return document(values[0])


def inside(value: object, *path: str) -> Any:
    """What lies at `path` of nested objects, None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def refs(values: object) -> tuple[str, ...]:
    """A list of ref names, checked, each once. ValueError if it is anything else."""
    if not isinstance(values, list) or not values or len(values) > _REFS:
        raise ValueError("refs: not a list of names")
    if not all(isinstance(value, str) and _REF.fullmatch(value) for value in values):
        raise ValueError("refs: not a list of full ref names")
    return tuple(dict.fromkeys(values))


def push(*names: object) -> Delivery:
    """A push of these refs. ValueError where one is no full name of a ref."""
    return Delivery("push", refs(list(names)))


def change(number: object) -> Delivery:
    """A change request that moved. ValueError where that is no number of one."""
    return Delivery("change", number=_number(number))


def comment(number: object) -> Delivery:
    """A comment to a change request. ValueError where that is no number of one."""
    return Delivery("comment", number=_number(number))


def named(kind: object, name: object) -> str:
    """The full name of a branch or tag that a forge names by its kind and short name. ValueError."""
    folder = {"branch": "heads", "named_branch": "heads", "tag": "tags"}.get(kind) if isinstance(kind, str) else None
    if folder is None or not isinstance(name, str):
        raise ValueError("neither a branch nor a tag")
    return name if name.startswith("refs/") else f"refs/{folder}/{name}"


def short(ref: str) -> tuple[str, str]:
    """The kind and the short name of a full ref: the inverse of `named`."""
    kind = "tag" if ref.startswith("refs/tags/") else "branch"
    return kind, ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def _number(value: object) -> int:
    if type(value) is not int or not 0 < value < _NUMBER:
        raise ValueError("not the number of a change request")
    return value


Message = tuple[dict[str, str], bytes]
"""Header fields and body of a request."""


def message(value: object, **headers: str) -> Message:
    """A JSON body with its header; names are written with an underscore for each hyphen."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    return {"Content-Type": JSON, **given}, json.dumps(value).encode()


class NoSuchEvent(ValueError):
    """The forge sends no event of this kind."""
