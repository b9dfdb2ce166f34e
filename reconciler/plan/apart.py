"""Where two long values differ first, for people who read a plan."""

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any

from reconciler.model import MISSING
from reconciler.plan import paths

COUNTED = 1000  # differences; a plan says no more of them than that
LEAD = 20  # characters that are shown before the first one that differs


def first(path: str, before: Any, after: Any) -> tuple[str, Any, Any, int]:
    """The path and the two sides of the first difference below `path`, and how many more differences there are (`COUNTED` at
    most)."""
    found = list(islice(_differences(path, before, after), COUNTED))
    return (*found[0], len(found) - 1) if found else (path, before, after, 0)


def _differences(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    waiting = [(path, before, after)]
    while waiting:
        here, old, new = waiting.pop()
        if old == new and type(old) is type(new):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            names = sorted({**old, **new}, key=str, reverse=True)
            waiting += [(paths.child(here, name), old.get(name, MISSING), new.get(name, MISSING)) for name in names]
        elif isinstance(old, list) and isinstance(new, list):
            pairs = list(enumerate(zip_longest(old, new, fillvalue=MISSING)))
            waiting += [(f"{here}[{index}]", *pair) for index, pair in reversed(pairs)]
        else:
            yield here, old, new


def windows(before: str, after: str, limit: int) -> tuple[str, str]:
    """Both texts cut to `limit` characters around the first one that differs."""
    at = next((index for index, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, at - LEAD) if at + LEAD > limit else 0
    return _window(before, start, limit), _window(after, start, limit)


def _window(text: str, start: int, limit: int) -> str:
    if start == 0 and len(text) <= limit:
        return text
    cut = f"…{text[start:]}" if start else text
    return cut if len(cut) <= limit else f"{cut[: limit - 1]}…"
