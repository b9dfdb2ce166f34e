"""What is kept of one day (UTC): integrals by cluster and namespace, for how long was watched, and the prices (U4)."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from msgspec import Struct, field

from reconciler.model import Prices
from reconciler.patterns import lazy
from reconciler.usage.meter import DAY, Measured

Uses = Mapping[str, Mapping[str, int]]
"""Namespace inside, "" for the engine -> item -> integral over milliseconds."""

_EPOCH = date(1970, 1, 1)
_DAY = lazy(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_PRICE = lazy(r"[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)
_CURRENCY = lazy(r"[A-Z]{3}", re.ASCII)


class Account(Struct, frozen=True, rename={"labels": "l", "uses": "u"}, omit_defaults=True):
    """One cluster on one day, with the labels that it had last."""

    labels: Mapping[str, str] = field(default_factory=dict)
    uses: Uses = field(default_factory=dict)


class Day(Struct, frozen=True):
    """`seen`: milliseconds of the day in which everything was watched. `day`: 2026-11-27."""

    day: str
    seen: int = 0
    prices: Prices = field(default_factory=Prices)
    accounts: Mapping[str, Account] = field(default_factory=dict)


class Charged(Struct, frozen=True):
    """To whom a host namespace is charged, and whether that is meant to sleep."""

    cluster: str
    labels: Mapping[str, str]
    asleep: bool = False


def of(day: int, measured: Measured, charged: Mapping[str, Charged]) -> Day:
    """What was measured on a day, as accounts of clusters. What is charged to nobody is left out."""
    accounts = {}
    for place, rows in measured.places.items():
        if place in charged:
            uses: dict[str, dict[str, int]] = {}
            for (owner, name), integral in rows.items():
                uses.setdefault(owner, {})[name] = integral
            accounts[charged[place].cluster] = Account(charged[place].labels, uses)
    return Day(name_of(day), measured.seen, accounts=accounts)


def added(one: Day, more: Day) -> Day:
    """Two parts of a day together, with the prices of the second, and its labels where it has any."""
    accounts = dict(one.accounts)
    for cluster, account in more.accounts.items():
        known = accounts.get(cluster)
        accounts[cluster] = _added(known, account) if known else account
    return Day(one.day, one.seen + more.seen, more.prices, accounts)


def _added(one: Account, more: Account) -> Account:
    uses = {owner: dict(rows) for owner, rows in one.uses.items()}
    for owner, rows in more.uses.items():
        kept = uses.setdefault(owner, {})
        for name, integral in rows.items():
            kept[name] = kept.get(name, 0) + integral
    return Account(more.labels or one.labels, uses)


def checked(day: Day) -> Day:
    """A day as it was stored. Raises ValueError where it cannot have been written by us: a day or prices that are none (as the schema
    of the configuration has them), or less than nothing measured."""
    number_of(day.day)
    prices = day.prices
    each = (prices.cpu, prices.memory, prices.storage, prices.gpu, prices.load_balancer, prices.control_plane)
    if not _CURRENCY.fullmatch(prices.currency) or not all(
        map(_PRICE.fullmatch, (*each, *prices.storage_classes.values()))
    ):
        raise ValueError("no prices")
    measured = (one for account in day.accounts.values() for uses in account.uses.values() for one in uses.values())
    if day.seen < 0 or any(one < 0 for one in measured):
        raise ValueError("less than nothing was measured")
    return day


def name_of(day: int) -> str:
    """Days since the epoch as 2026-11-27."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def number_of(day: str) -> int:
    """2026-11-27 as days since the epoch. Raises ValueError."""
    if not _DAY.fullmatch(day):
        raise ValueError(f"no day: {day[:20]!r}")
    return (date.fromisoformat(day) - _EPOCH).days


def month(day: str) -> str:
    """2026-11 of 2026-11-27."""
    return day[:7]


def span(month: str) -> tuple[int, int]:
    """The days of 2026-11, since the epoch: the first, and the first after it. Raises ValueError."""
    first = number_of(f"{month}-01")
    start = _EPOCH + timedelta(days=first)
    return first, first + ((start + timedelta(days=32)).replace(day=1) - start).days


def gap(found: Iterable[Day], first: int, until: int) -> int:
    """Milliseconds from the beginning of day `first` to `until` (milliseconds since the epoch) in which nothing was measured."""
    seen = sum(one.seen for one in found)
    return max(0, until - first * DAY - seen)
