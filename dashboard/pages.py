"""What the pages show, from the views of clusters and sources. Pure; `now` in seconds since the epoch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from reconciler.errors import short
from reconciler.model import replace
from reconciler.report import view, why
from reconciler.report.view import ClusterView, ConditionView, SourceView

EACH: Final = 100  # clusters on one page
WITHHELD: Final = (
    "Something in this source needs somebody. What it is, is shown to whoever may get all of its clusters."
)
ORDER: Final = ("Held", "Degraded", "Invalid", "Expired", "Waiting", "Deleting")
"""Words that want somebody, the most urgent first."""


class Row(Struct, frozen=True):
    """One cluster in a table. `since` and ages are texts such as 5m."""

    name: str
    word: str
    since: str
    revision: str
    source: str
    message: str


class Came(Struct, frozen=True):
    """One revision of a cluster; times in seconds since the epoch, 0 where it did not come so far or that is not known."""

    revision: str
    admitted: float = 0.0
    applied: float = 0.0
    ready: float = 0.0
    author: str = ""
    subject: str = ""
    number: int = 0


class Choice(Struct, frozen=True):
    """What is chosen of all clusters: part of a name, a word, a source, a page from 1."""

    name: str = ""
    word: str = ""
    source: str = ""
    page: int = 1


class Overview(Struct, frozen=True):
    """`attention` and `troubles` come first: clusters that want somebody, and what is wrong with sources. `shown` is one page of the
    `count` clusters that fit the choice."""

    attention: tuple[Row, ...]
    troubles: tuple[tuple[str, str], ...]
    shown: tuple[Row, ...]
    count: int
    total: int
    pages: int
    choice: Choice
    words: Mapping[str, int]
    sources: tuple[str, ...]


def overview(
    clusters: Mapping[str, ClusterView], sources: Mapping[str, SourceView], choice: Choice, now: float
) -> Overview:
    """The first page."""
    rows = [row(one, now) for _, one in sorted(clusters.items())]
    wanting = sorted((one for one in rows if one.word in ORDER), key=lambda one: ORDER.index(one.word))
    fitting = [one for one in rows if fits(one, choice)]
    pages = max(1, -(-len(fitting) // EACH))
    page = min(max(1, choice.page), pages)
    words: dict[str, int] = {}
    for one in rows:
        words[one.word] = words.get(one.word, 0) + 1
    return Overview(
        attention=tuple(wanting[:EACH]),
        troubles=tuple(troubles(sources.values(), now)),
        shown=tuple(fitting[(page - 1) * EACH : page * EACH]),
        count=len(fitting),
        total=len(rows),
        pages=pages,
        choice=Choice(choice.name, choice.word, choice.source, page),
        words=dict(sorted(words.items())),
        sources=tuple(sorted(sources)),
    )


def row(one: ClusterView, now: float) -> Row:
    """The row of a cluster."""
    said = view.word(one)[1] if one.word == "Held" else why.message(one)
    word, since = one.word or "Pending", ago(one.since, now)
    return Row(one.cluster, word, since, short(one.applied), one.source, said)


def fits(one: Row, choice: Choice) -> bool:
    """Whether a row is chosen."""
    named = choice.name.lower() in one.name.lower()
    return named and choice.word in ("", one.word) and choice.source in ("", one.source)


def troubles(sources: Iterable[SourceView], now: float) -> Iterable[tuple[str, str]]:
    """What is wrong with sources, as (source, sentence)."""
    for one in sorted(sources, key=lambda each: each.source):
        if one.error:
            fetched = f", last fetched {age(now - one.fetched)} ago" if one.fetched else ""
            yield one.source, one.error + fetched
        if one.violation_count:
            first = one.violations[0] if one.violations else None
            where = f", first {first.path}:{first.line}: {first.message}" if first else ""
            many = "mistake" if one.violation_count == 1 else "mistakes"
            yield one.source, f"{one.violation_count} {many}{where}"
        if one.held:
            yield one.source, f"held: {one.held.message}"
        if one.configuration:
            yield one.source, one.configuration


def withheld(one: SourceView) -> SourceView:
    """A source for somebody who may not get all of its clusters: nothing that may name another one, or count them."""
    told = [one.configuration] if one.configuration else []
    told += [WITHHELD] if one.held or one.violation_count else []
    return replace(
        one, accepted=0, rejected=0, violations=(), violation_count=0, held=None, authored=None, stages=(),
        configuration=" ".join(told),
    )  # fmt: skip


def conditions(found: Sequence[ConditionView], now: float) -> list[tuple[ConditionView, str]]:
    """Conditions with their ages."""
    return [(one, ago(one.since, now)) for one in found]


def history(found: Sequence[Came], now: float) -> list[tuple[str, str, str, str, str, str, str]]:
    """Rows of a table: revision, how long ago it was admitted, what it took to be applied and Ready, change request, author, subject."""
    return [
        (
            short(one.revision), age(now - one.admitted) if one.admitted else "", took(one.admitted, one.applied),
            took(one.admitted, one.ready), f"#{one.number}" if one.number else "", one.author, one.subject,
        )
        for one in found
    ]  # fmt: skip


def took(begin: float, end: float) -> str:
    """What something took, as 4.2 s or an age; "" where it did not end."""
    if not end:
        return ""
    if not begin or end < begin:
        return "yes"
    return f"{end - begin:.1f} s" if end - begin < 60 else age(end - begin)


def ago(since: str, now: float) -> str:
    """The age of a time (RFC 3339), "" where there is none."""
    try:
        return age(now - datetime.fromisoformat(since).timestamp()) if since else ""
    except ValueError:
        return ""


def ahead(until: float, now: float) -> str:
    """How long until a time, as an age; "" where there is none."""
    return age(until - now) if until else ""


def age(seconds: float) -> str:
    """now, 5m, 3h or 2d: no finer than a minute, so that a page is the same for a minute."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size * (2 if unit != "m" else 1):
            return f"{int(seconds // size)}{unit}"
    return "now"
