"""The places of a YAML file's values, from libyaml's events, for `spec.marks`."""

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

from reconciler.spec.marks import Place, Places

_NULLS = ("", "~", "null", "Null", "NULL")


class _Level(Struct):
    """One open mapping (`key` is the pending one) or list (`index` counts its items)."""

    pointer: str
    mapping: bool
    key: str | None = None
    place: Place = (1, 1)
    index: int = 0


def read(data: bytes) -> list[dict[str, Places]]:
    """As `marks.read`."""
    documents: list[dict[str, Places]] = []
    try:
        _walk(CParser(data), documents)
    except YAMLError:
        return documents
    return documents


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
