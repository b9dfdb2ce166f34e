"""What clusters cost, for one reader: sums of lines by team and cluster, and by day (U6). Money in millionths of the currency. Pure."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Final

from msgspec import Struct

from reconciler.usage import days, report
from reconciler.usage.days import Day
from reconciler.usage.meter import DAY

MOST: Final = 100  # clusters in a table
NAMES: Final = {
    "cpu": "CPU", "memory": "Memory", "storage": "Storage", "gpu": "GPU", "addresses": "Addresses",
    "controlPlane": "Control plane", "idle": "Idle",
}  # fmt: skip
WIDE, HIGH = 720, 180
_Key = tuple[str, str]


class Spent(Struct, frozen=True):
    """One month: by currency what each (team, cluster) cost by column, and what each cluster cost on each day. `seen`: milliseconds that
    were measured; `unread`: days that could not be read, a sentence each."""

    month: str
    rows: Mapping[str, Mapping[_Key, Mapping[str, int]]]
    daily: Mapping[str, Mapping[_Key, int]]
    seen: int = 0
    unread: tuple[str, ...] = ()


class Bar(Struct, frozen=True):
    """One day of the chart: left, top and height, and what it says."""

    x: int
    y: int
    height: int
    day: str
    cost: str


class Bill(Struct, frozen=True):
    """One currency: a row each for teams and clusters (the dearest first), and their sum, as texts; `bars` of a chart in which `most`
    is as high as it is. `forecast` "" where too little was measured, or the month is over; `saved` "" where sleep saved nothing: else the
    last cell of each row says what it saved there, in no sum."""

    currency: str
    columns: tuple[str, ...]
    teams: tuple[tuple[str, ...], ...]
    clusters: tuple[tuple[str, ...], ...]
    count: int
    sums: tuple[str, ...]
    total: str
    bars: tuple[Bar, ...]
    most: str
    forecast: str
    saved: str


def spent(month: str, found: Iterable[Day], unread: tuple[str, ...] = ()) -> Spent:
    """The sums of a month."""
    rows: dict[str, dict[_Key, dict[str, int]]] = {}
    daily: dict[str, dict[_Key, int]] = {}
    seen = 0
    for day in found:
        seen += day.seen
        for line in report.lines(day):
            row = rows.setdefault(line.currency, {}).setdefault((line.labels.get("team", ""), line.cluster), {})
            report.add(row, line)
            each = daily.setdefault(line.currency, {})
            each[line.day, line.cluster] = each.get((line.day, line.cluster), 0) + line.cost
    return Spent(month, rows, daily, seen, unread)


def clusters(known: Spent) -> frozenset[str]:
    """Every cluster that costs something."""
    return frozenset(cluster for rows in known.rows.values() for _, cluster in rows)


def bills(known: Spent, sees: Callable[[str], bool], now: float) -> tuple[Bill, ...]:
    """What a reader may see of a month, a bill for each currency."""
    return tuple(_bill(known, currency, sees, now) for currency in sorted(known.rows))


def _bill(known: Spent, currency: str, sees: Callable[[str], bool], now: float) -> Bill:
    rows = {key: costs for key, costs in known.rows[currency].items() if sees(key[1])}
    teams, each = _by(rows, 0), _by(rows, 1)
    sums = report.summed(rows.values())
    total, saves = _total(sums), sums.get(report.SAVED, 0) > 0
    columns = tuple(name for name in NAMES if sums.get(name))
    daily: dict[str, int] = {}
    for (day, cluster), cost in known.daily[currency].items():
        if sees(cluster):
            daily[day] = daily.get(day, 0) + cost
    most = max(daily.values(), default=0)
    shown = [_cells(name or "no team", costs, columns, saves) for name, costs in teams]
    listed = [_cells(name, costs, columns, saves) for name, costs in each[:MOST]]
    return Bill(
        currency, tuple(NAMES[name] for name in columns), tuple(shown), tuple(listed), len(each),
        _cells("Together", sums, columns, saves), _money(total), tuple(_bars(known.month, daily, most)), _money(most),
        _forecast(known, total, now), _money(sums[report.SAVED]) if saves else "",
    )  # fmt: skip


def _total(costs: Mapping[str, int]) -> int:
    return sum(cost for column, cost in costs.items() if column != report.SAVED)


def _by(rows: Mapping[_Key, Mapping[str, int]], part: int) -> list[tuple[str, Mapping[str, int]]]:
    """Sums by team (0) or cluster (1), the dearest first."""
    groups: dict[str, list[Mapping[str, int]]] = {}
    for key, costs in rows.items():
        groups.setdefault(key[part], []).append(costs)
    found = [(name, report.summed(costs)) for name, costs in groups.items()]
    return sorted(found, key=lambda one: (-_total(one[1]), one[0]))


def _cells(name: str, costs: Mapping[str, int], columns: Iterable[str], saves: bool) -> tuple[str, ...]:
    shown = (name, *(_money(costs.get(column, 0)) for column in columns), _money(_total(costs)))
    return (*shown, _money(costs.get(report.SAVED, 0))) if saves else shown


def _money(millionths: int) -> str:
    """Two places, for people; `nidus cost` has them all."""
    text = report.money(round(Fraction(millionths, 10_000)) * 10_000)
    return text[:-4]


def _forecast(known: Spent, total: int, now: float) -> str:
    first, after = days.span(known.month)
    running = first * DAY <= now * 1000 < after * DAY
    likely = report.forecast(total, (after - first) * DAY, known.seen) if running else None
    return "" if likely is None else _money(likely)


def _bars(month: str, daily: Mapping[str, int], most: int) -> Iterable[Bar]:
    first, after = days.span(month)
    step = WIDE // (after - first)
    for number in range(first, after):
        day = days.name_of(number)
        if cost := daily.get(day, 0):
            height = max(1, cost * HIGH // most)
            yield Bar((number - first) * step, HIGH - height, height, day, _money(cost))


def months(last: str, more: int) -> list[str]:
    """A month and so many before it, the newest first."""
    found = [last]
    for _ in range(more):
        found.append(beside(found[-1])[0])
    return found


def beside(month: str) -> tuple[str, str]:
    """The months before and after one. Raises ValueError."""
    first, after = days.span(month)
    return days.month(days.name_of(first - 1)), days.month(days.name_of(after))
