"""Whether a cluster sleeps at a moment, and until when: a table over schedules, zones, changes of clocks and overrides, and what
must hold of all of them (O1, O2).

The table is sleep_turns.txt. A line that has to change is written anew by hand: it is what people are promised.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import (
    Bundle,
    ClusterDocument,
    ClusterSpec,
    Metadata,
    NestedCluster,
    Record,
    Request,
    Revision,
    Sleep,
    Sleeping,
    SleepTurn,
)
from reconciler.operations import Situation, decide
from reconciler.spec import schedule
from tests.examples import examples

TABLE = Path(__file__).with_name("sleep_turns.txt")
HEAD = "now | zone | schedule | state | request | says"


def rows() -> list[list[str]]:
    lines = TABLE.read_text().splitlines()
    assert lines[0] == HEAD
    return [[cell.strip() for cell in line.split("|")] for line in lines[1:] if line.strip() and line[0] != "#"]


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def shown(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ") if seconds is not None else "never"


def situation(sleep: Sleep | None, requests: tuple[Request, ...], now: float) -> Situation:
    cluster = NestedCluster("nidus.dev/v1alpha1", "NestedCluster", Metadata("a"), ClusterSpec(sleep=sleep))
    document = ClusterDocument(cluster, "a.yaml", 1, "d")
    bundle = Bundle("a", "vcluster-a", Revision("main", "c"), (), "d", document)
    return Situation(bundle, Record("s", "a", "local", "", "main", "c", {}, "n", 0.0), requests, now)


def request(text: str) -> tuple[Request, ...]:
    """`sleep@CREATED` or `wake@CREATED~EXPIRES`; `-` is none."""
    if text == "-":
        return ()
    kind, _, times = text.partition("@")
    created, _, expires = times.partition("~")
    return (Request(kind, "s", "a", "ann", instant(created), instant(expires) if expires else 0.0),)


def turns(text: str, zone: str) -> tuple[SleepTurn, ...]:
    """`SLEEP / WAKE` separated by `;`, each cron; `-` is none."""
    pairs = [one.split("/") for one in text.replace("*/", "*⁄").split(";")] if text != "-" else []
    return tuple(SleepTurn(*(cron.strip().replace("⁄", "/") for cron in pair), zone) for pair in pairs)


def says(found: Sleeping) -> str:
    word = "asleep" if found.asleep else "awake"
    ended = ", ended" if found.ended else ""
    return f"{word} by {found.by or 'nobody'} until {shown(found.until)}{ended}"


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]} {row[1]} {row[2]} {row[3]} {row[4]}")
def test_the_table(row: list[str]) -> None:
    now, zone, text, state, asked, expected = row
    asks = Sleep(state, turns(text, zone))
    assert says(decide(situation(asks, request(asked), instant(now)))) == expected


def test_the_table_is_large_enough() -> None:
    assert len(rows()) >= 60


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns")
START = instant("2026-01-01T00:00Z")
YEAR = 366 * 86400
field = st.one_of(st.just("*"), st.integers(0, 23).map(str))
cron = st.builds(
    lambda minute, hour, day: f"{minute} {hour} * * {day}",
    st.integers(0, 59),
    field,
    st.sampled_from(("*", "1-5", "6,0", "1", "MON#1")),
)
entry = st.builds(SleepTurn, cron, cron, st.sampled_from(ZONES))
moments = st.integers(0, YEAR).map(lambda one: START + one)
asked = st.builds(
    lambda kind, at, lasts: Request(kind, "s", "a", "ann", at, at + lasts if lasts else 0.0),
    st.sampled_from(("sleep", "wake")),
    moments,
    st.integers(0, 3 * 86400),
)
asks = st.builds(Sleep, st.sampled_from(("Auto", "Auto", "Awake", "Asleep")), st.lists(entry, max_size=3).map(tuple))


@examples(12)
@given(asks, st.lists(asked, max_size=2), moments, st.floats(0.0, 1.0))
def test_nothing_turns_before_its_time(wanted: Sleep, requests: list[Request], now: float, part: float) -> None:
    """Between a look and the turn it names, every look says the same: nothing flaps, and a pass at that turn misses none."""
    requests = [one for one in sorted(requests, key=lambda one: one.created) if one.created <= now]
    found = decide(situation(wanted, tuple(requests), now))
    end = found.until if found.until is not None else now + 40 * 86400
    assert end > now
    between = min(now + part * (end - now), end - 0.001)
    later = decide(situation(wanted, tuple(requests), between))
    assert (later.asleep, later.by, later.until) == (found.asleep, found.by, found.until)


@examples(5)
@given(st.lists(entry, min_size=1, max_size=3).map(tuple), moments, st.integers(1, 20 * 86400))
def test_a_turn_that_was_missed_is_made_up_once(wanted: tuple[SleepTurn, ...], now: float, away: int) -> None:
    """Whoever looks again after some time finds what whoever followed every turn has: nothing is counted."""
    at, found = now, schedule.at(wanted, now)
    for _ in range(2000):
        if found.until is None or found.until > now + away:
            break
        at = found.until
        after = schedule.at(wanted, at)
        assert after.asleep is not found.asleep
        found = after
    assert schedule.at(wanted, now + away).asleep is found.asleep


@examples(8)
@given(asks, asked, moments)
def test_git_overrules_a_request_and_a_request_the_schedule(wanted: Sleep, one: Request, now: float) -> None:
    found = decide(situation(wanted, (one,), now))
    if wanted.state != "Auto":
        assert (found.by, found.asleep) == ("git", wanted.state == "Asleep")
    elif found.by == "request":
        assert found.asleep is (one.kind == "sleep")
        assert found.until is None or now < found.until
    else:
        assert found.asleep is schedule.at(wanted.schedule, now).asleep


CHANGES = {  # the day before each change of clocks of 2026
    "Europe/Berlin": ((3, 28), (10, 24)),
    "America/New_York": ((3, 7), (10, 31)),
    "Australia/Lord_Howe": ((4, 4), (10, 3)),
    "Antarctica/Troll": ((3, 28), (10, 24)),
}


@pytest.mark.parametrize("zone", CHANGES)
def test_every_quarter_of_a_change_of_clocks_agrees_with_the_one_before(zone: str) -> None:
    """A daily time in the hour that comes twice, or is skipped, comes once: over both days nothing turns twice a day."""
    wanted = (SleepTurn("15 2 * * *", "45 2 * * *", zone),)
    for month, day in CHANGES[zone]:
        began = datetime(2026, month, day, tzinfo=ZoneInfo(zone)).timestamp()
        times = [began + 86_400 * night + 900 * step for night in range(3) for step in range(-4, 4 * 5)]
        looks = [schedule.at(wanted, now) for now in times]
        assert all(one.until is not None and one.until > now for one, now in zip(looks, times, strict=True))
        turned = [step for step in range(1, len(looks)) if looks[step].asleep is not looks[step - 1].asleep]
        assert len(turned) in (4, 6), (zone, day, turned)  # both at one moment, where their half hour is skipped


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"sleep": "0 0 30 2 *"}, "its day-of-month is none"),
    ({"wake": "99 7 * * *"}, "its minute is none"),
)


@pytest.mark.parametrize(("given_", "why"), WRONG)
def test_a_time_that_never_comes_is_told(given_: dict[str, Any], why: str) -> None:
    assert schedule.wrong(next(iter(given_.values()))) == why
