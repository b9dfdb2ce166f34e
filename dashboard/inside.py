"""What runs inside a cluster as the table of a page that stays small, whatever a tenant named things. Pure."""

from collections.abc import Sequence
from typing import Final

from markupsafe import escape
from msgspec import Struct

from dashboard import pages
from reconciler.report.workloads import Workload, requests

LONGEST: Final = 63  # characters of a namespace
CELL: Final = 100  # of a cell
SIZE: Final = 70_000  # bytes of all cells: the page stays below 100 KB
ROW: Final = 120  # bytes of markup of a row


class Table(Struct, frozen=True):
    """The first rows of `count`, as texts in the order of the columns in workloads.html."""

    rows: tuple[tuple[str, ...], ...]
    count: int


def table(found: Sequence[Workload], namespace: str, now: float) -> Table:
    """The rows of a namespace, all where it is "", as many as fit a page."""
    fitting = [one for one in found if namespace in ("", one.namespace)]
    rows, size = list[tuple[str, ...]](), 0
    for one in fitting:
        cells = _cells(one, now)
        size += ROW + sum(len(escape(cell).encode()) for cell in cells)
        if size > SIZE:
            break
        rows.append(cells)
    return Table(tuple(rows), len(fitting))


def _cells(one: Workload, now: float) -> tuple[str, ...]:
    images = ", ".join(one.images)
    restarts = str(one.restarts) if one.restarts else ""
    texts = (one.kind, one.namespace, one.name, one.ready, one.status, restarts, *requests(one))
    return tuple(_cut(pages.drawn(text)) for text in (*texts, pages.ago(one.made, now), images, one.detail))


def _cut(text: str) -> str:
    return text if len(text) <= CELL else f"{text[: CELL - 1]}\u2026"
