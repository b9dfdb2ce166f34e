"""How rules read an object: fields that are absent or of a wrong type read as empty, so that a hostile status cannot
break a pass."""

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.errors import one_line
from reconciler.model import Health, Object

Rule = Callable[[Object], Health]
CURRENT = Health("Current", "Current")
_EMPTY: Mapping[str, Any] = {}


def section(obj: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The mapping at `path`, or an empty one."""
    found: Any = obj
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else _EMPTY


def number(part: Mapping[str, Any], key: str, default: int = 0) -> int:
    """The integer at `key`, or `default`."""
    found = part.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def rows(part: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    """The mappings in the list at `key`."""
    found = part.get(key)
    return tuple(row for row in found if isinstance(row, dict)) if isinstance(found, list) else ()


def condition(obj: Object, name: str) -> Mapping[str, Any]:
    """The status condition of that type, or an empty mapping."""
    return next((row for row in rows(section(obj, "status"), "conditions") if row.get("type") == name), _EMPTY)


def spelled(entry: Mapping[str, Any], default: str) -> str:
    """The reason of a condition, or `default`."""
    return one_line(entry.get("reason"), 100) or default


def told(entry: Mapping[str, Any]) -> str:
    """The message of a condition as one printable line, "" where there is none."""
    return one_line(entry.get("message"))


def oddity(obj: Object) -> str:
    """The field of an object's status that has a wrong type for any kind, "" where none has."""
    status = obj.get("status")
    if status is None:
        return ""
    if not isinstance(status, dict):
        return "status is no map"
    conditions = status.get("conditions")
    if not isinstance(conditions, list | None) or not all(map(_is_condition, conditions or ())):
        return "status.conditions is no list of conditions"
    seen = status.get("observedGeneration")
    return "" if seen is None or isinstance(seen, int) else "status.observedGeneration is no number"


def _is_condition(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key, ""), str) for key in ("type", "status"))


def waiting(reason: str, message: str) -> Health:
    """InProgress, with a reason."""
    return Health("InProgress", reason, message)
