"""How rules read an object: absent and oddly shaped both read as empty, so that a hostile status cannot break a pass."""

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.model import Health, Object

Rule = Callable[[Object], Health]
CURRENT = Health("Current", "Current")
_EMPTY: Mapping[str, Any] = {}


def section(obj: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The mapping at `path`, or an empty one."""
    found: Any = obj
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else _EMPTY


def number(part: Mapping[str, Any], key: str, default: int = 0) -> int:
    """The integer at `key`, or `default`."""
    found = part.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def rows(part: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    """The mappings in the list at `key`."""
    found = part.get(key)
    return tuple(row for row in found if isinstance(row, Mapping)) if isinstance(found, list) else ()


def condition(obj: Object, name: str) -> Mapping[str, Any]:
    """The status condition of that type, or an empty mapping."""
    return next((row for row in rows(section(obj, "status"), "conditions") if row.get("type") == name), _EMPTY)


def spelled(entry: Mapping[str, Any], default: str) -> str:
    """The reason a condition gives, or `default`."""
    return str(entry.get("reason") or default)


def waiting(reason: str, message: str) -> Health:
    """Still on its way."""
    return Health("InProgress", reason, message)
