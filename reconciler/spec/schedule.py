"""Schedules of sleeping and waking: cron expressions in their zones, as Debian's cron reads them (O2).

A time in the hour that clocks skip is that hour's end; one in the hour that comes twice is the first of the two.
"""

import heapq
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.model import SleepTurn

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

FOLD = timedelta(hours=3)  # longer than any hour that comes twice
STEPS = 5000  # times that are looked at for the next turn; a schedule that turns later than that turns never
FIELDS = 5


class Turn(Struct, frozen=True):
    """What a schedule says at one moment, in seconds since the epoch: `since` when, and `until` when (None: always)."""

    asleep: bool
    since: float | None = None
    until: float | None = None


def at(schedule: Sequence[SleepTurn], now: float) -> Turn:
    """Asleep while one entry says so: from its `sleep` to its next `wake`. Where both are at one moment, it is `wake`.

    Before the first time of an entry, it says awake.
    """
    entries = [_Entry.around(one, now) for one in schedule]
    asleep = any(one.asleep for one in entries)
    began = [one.since for one in entries if one.since is not None and one.asleep == asleep]
    since = (min if asleep else max)(began, default=None)
    return Turn(asleep, since, _turns(entries, asleep, now))


def last(expression: str, zone: str, now: float) -> float | None:
    """The last time of a cron expression at or before `now`, None where there is none."""
    return _last(expression, _zone(zone), now)


def following(expression: str, zone: str, now: float) -> float | None:
    """The next time after `now`."""
    return next(_after(expression, _zone(zone), now), None)


def wrong(expression: str) -> str:
    """Why this is not a time of a schedule, "" where it is one."""
    from cronsim import CronSimError

    if len(expression.split()) != FIELDS:
        return "it has not five fields"
    try:
        next(_moments(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        field = str(error).removeprefix("Bad ")
        return f"its {field} is none" if field else "it never comes"
    return ""


@cache
def zones() -> frozenset[str]:
    """The names of the time zones, as IANA has them."""
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


class _Entry(Struct, frozen=True):
    """One entry at a moment: its last and its next times."""

    zone: "ZoneInfo"
    of: SleepTurn
    slept: float | None
    woke: float | None

    @classmethod
    def around(cls, one: SleepTurn, now: float) -> "_Entry":
        zone = _zone(one.timezone)
        return cls(zone, one, _last(one.sleep, zone, now), _last(one.wake, zone, now))

    @property
    def asleep(self) -> bool:
        return self.slept is not None and (self.woke is None or self.slept > self.woke)

    @property
    def since(self) -> float | None:
        return self.slept if self.asleep else self.woke


def _turns(entries: Sequence[_Entry], asleep: bool, now: float) -> float | None:
    """When the entries together say something else for the first time after `now`; None where they do not."""
    states = [one.asleep for one in entries]
    times = heapq.merge(*(_times(index, one, now) for index, one in enumerate(entries)))
    moment, steps = now, 0
    for when, wakes, index in times:
        if when > moment and any(states) != asleep:
            return moment
        moment, steps = when, steps + 1
        states[index] = not wakes
        if steps > STEPS:
            return None
    return moment if any(states) != asleep else None


def _times(index: int, one: _Entry, now: float) -> Iterator[tuple[float, bool, int]]:
    """The times of an entry after `now`, in order: (when, whether it wakes, index). At one moment it sleeps, then wakes."""
    sleeps = ((when, False, index) for when in _after(one.of.sleep, one.zone, now))
    wakes = ((when, True, index) for when in _after(one.of.wake, one.zone, now))
    yield from heapq.merge(sleeps, wakes)


def _last(expression: str, zone: "ZoneInfo", now: float) -> float | None:
    """The last time at or before `now`. Read forwards from one some hours earlier: backwards, an hour that comes twice would
    hide the time that was in its first half."""
    found = None
    start = datetime.fromtimestamp(now, zone) - FOLD
    try:
        start = next(_moments(expression, start, reverse=True))
        found = start.timestamp()
    except StopIteration:
        pass
    for when in _moments(expression, start):
        if when.timestamp() > now:
            break
        found = when.timestamp()
    return found


def _after(expression: str, zone: "ZoneInfo", now: float) -> Iterator[float]:
    for when in _moments(expression, datetime.fromtimestamp(now, zone)):
        if when.timestamp() > now:
            yield when.timestamp()


# Zones and expressions are read by modules that bring others; a start that meets no schedule goes without.


def _zone(name: str) -> "ZoneInfo":
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _moments(expression: str, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    """The times of a cron expression after `start`, or before it. Raises CronSimError."""
    from cronsim import CronSim

    return CronSim(expression, start, reverse=reverse)
