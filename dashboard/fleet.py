"""The first page and that of hosts: clusters by choice, sorted, a page at a time. Pure; `now` in seconds since the epoch."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from dashboard import pages
from dashboard.pages import Row
from reconciler.model import replace
from reconciler.report.view import ClusterView, SourceView

EACH: Final = 100  # clusters on one page
URGENT: Final = 50  # clusters that need somebody, on the first page
OFFERED: Final = 50  # values that a form offers of one thing, the most frequent ones
LONGEST: Final = 100  # characters of a word in a question
ORDER: Final = ("Held", "Degraded", "Invalid", "Expired", "Waiting", "Deleting")
"""Words that want somebody, the most urgent first."""
TEAM: Final = "team"  # the label that costs are summed by, too


class Choice(Struct, frozen=True):
    """What is chosen of all clusters. `text` stands in a name, message, file or profile; `label` is KEY or KEY=VALUE; `sort` one of
    SORTS, with a - before it the other way round; `page` from 1."""

    text: str = ""
    word: str = ""
    source: str = ""
    team: str = ""
    label: str = ""
    host: str = ""
    sort: str = ""
    page: int = 1

    def question(self, **other: object) -> dict[str, Any]:
        """It as the question of a link, with some of it other."""
        return {name: value for name, value in {**asdict(self), **other}.items() if value not in ("", 1)}


class Head(Struct, frozen=True):
    """The head of a column: what a link in it sorts by, and how the column is sorted now (ascending, descending or "")."""

    title: str
    sort: str = ""
    sorted: str = ""


class Overview(Struct, frozen=True):
    """`attention` and `troubles` come first: the first of `urgent` clusters that want somebody, and what is wrong with sources. `shown` is
    one page of the `count` clusters that fit the choice. `words`, `sources`, `teams` and `hosts` are offered to choose from, with how many
    clusters have them."""

    attention: tuple[Row, ...]
    urgent: int
    troubles: tuple[tuple[str, str], ...]
    shown: tuple[Row, ...]
    count: int
    total: int
    pages: int
    choice: Choice
    heads: tuple[Head, ...]
    words: Mapping[str, int]
    sources: Mapping[str, int]
    teams: Mapping[str, int]
    hosts: Mapping[str, int]


class Host(Struct, frozen=True):
    """One host: the Kubernetes version that it runs ("" where it is not known), its clusters by word, and what runs on it by version."""

    name: str
    version: str
    count: int
    words: Mapping[str, int]
    kubernetes: Mapping[str, int]
    engines: Mapping[str, int]


def chosen(asked: Mapping[str, str]) -> Choice:
    """What the question of a page chooses. What is no choice counts as none."""
    told = {name: asked.get(name, "").strip()[:LONGEST] for name in ("text", "word", "source", "team", "label", "host")}
    sort, page = asked.get("sort", ""), asked.get("page", "1")
    kept = sort if sort.removeprefix("-") in SORTS else ""
    number = int(page) if page.isascii() and page.isdecimal() and len(page) < 6 else 1
    return Choice(**told, sort=kept, page=max(1, number))


def overview(
    clusters: Mapping[str, ClusterView], sources: Mapping[str, SourceView], choice: Choice, now: float
) -> Overview:
    """The first page."""
    rows = {name: pages.row(one, now) for name, one in sorted(clusters.items())}
    wanting = sorted((one for one in rows.values() if one.word in ORDER), key=lambda one: ORDER.index(one.word))
    fitting = [one for one in clusters.values() if fits(one, rows[one.cluster], choice)]
    key = SORTS[choice.sort.removeprefix("-") or "name"]
    fitting.sort(key=lambda one: one.cluster)
    fitting.sort(key=lambda one: key(one, rows[one.cluster]), reverse=choice.sort.startswith("-"))
    count = max(1, -(-len(fitting) // EACH))
    page = min(choice.page, count)
    hosts = _offered(one.host for one in clusters.values())
    return Overview(
        attention=tuple(wanting[:URGENT]),
        urgent=len(wanting),
        troubles=tuple(pages.troubles(sources.values(), now)),
        shown=tuple(rows[one.cluster] for one in fitting[(page - 1) * EACH : page * EACH]),
        count=len(fitting),
        total=len(rows),
        pages=count,
        choice=replace(choice, page=page),
        heads=tuple(_head(title, sort, choice.sort) for title, sort in HEADS),
        words=dict(sorted(Counter(one.word for one in rows.values()).items())),
        sources=_offered(one.source for one in clusters.values()),
        teams=_offered(one.team for one in rows.values()),
        hosts=hosts if len(hosts) > 1 or choice.host else {},
    )


def fits(one: ClusterView, row: Row, choice: Choice) -> bool:
    """Whether a cluster is chosen."""
    exact = ((choice.word, row.word), (choice.source, one.source), (choice.team, row.team), (choice.host, one.host))
    if any(wanted not in ("", has) for wanted, has in exact):
        return False
    key, is_pair, value = choice.label.partition("=")
    if choice.label and (key not in one.labels or (is_pair and one.labels[key] != value)):
        return False
    text = choice.text.lower()
    return not text or any(text in each.lower() for each in (one.cluster, row.message, one.file, *one.profiles))


def hosts(clusters: Iterable[ClusterView], known: Mapping[str, str]) -> tuple[Host, ...]:
    """Each host with what its reader sees there."""
    groups: dict[str, list[ClusterView]] = {name: [] for name in known}
    for one in clusters:
        groups.setdefault(one.host, []).append(one)
    return tuple(_host(name, known.get(name, ""), found) for name, found in sorted(groups.items()) if name or found)


def _host(name: str, version: str, found: list[ClusterView]) -> Host:
    return Host(
        name,
        version,
        len(found),
        _counts(one.word or pages.PENDING for one in found),
        _counts(one.versions.kubernetes for one in found),
        _counts(one.versions.engine for one in found),
    )


def _counts(values: Iterable[str]) -> Mapping[str, int]:
    return dict(sorted(Counter(one for one in values if one).items()))


def _offered(values: Iterable[str]) -> Mapping[str, int]:
    """The most frequent values, sorted, with how often they are there."""
    found = Counter(one for one in values if one)
    return dict(sorted(sorted(found.items(), key=lambda one: (-one[1], one[0]))[:OFFERED]))


def _head(title: str, sort: str, now: str) -> Head:
    """A second click on a column turns it round."""
    is_this = bool(sort) and now.removeprefix("-") == sort
    down = now.startswith("-")
    return Head(title, f"-{sort}" if is_this and not down else sort, ("descending" if down else "ascending") * is_this)


_Key = Callable[[ClusterView, Row], tuple[Any, ...]]
SORTS: Final[Mapping[str, _Key]] = {
    "name": lambda one, row: (one.cluster,),
    "status": lambda one, row: (ORDER.index(row.word) if row.word in ORDER else len(ORDER), row.word),
    "since": lambda one, row: (one.since == "", one.since),
    "revision": lambda one, row: (one.applied,),
    "source": lambda one, row: (one.source, one.file),
    "team": lambda one, row: (row.team == "", row.team),
}
HEADS: Final = (
    ("Cluster", "name"), ("Status", "status"), ("Since", "since"), ("Revision", "revision"), ("Source", "source"), ("Team", "team"),
    ("Message", ""),
)  # fmt: skip
"""The columns of the table, and what each is sorted by."""
