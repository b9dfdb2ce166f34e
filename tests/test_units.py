"""Durations are bounded: dates are counted from them, and threads wait for them."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.spec import units
from tests.spec_cases import edited, snapshot, told

LONGEST = "9999d99999h9999999m99999999s99999999999ms"


def test_the_longest_can_be_waited_for_and_gives_a_date() -> None:
    seconds = units.duration(LONGEST)
    assert seconds < threading.TIMEOUT_MAX
    assert datetime(2400, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["99999999999999d", "9" * 400 + "d", "10000d", "1" * 12 + "ms", "²d", "", "1.5h", "-1h"]
)
def test_others_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        units.duration(text)


def test_a_grace_of_ages_is_a_mistake_in_its_place() -> None:
    """The cluster goes in no year that a date can name."""
    files = edited("clusters/team-a.yaml", "spec:\n", "spec:\n  deletion: {grace: 99999999999999d}\n")
    found, _ = snapshot(files)
    assert told(found) == [("clusters/team-a.yaml", 5, "NID125", "cluster/team-a")]
