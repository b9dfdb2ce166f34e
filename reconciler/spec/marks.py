"""Positions inside a YAML file. The file is read again for them only after a mistake, because parsing keeps none
(V1)."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from yaml import YAMLError
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

Place = tuple[int, int]
Places = tuple[Place, Place]
_START: Place = (1, 1)
_PLAIN = re.compile(r"[-+.:0-9A-Za-z]{1,100}", re.ASCII)
_NULLS = ("", "~", "null", "Null", "NULL")


class _Level(Struct):
    """One open mapping (`key` is the pending one) or list (`index` counts its items)."""

    pointer: str
    mapping: bool
    key: str | None = None
    place: Place = (1, 1)
    index: int = 0


def read(data: bytes) -> list[dict[str, Places]]:
    """Per document (empty ones left out, as the parser does) pointer -> places, 1-based (line, column): of what it means, and of its key.

    A scalar is where its value stands, a list or mapping where its key stands. What follows a syntax error is missing.
    """
    documents: list[dict[str, Places]] = []
    try:
        _walk(CParser(data), documents)
    except YAMLError:
        return documents
    return documents


def find(places: Mapping[str, Places], pointer: str, *, key: bool = False) -> Place:
    """The place of a pointer, or of its nearest parent that stands in the file; with `key` that of the field's name."""
    while pointer not in places and pointer:
        pointer = pointer.rpartition("/")[0]
    return places.get(pointer, (_START, _START))[key]


def text(data: bytes, document: int, pointer: str) -> str:
    """A plain scalar of one line as it stands in the nth document of a file; "" where none stands at the pointer."""
    documents = read(data)
    if document >= len(documents) or pointer not in documents[document]:
        return ""
    (line, column), _ = documents[document][pointer]
    lines = data.decode(errors="replace").splitlines()
    found = _PLAIN.match(lines[line - 1], column - 1) if line <= len(lines) else None
    return found[0] if found else ""


def _walk(parser: Any, documents: list[dict[str, Places]]) -> None:
    levels: list[_Level] = []
    while (kind := type(event := parser.get_event())) is not StreamEndEvent:
        if kind is DocumentStartEvent:
            documents.append({})
        elif kind in (MappingEndEvent, SequenceEndEvent):
            levels.pop()
        elif kind in (ScalarEvent, MappingStartEvent, SequenceStartEvent):
            _node(event, levels, documents)


def _node(event: Any, levels: list[_Level], documents: list[dict[str, Places]]) -> None:
    place, scalar = (event.start_mark.line + 1, event.start_mark.column + 1), type(event) is ScalarEvent
    if not levels and scalar and event.implicit[0] and event.value in _NULLS:
        documents.pop()
        return
    level = levels[-1] if levels else _Level("", mapping=False)
    if level.mapping and level.key is None:
        level.key, level.place = str(getattr(event, "value", "")), place
        return
    key_place = level.place if level.mapping else place
    pointer = _enter(level) if levels else ""
    documents[-1][pointer] = (place if scalar else key_place, key_place)
    if not scalar:
        levels.append(_Level(pointer, type(event) is MappingStartEvent))


def _enter(level: _Level) -> str:
    """The pointer of the value that starts now."""
    if level.mapping:
        name, level.key = (level.key or "").replace("~", "~0").replace("/", "~1"), None
    else:
        name, level.index = str(level.index), level.index + 1
    return f"{level.pointer}/{name}"
