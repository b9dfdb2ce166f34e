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


class Line(Struct, frozen=True):
    """One item of one namespace of one cluster on one day. `cost` in millionths of the currency, `price` an hour."""

    day: str
    cluster: str
    owner: str
    item: items.Item
    hours: Fraction
    price: str
    cost: int
    currency: str
    labels: Mapping[str, str]


class Row(Struct, frozen=True):
    """The lines of one name together; `costs`: column -> millionths."""

    name: str
    costs: Mapping[str, int]

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


def by(what: str) -> Name:
    """How lines are named: by `cluster`, by `namespace`, or by the label of this name."""
    if what == "cluster":
        return lambda line: line.cluster
    if what == "namespace":
        return lambda line: f"{line.cluster}/{line.owner or '(engine)'}"
    return lambda line: line.labels.get(what, "")


def lines(day: Day) -> Iterator[Line]:
    """The lines of one day, in order. Items of a later version are left out."""
    for cluster, account in sorted(day.accounts.items()):
        for owner, uses in sorted(account.uses.items()):
            for name, integral in sorted(uses.items()):
                found = items.item(name)
                if found is not None and integral:
                    yield _line(day, cluster, owner, found, integral)


def _line(day: Day, cluster: str, owner: str, item: items.Item, integral: int) -> Line:
    hours, price = item.hours(integral), price_of(day.prices, item.price)
    cost = round(hours * Fraction(price) * MILLION)
    labels = day.accounts[cluster].labels
    return Line(day.day, cluster, owner, item, hours, price, cost, day.prices.currency, labels)


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


def reports(found: Iterable[Line], name: Name, whole: int = 0, seen: int = 0) -> tuple[Report, ...]:
    """A report for each currency. `whole`: the length of the month in milliseconds, 0 for no forecast; `seen`: how much of it
    was measured."""
    sums: dict[str, dict[str, dict[str, int]]] = {}
    for line in found:
        costs = sums.setdefault(line.currency, {}).setdefault(name(line), {})
        column = COLUMNS.get(line.item.name, "storage")
        costs[column] = costs.get(column, 0) + line.cost
    return tuple(_report(currency, rows, whole, seen) for currency, rows in sorted(sums.items()))


def _report(currency: str, sums: Mapping[str, Mapping[str, int]], whole: int, seen: int) -> Report:
    rows = tuple(Row(name, costs) for name, costs in sorted(sums.items()))
    told = Row("TOTAL", summed(row.costs for row in rows))
    return Report(currency, rows, told, forecast(told.total, whole, seen) if whole else None)


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
