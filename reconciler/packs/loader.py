"""The tolerant YAML loader for Helm's output (V1): it reads as Helm's own YAML library does, into JSON values.

Documents end where Helm ends them: at a line that begins with `---`, whatever follows on it (K9,
releaseutil.SplitManifests).
Scalars have Helm's meaning (YAML 1.1 with its `yes`, `on` and octals; no dates, no base-60 numbers). Keys that occur
twice with equal values are taken once, keys whose value is null are left out, empty documents too. Depth and size are
limited while reading (M1-M3), so the builder is a loop over events and never recurses.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from reconciler.errors import Stalled
from reconciler.patterns import lazy

DEPTH = 200
NODES = 400_000

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_INTEGER = lazy(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", re.ASCII)
_FLOAT = lazy(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SEPARATOR = lazy(r"(?:\A\s*|^)---[ \t]*", re.MULTILINE)
_NOT_JSON = frozenset(
    {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN"}
)
_TAG = "tag:yaml.org,2002:"
_NO_KEY = object()
_MERGE = object()


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet. `key` waits for its value; `merged` are the keys that `<<` brought in."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    born: int
    key: Any = _NO_KEY
    merged: set[str] = field(default_factory=set)


def load(text: str, path: str) -> list[Any]:
    """All documents of `text` that are not empty, as JSON values, in order.

    Raises Stalled(reason RenderFailed) naming `path` and the line of the rendered text.
    """
    return list(loaded((text,), path))


def loaded(texts: Iterable[str], path: str) -> Iterator[Any]:
    """The documents of each of the texts, as `load` reads them; the limits are those of all together, and lines those of one text."""
    builder = _Builder(path)
    for text in texts:
        for part, line in _parts(text):
            yield from (one for one in builder.read(part, line) if one not in (None, {}, []))


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """The text of each document and the line it begins at, from 0."""
    start = line = 0
    for mark in _SEPARATOR.finditer(text):
        yield text[start : mark.start()], line
        line += text.count("\n", start, mark.end())
        start = mark.end()
    yield text[start:], line


def scalar(text: str) -> Any:
    """The value of a plain scalar as Helm reads it; numbers beyond 64 bits are floats. Raises ValueError for values
    that JSON does not have."""
    if text in _WORDS:
        return _WORDS[text]
    if text in _NOT_JSON:
        raise ValueError(f"{text} has no meaning in JSON")
    if text[0] not in "0123456789+-.":
        return text
    return _number(text)


def _number(text: str) -> Any:
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(plain):
        value = _integer(plain)
        if -(1 << 63) <= value < 1 << 64:
            return value
    if not _FLOAT.fullmatch(plain):
        return text
    number = float(plain)
    if number in (float("inf"), float("-inf")):
        return text
    return int(number) if number.is_integer() and abs(number) < 1e21 and abs(number) < 1 << 63 else number


def _integer(plain: str) -> int:
    sign, digits = (-1 if plain[0] == "-" else 1), plain.lstrip("+-").lower()
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 8 if digits[0] == "0" else 10)


def _refused(path: str, line: int, what: str) -> Stalled:
    return Stalled(f"{path}: line {line + 1} of what it renders: {what}", reason="RenderFailed")


class _Builder:
    """Builds the documents of one text out of its events, one open collection per level on a stack."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.line = 0
        self.nodes = 0
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}

    def read(self, text: str, line: int) -> list[Any]:
        """The documents of a part that begins at this line of the whole. Raises Stalled."""
        self.line = line
        try:
            return list(self._documents(text))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            told = str(getattr(error, "problem", None) or "not YAML")
            raise _refused(self.path, line + (mark.line if mark else 0), told) from None

    def _documents(self, text: str) -> Iterator[Any]:
        root: Any = None
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentStartEvent):
                root, self.anchors = None, {}
            elif isinstance(event, yaml.DocumentEndEvent):
                yield root
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                done = self._node(event)
                if done is not _NO_KEY:
                    root = done

    def _node(self, event: Any) -> Any:
        """Takes one event; the document's value when this event completes it, else `_NO_KEY`."""
        if isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
            return _NO_KEY
        self._count(event, 1)
        if isinstance(event, yaml.CollectionEndEvent):
            value = self._close()
        elif isinstance(event, yaml.AliasEvent):
            value = self._alias(event)
        else:
            value = self._scalar(event)
        if not self.stack:
            return value
        self._put(self.stack[-1], value, event)
        return _NO_KEY

    def _count(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > NODES:
            raise self._error(event, f"more than {NODES} values")

    def _open(self, event: Any) -> None:
        if len(self.stack) >= DEPTH:
            raise self._error(event, f"nested deeper than {DEPTH} levels")
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Open(value, event.anchor, self.nodes))

    def _close(self) -> Any:
        done = self.stack.pop()
        value = done.value
        if isinstance(value, dict):
            value = {key: item for key, item in value.items() if item is not None}
        if done.anchor:
            self.anchors[done.anchor] = (value, self.nodes - done.born)
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise self._error(event, f"alias *{event.anchor} has no finished anchor")
        value, nodes = self.anchors[event.anchor]
        self._count(event, nodes)
        return value

    def _scalar(self, event: Any) -> Any:
        tag = (event.tag or "").removeprefix(_TAG)
        value: Any = event.value
        try:
            if event.implicit[0] or tag in ("int", "float", "bool", "null"):
                value = scalar(value)
            elif tag == "binary":
                value = base64.b64decode(value, validate=False).decode()
        except ValueError as error:
            raise self._error(event, str(error)) from None
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        return value

    def _put(self, parent: _Open, value: Any, event: Any) -> None:
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is _NO_KEY:
            merges = value == "<<" and event.implicit[0]
            parent.key = _MERGE if merges else self._key(value, event)
        else:
            key, parent.key = parent.key, _NO_KEY
            self._pair(parent, parent.value, key, value, event)

    def _pair(self, parent: _Open, into: dict[str, Any], key: Any, value: Any, event: Any) -> None:
        if key is _MERGE:
            for source in reversed(value if isinstance(value, list) else [value]):
                if not isinstance(source, dict):
                    raise self._error(event, "<< merges maps only")
                into.update(source)
                parent.merged.update(source)
        elif key in into and key not in parent.merged and into[key] != value:
            raise self._error(event, f"key {key!r} stands twice with unlike values")
        else:
            into[key] = value
            parent.merged.discard(key)

    def _key(self, value: Any, event: Any) -> str:
        """Integers and booleans become text. Fractions are refused, because their text would depend on how they are
        written."""
        if isinstance(value, str):
            return value
        whole = isinstance(value, int) and _INTEGER.fullmatch(getattr(event, "value", ""))
        if not (whole or isinstance(value, bool)):
            raise self._error(event, "a key must be text; quote it")
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _error(self, event: Any, what: str) -> Stalled:
        return _refused(self.path, self.line + event.start_mark.line, what)
