"""When a removal is over: every entry is proven gone (D1, D2)."""

from typing import Any

import pytest

from reconciler.apply.finished import finished
from reconciler.model import (
    Action,
    Bundle,
    Change,
    EntryState,
    InventoryEntry,
    ObjectRef,
    Outcome,
    Plan,
    Result,
    Revision,
    Target,
    Tombstone,
)

HOST, INSIDE = Target("local"), Target("local", "a")
REVISION = Revision("main", "c")
BUNDLE = Bundle("a", "vcluster-a", REVISION, (), "d", tombstone=Tombstone(0.0, 0.0, "Delete", False))
HOME = ObjectRef("", "Namespace", "", "vcluster-a")
SECRET = ObjectRef("", "Secret", "vcluster-a", "s")
INNER = ObjectRef("", "ConfigMap", "web", "one")
DENIED = "Denied: secrets is forbidden"


def entry(ref: ObjectRef, state: EntryState = "owned", target: Target = HOST) -> InventoryEntry:
    return InventoryEntry(target, ref, "engine", "" if state == "intended" else "u", state)


def over(*rows: tuple[InventoryEntry, Action, str, Outcome | None], **more: Any) -> bool:
    """Entries, each with the action and reason of its change and what came of it (None: nothing was reported)."""
    changes = [Change(action, one.target, one.ref, one.layer, reason=reason) for one, action, reason, _ in rows]
    results = [Result(change, row[3]) for change, row in zip(changes, rows, strict=True) if row[3] is not None]
    plan = Plan("a", REVISION, tuple(changes))
    return finished(more.get("bundle", BUNDLE), tuple(row[0] for row in rows), plan, results)


@pytest.mark.parametrize(
    ("action", "reason", "outcome", "ends"),
    [
        ("delete", "", "deleted", True),
        ("delete", "", "deleting", False),
        ("delete", "", "failed", False),
        ("delete", "", "waiting", False),
        ("delete", "", None, False),
        ("hold", "Grace", "held", False),
        ("skip", "Gone", "skipped", True),
        ("skip", "NotOwner", "skipped", True),
        ("skip", "Retained", "skipped", True),
        ("skip", "Orphaned", "skipped", True),
        ("skip", "NotObserved", "skipped", False),
        ("skip", DENIED, "skipped", False),
        ("skip", "LayerUnknown", "skipped", False),
        ("skip", "Terminating", "waiting", False),
    ],
)
def test_an_entry_ends_on_proof(action: Action, reason: str, outcome: Outcome | None, ends: bool) -> None:
    assert over((entry(SECRET), action, reason, outcome)) == ends


def test_what_is_inside_goes_with_what_carries_it() -> None:
    inner = (entry(INNER, target=INSIDE), "skip", "GoesWithCluster", "skipped")
    assert over(inner, (entry(HOME), "delete", "", "deleted"))  # type: ignore[arg-type]
    assert not over(inner, (entry(HOME), "delete", "", "deleting"))  # type: ignore[arg-type]


def test_an_entry_that_the_plan_does_not_speak_of_is_not_over() -> None:
    assert not finished(BUNDLE, (entry(SECRET),), Plan("a", REVISION, ()), [])
    assert finished(BUNDLE, (), Plan("a", REVISION, ()), [])


def test_a_cluster_that_git_wants_is_never_over() -> None:
    wanted = Bundle("a", "vcluster-a", REVISION, (), "d")
    assert not over((entry(SECRET), "skip", "Gone", "skipped"), bundle=wanted)


def test_nothing_was_made_in_a_namespace_that_never_was_ours() -> None:
    unread = (entry(SECRET, "intended"), "skip", DENIED, "skipped")
    assert over(unread)  # type: ignore[arg-type]
    assert over(unread, (entry(HOME, "intended"), "skip", "NotOwner", "skipped"))  # type: ignore[arg-type]
    assert not over(unread, (entry(HOME, "intended"), "skip", "NotObserved", "skipped"))  # type: ignore[arg-type]
    assert not over(unread, (entry(HOME), "skip", "NotOwner", "skipped"))  # type: ignore[arg-type]
    assert not over((entry(SECRET), "skip", DENIED, "skipped"))
