"""The STATUS word and the three conditions, as a table; and what holds for every state."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import conditions
from reconciler.model import Change, Held, LayerStatus, ObjectRef, Result, Target, Tombstone

HELD = Held("ObjectBudget", "destroys 5 of 9 objects", "abc", ("a",))
GONE = Tombstone(since=0.0, due=60.0, policy="Retain", protect=False)
CALM: dict[str, Any] = {
    "held": None,
    "suspended": "",
    "tombstone": None,
    "invalid": "",
    "never_applied": False,
}


def layer(state: str, name: str = "engine", message: str = "") -> LayerStatus:
    return LayerStatus(name, "local", state, message, 3)


def result(outcome: Any, *, error: str = "", reason: str = "", stalls: bool = False, name: str = "a") -> Result:
    change = Change("configure", Target("local"), ObjectRef("", "ConfigMap", "ns", name), "engine")
    return Result(change, outcome, error=error, reason=reason, stalls=stalls)


def compute(
    layers: list[LayerStatus], results: list[Result] | None = None, **given: Any
) -> tuple[str, dict[str, tuple[str, str]]]:
    found, word = conditions.compute(layers, results or [], **(CALM | given))
    return word, {one.type: (one.status, one.reason) for one in found}


@pytest.mark.parametrize(
    ("layers", "results", "given", "word", "ready"),
    [
        ([], [], {"never_applied": True}, "Pending", "Unknown"),
        ([layer("InProgress")], [], {"never_applied": True}, "Provisioning", "False"),
        ([layer("Waiting")], [], {"never_applied": True}, "Provisioning", "False"),
        ([layer("Current")], [], {}, "Ready", "True"),
        ([layer("Current")], [result("unchanged"), result("configured")], {}, "Ready", "True"),
        ([layer("InProgress")], [], {}, "Progressing", "False"),
        ([layer("Current"), layer("Unknown", "web/base")], [], {}, "Degraded", "False"),
        ([layer("Current"), layer("Waiting", "web/base")], [], {}, "Waiting", "False"),
        ([layer("Current")], [result("waiting", reason="WaitNamespace")], {}, "Waiting", "False"),
        ([layer("Current")], [result("deleting")], {}, "Progressing", "False"),
        ([layer("Failed")], [], {}, "Degraded", "False"),
        ([layer("Failed"), layer("Waiting", "web/base")], [], {}, "Degraded", "False"),
        ([layer("Current")], [result("failed", error="denied")], {}, "Degraded", "False"),
        ([layer("Current")], [], {"held": HELD}, "Held", "True"),
        ([layer("Held")], [result("held", reason="ObjectBudget")], {}, "Held", "True"),
        ([layer("InProgress")], [], {"held": HELD}, "Held", "False"),
        ([layer("Current")], [], {"suspended": "migration"}, "Suspended", "True"),
        ([], [], {"suspended": "migration"}, "Suspended", "Unknown"),
        ([layer("Current")], [], {"invalid": "a.yaml:3: no such profile"}, "Invalid", "True"),
        ([], [], {"invalid": "a.yaml:3: no such profile", "never_applied": True}, "Invalid", "False"),
        ([layer("Current")], [], {"tombstone": GONE}, "Deleting", "False"),
        ([], [], {"tombstone": GONE}, "Deleting", "False"),
        ([layer("Current")], [], {"tombstone": GONE, "held": HELD}, "Held", "True"),
        ([layer("Current")], [], {"tombstone": GONE, "suspended": "x"}, "Suspended", "True"),
    ],
)
def test_word(layers: list[LayerStatus], results: list[Result], given: Any, word: str, ready: str) -> None:
    found, spoken = compute(layers, results, **given)
    assert (found, spoken["Ready"][0]) == (word, ready)


def test_stalled_is_only_what_a_human_or_a_commit_must_fix() -> None:
    _, retried = compute([layer("Failed")], [result("failed", error="503")])
    assert retried["Stalled"] == ("False", "NotStalled")
    _, refused = compute([layer("Failed")], [result("failed", error="invalid", stalls=True)])
    assert refused["Stalled"] == ("True", "ApplyFailed")
    _, broken = compute([layer("Current")], invalid="a.yaml:1: x")
    assert broken["Stalled"] == ("True", "Invalid")
    _, held = compute([layer("Current")], held=HELD)
    assert held["Stalled"] == ("False", "NotStalled")


@pytest.mark.parametrize(
    ("state", "status"), [("Current", "False"), ("InProgress", "True"), ("Waiting", "True"), ("Failed", "False")]
)
def test_reconciling(state: str, status: str) -> None:
    assert compute([layer(state)])[1]["Reconciling"][0] == status


def test_a_failure_is_told_whole_and_sorted() -> None:
    results = [result("failed", error="denied", name=name) for name in "cab"]
    found, _ = conditions.compute([layer("Current")], results, **CALM)
    lines = "ConfigMap/ns/a: denied; ConfigMap/ns/b: denied; ConfigMap/ns/c: denied"
    assert [one.message for one in found if one.type == "Ready"] == [lines]
    again, _ = conditions.compute([layer("Current")], results[::-1], **CALM)
    assert found == again


def test_a_long_list_is_cut() -> None:
    results = [result("failed", error="denied", name=f"c{index}") for index in range(9)]
    found, _ = conditions.compute([], results, **CALM)
    assert found[0].message.endswith("; and 4 more")


def test_a_held_message_carries_why() -> None:
    found, _ = conditions.compute([layer("InProgress", message="1 of 2 replicas")], [], **(CALM | {"held": HELD}))
    ready = found[0]
    assert (ready.reason, ready.message) == ("NotReady", "engine: 1 of 2 replicas")


STATES = st.sampled_from(["Current", "InProgress", "Failed", "Waiting", "Held", "Unknown"])
OUTCOMES = st.sampled_from(["configured", "unchanged", "held", "failed", "waiting", "deleting", "skipped"])


@given(
    layers=st.lists(STATES, max_size=3),
    outcomes=st.lists(OUTCOMES, max_size=3),
    held=st.sampled_from([None, HELD]),
    suspended=st.sampled_from(["", "why"]),
    tombstone=st.sampled_from([None, GONE]),
    invalid=st.sampled_from(["", "x"]),
    never_applied=st.booleans(),
)
def test_every_state_has_one_word_and_three_conditions(layers: list[str], outcomes: list[str], **given: Any) -> None:
    found, word = conditions.compute([layer(state) for state in layers], [result(one) for one in outcomes], **given)
    assert word in conditions.WORDS
    assert [one.type for one in found] == ["Ready", "Reconciling", "Stalled"]
    assert all(one.status in ("True", "False", "Unknown") and one.reason.isalpha() for one in found)
    assert (word == "Ready") <= (found[0].status == "True")
    assert (found[0].status == "True") <= ("Failed" not in layers and "failed" not in outcomes)


def test_a_held_object_says_what_to_do() -> None:
    assert conditions.way("NotOwner") == "NotOwner: exists and is not ours; rename or remove it"
    assert conditions.way("AwaitsApproval") == "AwaitsApproval"
    _, spoken = compute([layer("Current")], [result("held", reason="NotOwner")])
    assert spoken["Reconciling"] == ("False", "Held")


def test_asleep_only_what_waits_for_the_waking_is_no_trouble() -> None:
    """A host layer whose chart is being fetched still waits: the engine has its pods."""
    sleeps = LayerStatus("web/base", "local/a", "Waiting", "after it wakes", sleeps=True)
    assert compute([layer("Current"), sleeps], asleep="by its file")[0] == "Asleep"
    assert compute([layer("Waiting"), sleeps], asleep="by its file")[0] == "Progressing"
