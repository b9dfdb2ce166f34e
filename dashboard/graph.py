"""The layers of a cluster as a graph: boxes in columns, each to the right of what it depends on. Pure; sizes in pixels."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from reconciler.model import LayerStatus

WIDE, HIGH, GAP, ROW = 132, 44, 30, 14
MOST: Final = 60  # layers; with more a table says it better
TEXT: Final = 17  # characters of a name in its box


class Box(Struct, frozen=True):
    """One layer: its left upper corner, its name as it fits, and its state."""

    x: int
    y: int
    name: str
    state: str


class Graph(Struct, frozen=True):
    """Boxes, and lines from the right of one to the left of another as (x1, y1, x2, y2)."""

    boxes: tuple[Box, ...]
    lines: tuple[tuple[int, int, int, int], ...]
    width: int
    height: int


def of(layers: Sequence[LayerStatus]) -> Graph | None:
    """The graph; None where nothing says what depends on what, or there are too many."""
    if len(layers) > MOST or not any(one.depends_on for one in layers):
        return None
    columns = _columns(layers)
    places: dict[str, tuple[int, int]] = {}
    filled: dict[int, int] = {}
    for one in layers:
        column = columns[one.name]
        places[one.name] = (1 + column * (WIDE + GAP), 1 + filled.get(column, 0) * (HIGH + ROW))
        filled[column] = filled.get(column, 0) + 1
    boxes = tuple(Box(*places[one.name], _fitting(one.name), one.state) for one in layers)
    width = max(filled) * (WIDE + GAP) + WIDE + 2
    height = max(filled.values()) * (HIGH + ROW) - ROW + 2
    return Graph(boxes, tuple(_lines(layers, places)), width, height)


def _columns(layers: Sequence[LayerStatus]) -> Mapping[str, int]:
    """The longest way to each layer from one that depends on nothing. A circle, which nothing we accept has, ends after so many steps
    as there are layers."""
    columns = {one.name: 0 for one in layers}
    for _ in layers:
        before = dict(columns)
        for one in layers:
            known = [before[name] + 1 for name in one.depends_on if name in before]
            columns[one.name] = min(max(known, default=0), len(layers) - 1)
        if before == columns:
            break
    return columns


def _lines(layers: Sequence[LayerStatus], places: Mapping[str, tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    found = []
    for one in layers:
        x, y = places[one.name]
        for name in one.depends_on:
            if name in places:
                found.append((places[name][0] + WIDE, places[name][1] + HIGH // 2, x, y + HIGH // 2))
    return found


def _fitting(name: str) -> str:
    return name if len(name) <= TEXT else f"{name[: TEXT - 1]}\u2026"
