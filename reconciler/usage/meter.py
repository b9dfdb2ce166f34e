"""Integrals over time, exact at every change: each change closes an interval of the place it concerns.

Times are milliseconds. An interval is as long as a clock that never steps says (`Moment.steady`), and lies in the days that
the wall clock says at its end, so that a step of the wall clock changes no length. While not everything is watched nothing
counts: that time is a gap.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from reconciler.usage import items
from reconciler.usage.uses import ENGINE, QUOTA_CPU, QUOTA_MEMORY, Amounts, Use

DAY: Final = 86_400_000  # milliseconds
OWNERS: Final = 20  # namespaces of one place and day that are told apart
OTHERS: Final = "*"  # the further ones together
QUOTAS: Final = ((QUOTA_CPU, items.CPU, items.IDLE_CPU), (QUOTA_MEMORY, items.MEMORY, items.IDLE_MEMORY))
"""What a quota reserves, the item it is reserved for, and what of it nobody asks for."""

Row = tuple[str, str]
"""Owner and item."""


class Moment(Struct, frozen=True):
    """One moment by two clocks: `steady` never steps and has no meaning of its own, `wall` counts from the epoch."""

    steady: int
    wall: int


class Measured(Struct):
    """One day: for how long everything was watched, and place -> row -> integral over milliseconds."""

    seen: int = 0
    places: dict[str, dict[Row, int]] = field(default_factory=dict)


class _Place(Struct):
    sums: dict[Row, int]
    rates: dict[Row, int]
    since: int


class Meter:
    """Adds up the uses of objects in places, which are namespaces of a host. For one thread at a time."""

    def __init__(self) -> None:
        self._objects: dict[object, tuple[str, Use]] = {}
        self._places: dict[str, _Place] = {}
        self._since: int | None = None  # steady; None while not everything is watched
        self._days: dict[int, Measured] = {}
        self._asleep: frozenset[str] = frozenset()
        self._awake: dict[str, Amounts] = {}  # what places asked for when they were last seen awake

    @property
    def runs(self) -> bool:
        return self._since is not None

    def change(self, key: object, place: str, use: Use | None, at: Moment) -> bool:
        """The object `key` asks for `use` from now on, None for nothing. Returns whether that is new."""
        known = self._objects.get(key)
        if known == ((place, use) if use else None):
            return False
        for where in {place, known[0] if known else place}:
            self._close(where, at)
        if known:
            self._shift(known[0], known[1], -1, at)
            del self._objects[key]
        if use:
            self._shift(place, use, 1, at)
            self._objects[key] = (place, use)
        return True

    def settle(self, at: Moment) -> None:
        """Close every interval: what was measured until now is in `take`."""
        if self._since is None:
            return
        for day, length in _days(self._since, at):
            self._day(day).seen += length
        self._since = max(self._since, at.steady)
        for place in [*self._places]:
            self._close(place, at)

    def go(self, at: Moment) -> None:
        """From now on everything is watched."""
        if self._since is None:
            self._since = at.steady
            for one in self._places.values():
                one.since = at.steady

    def sleep(self, places: Collection[str], at: Moment) -> None:
        """From now on these places are meant to sleep: while none of its engines runs, what a place asked for when this last found it
        awake counts as saved. Of one that was never found awake only the quota and the control plane are known."""
        for place, one in self._places.items():
            if place not in places and one.sums.get(("", ENGINE)):
                self._awake[place] = asked(one.sums)
        changed, self._asleep = self._asleep ^ frozenset(places), frozenset(places)
        for place in changed:
            self._close(place, at)
            self._rate(place, self._places.setdefault(place, _Place({}, {}, at.steady)))
        for place in self._awake.keys() - self._places.keys():
            del self._awake[place]

    def stop(self, at: Moment) -> None:
        """Since `at` not everything is watched."""
        self.settle(at)
        self._since = None

    def take(self) -> dict[int, Measured]:
        """What was measured since the last call, by days since the epoch."""
        taken, self._days = self._days, {}
        return taken

    def _close(self, place: str, at: Moment) -> None:
        known = self._places.get(place)
        if known is None or self._since is None:
            return
        for day, length in _days(known.since, at) if known.rates else ():
            found = self._day(day).places.setdefault(place, {})
            for row, rate in known.rates.items():
                kept = row if row in found else _row(found, row)
                found[kept] = found.get(kept, 0) + rate * length
        known.since = max(known.since, at.steady)

    def _shift(self, place: str, use: Use, sign: int, at: Moment) -> None:
        known = self._places.setdefault(place, _Place({}, {}, at.steady))
        for name, amount in use.amounts.items():
            row = (use.owner, name)
            known.sums[row] = known.sums.get(row, 0) + sign * amount
            if not known.sums[row]:
                del known.sums[row]
        self._rate(place, known)

    def _rate(self, place: str, known: _Place) -> None:
        known.rates = rates(known.sums)
        if place in self._asleep and not known.sums.get(("", ENGINE)):
            known.rates |= saved(self._awake.get(place, {}), known.sums)
        if not known.sums and place not in self._asleep:
            del self._places[place]

    def _day(self, day: int) -> Measured:
        return self._days.setdefault(day, Measured())


def rates(sums: Mapping[Row, int]) -> dict[Row, int]:
    """What counts of a place whose objects ask for `sums`. What the quota reserves beyond that is idle, while the control
    plane runs: one that sleeps costs its volumes and addresses only."""
    found = {row: amount for row, amount in sums.items() if items.item(row[1])}
    if not sums.get(("", ENGINE)):
        return found
    found["", items.CONTROL_PLANE] = 1
    for reserved, name, idle in QUOTAS:
        left = sums.get(("", reserved), 0) - _sum(sums, name)
        if left > 0:
            found["", idle] = left
    return found


def asked(sums: Mapping[Row, int]) -> Amounts:
    """What a place is charged for while its control plane runs and that ends with its sleep: at least what the quota reserves."""
    reserved = {name: sums.get(("", quota), 0) for quota, name, _ in QUOTAS}
    wanted = {name: max(_sum(sums, name), reserved.get(name, 0)) for name in items.SLEEPS}
    return wanted | {items.CONTROL_PLANE: 1}


def saved(awake: Mapping[str, int], sums: Mapping[Row, int]) -> dict[Row, int]:
    """What sleep saves of a place that asked for `awake` ({}: not known) and now asks for `sums`."""
    found = {name: amount - _sum(sums, name) for name, amount in (awake or asked(sums)).items()}
    return {("", items.SAVED + name): amount for name, amount in found.items() if amount > 0}


def _sum(sums: Mapping[Row, int], wanted: str) -> int:
    return sum(amount for (_, name), amount in sums.items() if name == wanted)


def _days(since: int, at: Moment) -> Iterator[tuple[int, int]]:
    """The interval from `since` (steady) to `at`, as (days since the epoch, length)."""
    end, begin = at.wall, at.wall - (at.steady - since)
    while begin < end:
        day = begin // DAY
        until = min(end, (day + 1) * DAY)
        yield day, until - begin
        begin = until


def _row(found: Mapping[Row, int], row: Row) -> Row:
    """The row itself, or that of all others where a day has told enough namespaces apart."""
    owners = {owner for owner, _ in found} - {"", OTHERS}
    return row if not row[0] or row[0] in owners or len(owners) < OWNERS else (OTHERS, row[1])
