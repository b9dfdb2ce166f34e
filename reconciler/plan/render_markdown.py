"""A review as markdown, for a comment on a pull request: the sums, then one block per cluster to open.

Text from a repository or a live object stands in code only (spans, fences, escaped HTML), so that it is no markup, link or mention
there. The whole is bounded: blocks are cut line by line, then left out, and how much that is is said.
"""

import html
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from msgspec import Struct

from reconciler.errors import printable
from reconciler.model import DESTRUCTIVE, ClusterReview, Review, Violation
from reconciler.plan import summary
from reconciler.plan.lines import Line, Style, lines
from reconciler.plan.render_text import compared

LIMIT = 60_000  # characters of the whole; GitHub takes 65,536
LINE = 300  # characters of one line
ROOM = 40  # characters for "(123456 more lines)", and for the sentence on what is left out


class Block(Struct, frozen=True):
    """One part to open: what its head says, as HTML, and its lines, which are markdown where they are not `fenced`."""

    head: str
    body: tuple[str, ...]
    open: bool
    fenced: bool = True

    @property
    def size(self) -> int:
        return sum(len(text) + 1 for text in self.body)


def render(review: Review, style: Style, limit: int = LIMIT) -> str:
    """The markdown of a review, of at most `limit` characters, without a newline at the end."""
    title = f"### {code(summary.line(summary.totals(review)))}"
    top = "\n\n".join([title, *(code(_short(text)) for text in compared(review))])
    return "\n\n".join([top, *details(review, style, limit - len(top))])


def details(review: Review, style: Style, room: int, files: str = "") -> list[str]:
    """One part to open per cluster, of at most `room` characters with two between them: those that need a look first. `files` is the
    address below which the files of the source are shown, "" for no links."""
    clusters = (_block(one, style) for one in sorted(review.clusters, key=_order))
    return shown([*_mistakes(review, files), *clusters], room)


def shown(blocks: Sequence[Block], room: int, what: str = "cluster") -> list[str]:
    """Blocks as markdown. Where they do not fit, their lines are cut, the longest first, then blocks are left out, and it is said."""
    kept, rest = _fitting(blocks, room - 2 * ROOM)
    cap = _cap([block.size for block in kept], rest)
    parts = [_shown(block, cap) for block in kept]
    if len(kept) < len(blocks):
        parts.append(f"{summary.many(len(blocks) - len(kept), what)} left out; `nidus plan` shows all")
    return parts


def _order(one: ClusterReview) -> tuple[bool, str]:
    """Those that need a look first."""
    return not _urgent(one), one.cluster


def _urgent(one: ClusterReview) -> bool:
    changes = one.plan.changes if one.plan else ()
    return bool(
        one.held
        or one.unseen
        or one.tombstone
        or one.failed
        or one.declared
        or any(change.action in DESTRUCTIVE or change.action == "hold" for change in changes)
    )


def _block(one: ClusterReview, style: Style) -> Block:
    head = f"<code>{html.escape(printable(one.cluster))}</code> {summary.brief(one)}"
    return Block(head, tuple(_line(line) for line in lines(one, style)), _urgent(one))


def _mistakes(review: Review, files: str) -> Iterator[Block]:
    for found, what in ((review.violations, "mistake"), (review.warnings, "warning")):
        if not found:
            continue
        head = f"{summary.many(len(found), what)} in documents"
        if files:
            yield Block(head, tuple(_linked(one, files) for one in found), True, fenced=False)
        else:
            told = (f"{_place(one)}: {one.code} {one.message}" for one in found)
            yield Block(head, tuple(_line(Line(printable(text))) for text in told), True)


def _place(one: Violation) -> str:
    return f"{one.path}:{one.line}:{one.column}"


def _linked(one: Violation, files: str) -> str:
    """An item of a list, whose place is a link to the line."""
    place, told = code(_short(printable(_place(one)))), code(_short(printable(f"{one.code} {one.message}")))
    return f"- [{place}]({files}{quote(one.path)}#L{one.line}) {told}" if len(one.path) <= LINE else f"- {place} {told}"


def _line(line: Line) -> str:
    """A line with its symbol first, where a fence of language diff gives it a colour."""
    text = f"{line.symbol:<3} {line.text}" if line.symbol else line.text
    return text if line.fit == "whole" else _short(text)


def _short(text: str) -> str:
    return text if len(text) <= LINE else f"{text[: LINE - 1]}…"


def _fitting(blocks: Sequence[Block], room: int) -> tuple[list[Block], int]:
    """The first blocks whose frames fit, and the characters that stay for their lines."""
    kept = []
    for block in blocks:
        frame = len(_framed(block, ())) + ROOM
        if frame > room:
            break
        kept.append(block)
        room -= frame
    return kept, room


def _cap(sizes: Sequence[int], room: int) -> int:
    """How many characters each may have, so that all together have no more than `room`: what small ones leave goes to the
    others."""
    for index, size in enumerate(sorted(sizes)):
        level = room // (len(sizes) - index)
        if size > level:
            return level
        room -= size
    return max(sizes, default=0)


def _shown(block: Block, cap: int) -> str:
    kept: list[str] = []
    for text in block.body:
        cap -= len(text) + 1
        if cap < 0:
            kept.append(f"({len(block.body) - len(kept)} more lines)")
            break
        kept.append(text)
    return _framed(block, kept)


def _framed(block: Block, body: Sequence[str]) -> str:
    begin = f"<details{' open' if block.open else ''}><summary>{block.head}</summary>"
    if not block.fenced:
        return "\n".join([begin, "", *body, "", "</details>"])
    fence = "`" * max(3, _run(block.body) + 1)
    return "\n".join([begin, "", f"{fence}diff", *body, fence, "", "</details>"])


def _run(texts: Sequence[str]) -> int:
    """The longest run of backticks."""
    return max((len(run) for text in texts for run in re.findall("`+", text)), default=0)


def code(text: str) -> str:
    """A code span: nothing in it is markup."""
    fence = "`" * (_run((text,)) + 1)
    pad = " " if "`" in (text[:1], text[-1:]) else ""
    return f"{fence}{pad}{text}{pad}{fence}"
