"""Sensitive variables (K11): a cluster names a key of a shared Secret, and a mark stands for it until the object is complete.

What the mark stands for is read by the pass, after the render and inside Secrets only. No worker, no cache and no document ever holds it.
"""

from collections.abc import Mapping
from typing import Any

from reconciler.patterns import lazy
from reconciler.plan import secretdata

FROM = "fromSecret"
MARK = lazy("\ue000([a-z0-9.-]{1,253})/([A-Za-z0-9._-]{1,253})\ue001")
OPEN = "\ue000"
HOW = "write {fromSecret: {name: NAME, key: KEY}}, of a Secret that is shared with the cluster"
_NAME = lazy(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_KEY = lazy(r"[A-Za-z0-9._-]{1,253}")


def named(value: Any) -> tuple[str, str] | None:
    """The Secret and the key that a value names; None where it names none."""
    inner = value.get(FROM) if isinstance(value, Mapping) and list(value) == [FROM] else None
    if not isinstance(inner, Mapping) or sorted(inner) != ["key", "name"]:
        return None
    name, key = inner["name"], inner["key"]
    if not isinstance(name, str) or not isinstance(key, str) or not _NAME.fullmatch(name) or not _KEY.fullmatch(key):
        return None
    return name, key


def mark(value: Any) -> str:
    """The text that stands for a value; "" for one that names no key of a Secret, which is told where it is checked."""
    found = named(value)
    return f"\ue000{found[0]}/{found[1]}\ue001" if found is not None else ""


def outside(value: Any) -> bool:
    """Whether a mark stands anywhere below `value`."""
    return any(OPEN in text for _, text in secretdata.texts(value))


def misplaced(document: Any) -> bool:
    """Whether a mark stands in an object and not in the data of a Secret."""
    return any(OPEN in text for _, text in secretdata.shown(document))
