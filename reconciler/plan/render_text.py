"""A review as people read it in a terminal, in the manner of Terraform: what was compared with what, a header per cluster, changes
by layer, sums in the last line."""

import textwrap
from collections.abc import Iterator

from reconciler.errors import printable
from reconciler.model import Review
from reconciler.plan import summary
from reconciler.plan.lines import Line, Style, instant, lines

COLOURS = {
    "head": "1",
    "create": "32",
    "configure": "33",
    "delete": "31",
    "replace": "35",
    "adopt": "36",
    "hold": "1;33",
    "unknown": "1;31",
}


def render(review: Review, style: Style, colour: bool = False) -> str:
    """The text of a review, ending in the sums without a newline. Nothing but a digest to approve is wider than the style's width:
    objects and sentences are wrapped, other lines cut."""
    return "\n".join(_shown(line, style.width, colour) for line in _page(review, style))


def compared(review: Review) -> Iterator[str]:
    """Which revision was compared with which live state, when, or with none; and what is not shown."""
    against = f"host {printable(review.host)} at {instant(review.at)}" if review.host else "another revision"
    yield f"{printable(review.source)} {printable(review.revision.short)} compared with {against}"
    if review.same:
        yield f"{summary.many(review.same, 'cluster')} more with the same documents: not looked at (--all does)"
    if review.hidden:
        yield f"{summary.many(review.hidden, 'cluster')} more with changes: not shown"
    yield from (f"note: {printable(note)}" for note in review.notes)


def _page(review: Review, style: Style) -> Iterator[Line]:
    yield from (Line(text, fit="wrap") for text in compared(review))
    yield Line("")
    for one in review.clusters:
        revision = f" {printable(one.plan.revision.short)}" if one.plan else ""
        yield Line(f"{printable(one.cluster)}{revision}", about="head")
        yield from lines(one, style)
        yield Line("")
    yield Line(summary.line(summary.totals(review)), about="head", fit="wrap")


def _shown(line: Line, width: int, colour: bool) -> str:
    code = COLOURS.get(line.about, "") if colour else ""
    texts = _fitted(line, f"  {line.symbol:>3} {line.text}" if line.symbol else line.text, width)
    return "\n".join(f"\x1b[{code}m{text}\x1b[0m" if code and text else text for text in texts)


def _fitted(line: Line, text: str, width: int) -> list[str]:
    if not width or len(text) <= width or line.fit == "whole":
        return [text]
    if line.fit == "wrap":
        indent = max(6, len(text) - len(text.lstrip()) + 4)
        return textwrap.wrap(text, max(width, 20), subsequent_indent=" " * indent, break_on_hyphens=False)
    return [f"{text[: max(width - 1, 1)]}…"]
