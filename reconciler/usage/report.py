"""What days cost: lines, and sums of lines. Money is counted in millionths of the currency, as whole numbers, and each line
is rounded once, so that every sum equals the sum of its lines to the last digit (U6)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Final

from msgspec import Struct

from reconciler.model import Prices
from reconciler.usage import items
from reconciler.usage.days import Day

MILLION: Final = 1_000_000
ENOUGH: Final = items.HOUR  # milliseconds that must be measured before anything is forecast
COLUMNS: Final = {
    items.CPU: "cpu",
    items.MEMORY: "memory",
    items.STORAGE: "storage",
    items.GPU: "gpu",
    items.LOAD_BALANCER: "addresses",
    items.CONTROL_PLANE: "controlPlane",
    items.IDLE_CPU: "idle",
    items.IDLE_MEMORY: "idle",
}
"""Item -> the column of a report it belongs to."""
SAVED: Final = "saved"  # the column of what sleep saved, which is in no total


class Line(Struct, frozen=True):
    """One item of one namespace of one cluster on one day. `cost` in millionths of the currency, `price` an hour; `saved`: what it would
    have cost, of an item that sleep saved, which costs nothing. `host` "" where only one is known."""

    day: str
    cluster: str
    owner: str
    item: items.Item
    hours: Fraction
    price: str
    cost: int
    currency: str
    labels: Mapping[str, str]
    saved: int = 0
    host: str = ""


class Row(Struct, frozen=True):
    """The lines of one name together; `costs`: column -> millionths; `saved`: what sleep saved, in no sum of these."""

    name: str
    costs: Mapping[str, int]
    saved: int = 0

    @property
    def total(self) -> int:
        return sum(self.costs.values())


class Report(Struct, frozen=True):
    """One currency. `forecast`: what the whole month will cost if it goes on like what was measured of it, None where that is
    not asked for or too little was measured."""

    currency: str
    rows: tuple[Row, ...]
    total: Row
    forecast: int | None = None


Name = Callable[[Line], str]


def by(what: str, label: str = "", alone: str = "local") -> Name:
    """How lines are named: by `cluster`, by `namespace`, by `host`, which is `alone` where only one is known, or by a `label`."""
    return {
        "cluster": cluster,
        "namespace": lambda line: f"{cluster(line)}/{line.owner or '(engine)'}",
        "host": lambda line: line.host or alone,
        "label": lambda line: line.labels.get(label, ""),
    }[what]


def cluster(line: Line) -> str:
    """The cluster of a line, after its host where several are known."""
    return f"{line.host}/{line.cluster}" if line.host else line.cluster


def lines(day: Day, host: str = "") -> Iterator[Line]:
    """The lines of one day, in order. Items of a later version are left out."""
    for cluster, account in sorted(day.accounts.items()):
        for owner, uses in sorted(account.uses.items()):
            for name, integral in sorted(uses.items()):
                found = items.item(name)
                if found is not None and integral:
                    yield _line(day, host, cluster, owner, found, integral)


def _line(day: Day, host: str, cluster: str, owner: str, item: items.Item, integral: int) -> Line:
    hours, price = item.hours(integral), price_of(day.prices, item.price)
    cost = round(hours * Fraction(price) * MILLION)
    labels = day.accounts[cluster].labels
    cost, saved = (0, cost) if item.saves else (cost, 0)
    return Line(day.day, cluster, owner, item, hours, price, cost, day.prices.currency, labels, saved, host)


def price_of(prices: Prices, name: str) -> str:
    """The price of `Item.price`; a class without one of its own has that of storage."""
    if name.startswith(items.PERCLASS):
        return prices.storage_classes.get(name.removeprefix(items.PERCLASS), prices.storage)
    return {
        items.CPU: prices.cpu,
        items.MEMORY: prices.memory,
        items.GPU: prices.gpu,
        items.STORAGE: prices.storage,
        items.LOAD_BALANCER: prices.load_balancer,
        items.CONTROL_PLANE: prices.control_plane,
    }[name]


def reports(
    found: Iterable[Line], name: Name, whole: int = 0, seen: Mapping[str, int] | None = None
) -> tuple[Report, ...]:
    """A report for each currency. `whole`: the length of the month in milliseconds, 0 for no forecast; `seen`: how much of it was
    measured, by host."""
    sums: dict[str, dict[str, dict[str, int]]] = {}
    hosts: dict[str, dict[str, int]] = {}
    for line in found:
        add(sums.setdefault(line.currency, {}).setdefault(name(line), {}), line)
        costs = hosts.setdefault(line.currency, {})
        costs[line.host] = costs.get(line.host, 0) + line.cost
    return tuple(
        _report(currency, sums[currency], _likely(hosts[currency], whole, seen or {})) for currency in sorted(sums)
    )


def add(costs: dict[str, int], line: Line) -> None:
    """Add a line to the costs of its column, or to SAVED."""
    column = SAVED if line.item.saves else COLUMNS.get(line.item.name, "storage")
    costs[column] = costs.get(column, 0) + line.cost + line.saved


def _likely(totals: Mapping[str, int], whole: int, seen: Mapping[str, int]) -> int | None:
    """The forecasts of hosts together; None where one of them has none."""
    found = [forecast(total, whole, seen.get(host, 0)) for host, total in totals.items()] if whole else [None]
    return None if None in found else sum(one or 0 for one in found)


def _report(currency: str, sums: Mapping[str, Mapping[str, int]], likely: int | None) -> Report:
    rows = tuple(row(name, costs) for name, costs in sorted(sums.items()))
    told = Row("TOTAL", summed(row.costs for row in rows), sum(row.saved for row in rows))
    return Report(currency, rows, told, likely)


def row(name: str, sums: Mapping[str, int]) -> Row:
    """A row of the sums that `add` made."""
    return Row(name, {column: cost for column, cost in sums.items() if column != SAVED}, sums.get(SAVED, 0))


def summed(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The costs of several rows together, by column."""
    found: dict[str, int] = {}
    for costs in rows:
        for column, cost in costs.items():
            found[column] = found.get(column, 0) + cost
    return found


def forecast(total: int, whole: int, seen: int) -> int | None:
    """What a month of `whole` milliseconds comes to, of which `seen` were measured and cost `total`; None where that tells too little."""
    return round(Fraction(total * whole, seen)) if seen >= ENOUGH else None


def money(millionths: int) -> str:
    """1234567 as 1.234567, exact."""
    sign, digits = "-" if millionths < 0 else "", abs(millionths)
    return f"{sign}{digits // MILLION}.{digits % MILLION:06}"


def decimal(number: Fraction, places: int = 9) -> str:
    """A number as a decimal, rounded to so many places, but not to nothing."""
    scaled = round(number * 10**places) or int(number > 0)
    return f"{scaled // 10**places}.{scaled % 10**places:0{places}}"
