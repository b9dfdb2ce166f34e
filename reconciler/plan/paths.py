"""Field paths as text: `spec.template.spec.containers[name=app].image`, `metadata.labels."app.kubernetes.io/name"`.

`.field` with JSON quotes where the name is not plain, `[key=value,...]` an item of a keyed list (keys sorted), `[=value]` a
member of a set, `[3]` an item by position. Values are plain text where that is unambiguous and JSON elsewhere. Two spellings
of one path never exist, so paths compare as strings.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from reconciler.model import MISSING
from reconciler.patterns import lazy

PLAIN = lazy(r"[A-Za-z_$][A-Za-z0-9_$-]*\Z")
BARE = lazy(r"[A-Za-z/*_][A-Za-z0-9_./:@*-]*\Z")
WORDS = frozenset({"true", "false", "null", "NaN", "Infinity"})
TOKEN = lazy(
    r'\.?(?:(?P<field>[A-Za-z_$][A-Za-z0-9_$-]*)|(?P<quoted>"(?:[^"\\]|\\.)*")|\[(?P<item>(?:[^\]"]|"(?:[^"\\]|\\.)*")*)\])'
)
KEY = lazy(r"[A-Za-z0-9_-]+\Z")
PAIR = lazy(r'(?P<key>[A-Za-z0-9_-]*)=(?P<value>"(?:[^"\\]|\\.)*"|[^,"]*)(?:,|\Z)')

Item = tuple[tuple[str, Any], ...]
Element = str | int | Item


def child(path: str, name: str) -> str:
    """The path of field `name` below `path`."""
    return f"{path}.{part(name)}" if path else part(name)


@lru_cache(maxsize=4096)
def part(name: str) -> str:
    """A field name as it stands in a path."""
    return name if PLAIN.match(name) else json.dumps(name, ensure_ascii=False)


def item(path: str, keys: Iterable[tuple[str, Any]]) -> str:
    """The path of the item of a keyed list whose key fields, sorted by name, have these values."""
    return f"{path}[{','.join([f'{key}={text(value)}' for key, value in keys])}]"


def member(path: str, value: Any) -> str:
    """The path of a member of a set."""
    return f"{path}[={text(value)}]"


def text(value: Any) -> str:
    """A scalar as it stands inside brackets."""
    if isinstance(value, str) and BARE.match(value) and value not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def covers(outer: str, inner: str) -> bool:
    """Whether `inner` is `outer` or lies below it."""
    return inner.startswith(outer) and (len(inner) == len(outer) or not outer or inner[len(outer)] in ".[")


def ancestors(path: str) -> list[str]:
    """The path itself and all paths above it, longest first."""
    found, end = [path], len(path)
    for token in reversed(_tokens(path)):
        end = token.start()
        if end:
            found.append(path[:end])
    return found


def _tokens(path: str) -> list[re.Match[str]]:
    """The tokens from the start on, each where the last one ended. A search for the next one would be quadratic on hostile text."""
    scanner: Any = TOKEN.scanner(path)  # type: ignore[attr-defined]
    return list(iter(scanner.match, None))


class Index:
    """Paths to ask about many times: whether one of them is, holds or lies below another path, each time in its depth."""

    def __init__(self, found: Iterable[str]) -> None:
        self.exact = frozenset(found)
        self.above = frozenset(up for path in self.exact for up in ancestors(path))

    def touches(self, path: str) -> bool:
        """Whether `path` is one of them, holds one of them, or lies below one."""
        return path in self.above or bool(self.over(path))

    def over(self, path: str) -> list[str]:
        """Those that are `path` or hold it."""
        return [up for up in ancestors(path) if up in self.exact]


@lru_cache(maxsize=4096)
def parse(path: str) -> tuple[Element, ...]:
    """The elements of a path; ValueError for text that is none."""
    elements: list[Element] = []
    at = 0
    while at < len(path):
        token = TOKEN.match(path, at)
        if token is None or token.end() == at:
            raise ValueError(f"not a field path: {path}")
        at = token.end()
        try:
            elements.append(_element(token))
        except (ValueError, RecursionError):
            raise ValueError(f"not a field path: {path}") from None
    return tuple(elements)


def _element(token: re.Match[str]) -> Element:
    if token["field"] is not None:
        return token["field"]
    if token["quoted"] is not None:
        return str(json.loads(token["quoted"]))
    if token["item"].isascii() and token["item"].isdigit():
        return int(token["item"])
    return _item(token["item"])


def _item(text: str) -> Item:
    pairs: list[tuple[str, Any]] = []
    at = 0
    while at < len(text) or not pairs:
        pair = PAIR.match(text, at)
        if pair is None:
            raise ValueError(text)
        pairs.append((pair["key"], _value(pair["value"])))
        at = pair.end()
    return tuple(pairs)


def _value(spelled: str) -> Any:
    return spelled if BARE.match(spelled) and spelled not in WORDS else json.loads(spelled)


def get(value: Any, path: str) -> Any:
    """What stands at `path` in a JSON value, `MISSING` where nothing does."""
    for element in parse(path):
        value = _step(value, element)
        if value is MISSING:
            return MISSING
    return value


class Values:
    """What stands at many paths of one JSON value: like `get`, but every list is looked through once."""

    def __init__(self, value: Any) -> None:
        self._known: dict[str, Any] = {"": value}
        self._items: dict[tuple[str, tuple[str, ...]], dict[tuple[Any, ...], Any]] = {}

    def get(self, path: str) -> Any:
        """What stands at `path`, `MISSING` where nothing does."""
        if path in self._known:
            return self._known[path]
        ups = [up for up in reversed(ancestors(path)) if up]
        above = ""
        for up, element in zip(ups, parse(path), strict=True):
            if up not in self._known:
                self._known[up] = self._below(above, element)
            above = up
        return self._known[path]

    def _below(self, above: str, element: Element) -> Any:
        value = self._known[above]
        if not isinstance(element, tuple) or element[0][0] == "" or not isinstance(value, list):
            return _step(value, element)
        names = tuple(name for name, _ in element)
        if (above, names) not in self._items:
            self._items[above, names] = _by_key(value, names)
        try:
            return self._items[above, names].get(tuple(wanted for _, wanted in element), MISSING)
        except TypeError:  # a key that is no scalar: nothing has it
            return MISSING


def _by_key(items: list[Any], names: tuple[str, ...]) -> dict[tuple[Any, ...], Any]:
    found: dict[tuple[Any, ...], Any] = {}
    for one in items if len(names) else ():
        if isinstance(one, Mapping):
            key = tuple(one.get(name, "TCP" if name == "protocol" else None) for name in names)
            if all(isinstance(part, (str, int, float)) or part is None for part in key):
                found.setdefault(key, one)
    return found


def _step(value: Any, element: Element) -> Any:
    if isinstance(element, str):
        return value.get(element, MISSING) if isinstance(value, Mapping) else MISSING
    if not isinstance(value, Sequence) or isinstance(value, str):
        return MISSING
    if isinstance(element, int):
        return value[element] if element < len(value) else MISSING
    if element[0][0] == "":
        return element[0][1] if element[0][1] in value else MISSING
    return next((one for one in value if _has(one, element)), MISSING)


def _has(value: Any, keys: Item) -> bool:
    """Whether an item carries these key fields; a protocol left out is TCP, the one default list keys have."""
    return isinstance(value, Mapping) and all(value.get(k, "TCP" if k == "protocol" else None) == v for k, v in keys)
