"""The transitions between two reports: each once, with the reason (T2)."""

import pytest

from reconciler.model import (
    Archive,
    Backups,
    Change,
    Condition,
    FieldChange,
    Held,
    LayerStatus,
    Location,
    ObjectRef,
    Owner,
    Plan,
    Report,
    Result,
    Revision,
    Target,
    replace,
)
from reconciler.report import life, view
from reconciler.report.transitions import between
from reconciler.report.view import Place

REVISION = Revision("main", "c")
READY = (Condition("Ready", "True", "Ready", "2 layers are Current"), Condition("Stalled", "False", "NotStalled", ""))
BASE = Report("a", REVISION, Plan("a", REVISION, ()), (), (), READY, "Ready")


def result(outcome: str, error: str = "", reason: str = "") -> Result:
    change = Change("configure", Target("local"), ObjectRef("", "ConfigMap", "ns", "x"), "web")
    return Result(change, outcome, error=error, reason=reason)  # type: ignore[arg-type]


def told(before: Report | None, after: Report) -> list[tuple[str, str, bool]]:
    """What is said of `after` where `before` was said last."""
    seen = view.cluster(before, None, Place("s", "f"), 1.0) if before else None
    return [(one.reason, one.message, one.warning) for one in between(seen, after)]


def test_a_word_is_told_once() -> None:
    assert told(None, BASE) == [("Ready", "2 layers are Current", False)]
    assert told(BASE, BASE) == []


def test_held_and_invalid_say_why() -> None:
    held = replace(BASE, word="Held", held=Held("RemovalBudget", "2 clusters would go", "d"))
    assert told(BASE, held) == [("Held", "2 clusters would go", True)]
    conditions = (READY[0], Condition("Stalled", "True", "Invalid", "a.yaml:3:4: NID122 unknown field"))
    invalid = replace(BASE, word="Invalid", conditions=conditions)
    assert told(BASE, invalid) == [("Invalid", "a.yaml:3:4: NID122 unknown field", True)]


def test_layers_are_told_when_they_turn() -> None:
    def at(state: str) -> Report:
        return replace(BASE, layers=(LayerStatus("web", "local/a", state, "", 1),))  # type: ignore[arg-type]

    assert told(at("InProgress"), at("Current")) == [("LayerCurrent", "layer web is Current", False)]
    waits = replace(BASE, layers=(LayerStatus("web", "local/a", "Waiting", "waits for base", 1),))  # type: ignore[arg-type]
    assert told(at("Current"), waits) == [("LayerWaiting", "layer web: waits for base", False)]
    assert told(at("Current"), at("Current")) == []
    assert told(at("Current"), at("Failed"))[0][2]


def test_objects_are_told_when_something_was_done() -> None:
    done = replace(BASE, results=(result("configured"), result("unchanged"), result("waiting")))
    assert told(BASE, done) == [("Configured", "ConfigMap/ns/x configured", False)]
    assert told(done, done) == [("Configured", "ConfigMap/ns/x configured", False)]


def test_a_correction_says_which_fields_and_who_changed_them_and_no_value() -> None:
    fields = tuple(FieldChange(f"data.k{n}", "live", "wanted") for n in range(7))
    by = (Owner("kubectl-edit", "Update", "", "2026-11-26T10:00:00Z"),)
    one = result("configured")
    done = replace(BASE, results=(replace(one, change=replace(one.change, fields=fields[:2], by=by)),))
    assert told(BASE, done)[0][1] == "ConfigMap/ns/x configured: data.k0, data.k1; changed by kubectl-edit"
    many = replace(BASE, results=(replace(one, change=replace(one.change, fields=fields)),))
    assert told(BASE, many)[0][1].endswith("data.k4, and 2 more")


def test_a_lasting_failure_is_told_once() -> None:
    failed = replace(BASE, results=(result("failed", "denied", "Denied"),))
    assert told(BASE, failed) == [("Denied", "ConfigMap/ns/x failed: denied", True)]
    assert told(failed, failed) == []


@pytest.mark.parametrize("gone", [0, 30, 90])
@pytest.mark.parametrize("kept", [1, life.LISTED, life.LISTED + 1, 200])
def test_a_snapshot_is_told_once_however_many_are_kept(kept: int, gone: int) -> None:
    """A status shows the newest ones only; retention removes the oldest ones, and a failed one between them may go too."""

    def have(first: int, last: int) -> Report:
        made = [Archive(f"s{at}", f"k{at}", Location("s3", "b", ""), float(at), True) for at in range(first, last)]
        return replace(BASE, backups=Backups(archives=tuple(made)))

    def seen(before: Report, after: Report) -> list[str]:
        known = view.cluster(before, None, Place("s", "f"), 1.0)
        return [one.message.partition(":")[0] for one in between(known, after)]

    before, gone = have(0, kept), min(gone, kept - 1)
    assert seen(before, have(gone, kept)) == []
    assert seen(before, have(gone, kept + 2)) == [f"snapshot s{kept}", f"snapshot s{kept + 1}"]
