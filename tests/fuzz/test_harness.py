"""The harness sees what it is there for: an exception, a case without end, memory that is kept or too much at once."""

import re
from random import Random

from tests.fuzz import harness
from tests.fuzz.harness import Case

KEPT: list[bytearray] = []


def raises() -> Case:
    def case(draw: Random) -> None:
        if draw.random() == Random(31).random():
            raise KeyError("here")

    return case


def hangs() -> Case:
    """In one call that gives no signal handler of Python a turn."""

    def case(draw: Random) -> None:
        if draw.random() == Random(31).random():
            re.match("(a|a)*b", "a" * 60)

    return case


def keeps() -> Case:
    return lambda draw: KEPT.append(bytearray(2 << 20))


def swells() -> Case:
    return lambda draw: bytearray(harness.PEAK + (64 << 20)).clear() if draw.random() < 0.1 else None


def test_an_exception_names_its_case() -> None:
    (told,) = harness.wrong(harness.run(raises, "x", range(60)))
    assert told.startswith("x:31: ") and "KeyError" in told


def test_a_case_without_end_is_ended_and_named() -> None:
    (told,) = harness.wrong(harness.run(hangs, "x", range(60), longest=1.0))
    assert told.startswith("x:31: ended by signal")


def test_memory_that_is_kept_is_seen() -> None:
    (told,) = harness.wrong(harness.run(keeps, "x", range(60), 1))
    assert "more after 60 cases" in told


def test_memory_that_was_too_much_at_once_is_seen() -> None:
    (told,) = harness.wrong(harness.run(swells, "x", range(60), 1))
    assert "at once" in told
