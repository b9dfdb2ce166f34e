"""What the pages show, from the views of clusters and sources. Pure; `now` in seconds since the epoch."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from reconciler.errors import printable, short
from reconciler.model import replace
from reconciler.report import view, why
from reconciler.report.view import ClusterView, ConditionView, SourceView

PENDING: Final = "Pending"  # the word of a cluster that nobody looked at
CELL: Final = 200  # characters of a message in a table; the page of its cluster has all of it
WITHHELD: Final = (
    "Something in this source needs somebody. What it is, is shown to whoever may get all of its clusters."
)


def drawn(text: str) -> str:
    """What a page says of others, whoever wrote it: each line is printable."""
    return "\n".join(map(printable, text.split("\n")))


class Row(Struct, frozen=True):
    """One cluster in a table. `since` and ages are texts such as 5m; `team` is its label of that name."""

    name: str
    word: str
    since: str
    revision: str
    source: str
    message: str
    team: str = ""


class Came(Struct, frozen=True):
    """One revision of a cluster; times in seconds since the epoch, 0 where it did not come so far or that is not known."""

    revision: str
    admitted: float = 0.0
    applied: float = 0.0
    ready: float = 0.0
    author: str = ""
    subject: str = ""
    number: int = 0


def row(one: ClusterView, now: float) -> Row:
    """The row of a cluster."""
    said = view.word(one)[1] if one.word == "Held" else why.message(one)
    told, team = said if len(said) <= CELL else f"{said[: CELL - 1]}\u2026", one.labels.get("team", "")
    return Row(one.cluster, one.word or PENDING, ago(one.since, now), short(one.applied), one.source, told, team)


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
