"""How the server says no: the Status objects of k8s.io/apimachinery `api/errors`, word for word where a client reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong."""

    reason: str
    message: str
    field: str


class Refusal(Exception):
    """An answer that is a failure: `status` is its body, `code` its HTTP code."""

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.headers: dict[str, str] = {}
        self.status: dict[str, Any] = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": dict(details or {}), "code": code,
        }  # fmt: skip
        if not reason:
            del self.status["reason"]
        if details is None:
            del self.status["details"]


@dataclass(frozen=True, slots=True)
class What:
    """What a refusal speaks of: the resource by its plural (or, for `invalid`, the kind), and the object."""

    group: str
    plural: str
    kind: str
    name: str = ""

    @property
    def qualified(self) -> str:
        """The plural with its group, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def details(self, **more: Any) -> dict[str, Any]:
        """The details of a Status about it."""
        found = {"name": self.name, "group": self.group, "kind": self.plural, **more}
        return {key: value for key, value in found.items() if value not in ("", [])}


def _causes(causes: Sequence[Cause]) -> list[dict[str, str]]:
    found = [{"reason": one.reason, "message": one.message, "field": one.field} for one in causes]
    return [{key: value for key, value in one.items() if value} for one in found]


def not_found(what: What) -> Refusal:
    return Refusal(404, "NotFound", f'{what.qualified} "{what.name}" not found', what.details())


def unknown_path() -> Refusal:
    """The kind is not served."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def exists(what: What, leaving: bool = False) -> Refusal:
    first = "object is being deleted: " if leaving else ""
    return Refusal(409, "AlreadyExists", f'{first}{what.qualified} "{what.name}" already exists', what.details())


def conflict(what: What, why: str) -> Refusal:
    words = f'Operation cannot be fulfilled on {what.qualified} "{what.name}": {why}'
    return Refusal(409, "Conflict", words, what.details())


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def apply_conflict(causes: Sequence[Cause], message: str) -> Refusal:
    return Refusal(409, "Conflict", message, {"causes": _causes(causes)})


def invalid(what: What, causes: Sequence[Cause]) -> Refusal:
    """Causes whose message is the whole sentence after the field."""
    told = list(dict.fromkeys(f"{one.field}: {one.message}" for one in causes))
    words = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    kind = f"{what.kind}.{what.group}" if what.group else what.kind
    details = {"name": what.name, "group": what.group, "kind": what.kind, "causes": _causes(causes)}
    shown = {key: value for key, value in details.items() if value}
    return Refusal(422, "Invalid", f'{kind} "{what.name}" is invalid: {words}', shown)


def forbidden(what: What, why: str, causes: Sequence[Cause] = ()) -> Refusal:
    name = f'{what.qualified} "{what.name}"' if what.name else what.qualified
    return Refusal(403, "Forbidden", f"{name} is forbidden: {why}", what.details(causes=_causes(causes)))


def bad(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def gone(message: str) -> Refusal:
    return Refusal(410, "Expired", message)


def broken(message: str) -> Refusal:
    """How server-side apply refuses a body that does not fit its type."""
    return Refusal(500, "", message)


def failing(code: int, reason: str, message: str, after: int | None = None) -> Refusal:
    """Any failure by its code, with `after` as Retry-After in seconds."""
    made = Refusal(code, reason, message, {"retryAfterSeconds": after} if after is not None else None)
    if after is not None:
        made.headers["Retry-After"] = str(after)
    return made


def ahead(version: int, current: int) -> Refusal:
    """The version asked for is one this server has not reached."""
    causes = _causes([Cause("ResourceVersionTooLarge", "Too large resource version", "")])
    words = f"Too large resource version: {version}, current: {current}"
    return Refusal(504, "Timeout", words, {"causes": causes, "retryAfterSeconds": 1})
