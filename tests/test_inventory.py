"""The arithmetic of inventory and requests: what is written ahead, what results confirm, which requests are spent (A3, D3)."""

from typing import Any

import pytest

from reconciler.inventory import ledger
from reconciler.inventory.reading import Reading
from reconciler.model import Change, InventoryEntry, ObjectRef, Plan, Request, Result, Revision, Target

HOST = Target("local")
REVISION = Revision("main", "0" * 40)
DAY = 86400.0


def ref(name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", "web", name)


def change(action: Any, name: str, **more: Any) -> Change:
    return Change(action, HOST, ref(name), "web/base", **more)


def entry(name: str, state: Any = "owned", uid: str = "u1", fields: tuple[str, ...] = ()) -> InventoryEntry:
    return InventoryEntry(HOST, ref(name), "web/base", uid, state, fields)


def plan(*changes: Change) -> Plan:
    return Plan("a", REVISION, changes)


def test_a_create_is_entered_before_it_is_sent() -> None:
    intended = ledger.intend((), [change("create", "b"), change("create", "a"), change("hold", "c")], b"")
    assert [(one.ref.name, one.state, one.uid) for one in intended] == [("a", "intended", ""), ("b", "intended", "")]


def test_what_is_known_is_not_entered_anew() -> None:
    known = (entry("a", fields=("data.x",)),)
    assert ledger.intend(known, [change("configure", "a")], b"") == known


@pytest.mark.parametrize("action", ["create", "replace"])
@pytest.mark.parametrize("state", ["owned", "deleting", "claimed", "retained"])
def test_what_is_made_again_is_intended_and_keeps_its_uid(action: Any, state: Any) -> None:
    """A lost answer leaves the object with that UID or a new one with our nonce; a stale read may have missed the old one."""
    known = (entry("a", state, fields=("data.x",)),)
    assert ledger.intend(known, [change(action, "a")], b"") == (entry("a", "intended", fields=("data.x",)),)


def test_a_delete_is_marked_and_stays_until_it_is_seen_gone() -> None:
    doomed = change("delete", "a", uid="u1")
    marked = ledger.intend((entry("a"),), [doomed], b"")
    assert marked[0].state == "deleting"
    for outcome in ("deleting", "failed", "waiting"):
        assert ledger.confirm(marked, plan(doomed), [Result(doomed, outcome)]) == marked
    assert ledger.confirm(marked, plan(doomed), [Result(doomed, "deleted")]) == ()


@pytest.mark.parametrize("outcome", ["created", "configured", "adopted", "replaced", "unchanged"])
def test_what_the_server_confirmed_is_owned(outcome: Any) -> None:
    made = change("create", "a")
    confirmed = ledger.confirm(
        (entry("a", "intended", ""),), plan(made), [Result(made, outcome, uid="u7", fields=("data.x",))]
    )
    assert confirmed == (entry("a", "owned", "u7", ("data.x",)),)


def test_a_failure_confirms_nothing() -> None:
    made = change("create", "a")
    before = (entry("a", "intended", ""),)
    assert ledger.confirm(before, plan(made), [Result(made, "failed", error="no")]) == before


@pytest.mark.parametrize(
    ("reason", "stays"), [("Gone", False), ("NotOwner", False), ("Terminating", True), ("Retained", True)]
)
def test_only_what_is_gone_or_foreign_is_settled(reason: str, stays: bool) -> None:
    seen = change("skip", "a", reason=reason)
    assert bool(ledger.confirm((entry("a"),), plan(seen), [Result(seen, "skipped")])) == stays


def request(kind: str, cluster: str, created: float, expires: float = 0.0) -> Request:
    return Request(kind, "", cluster, "somebody", created, expires, name=f"nidus-request-{kind}-{created:.0f}")


def test_spent_requests() -> None:
    """Expired for a day, or overruled by a newer one for the same cluster; an approval is never overruled."""
    now = 10 * DAY
    reading = Reading({"a": 0.0, "b": 0.0}, now)
    for number, one in enumerate(
        (
            request("suspend", "a", 1.0),
            request("approve", "a", 2.0, now - 2 * DAY),
            request("approve", "b", 3.0, now - DAY / 2),
            request("resume", "a", 4.0),
            request("suspend", "b", 5.0),
            request("approve", "b", 6.0),
        )
    ):
        reading.take(one, number)
    found = reading.done()
    assert {one.name for one in found.spent} == {"nidus-request-suspend-1", "nidus-request-approve-2"}
    assert [one.created for one in found.standing] == [4.0, 5.0, 6.0]


def test_an_entry_under_an_old_name_goes_once_the_new_one_is_confirmed() -> None:
    """One object under two names (its scope was not known when it was made): the old entry is the only one until then."""
    old, new = ObjectRef("x.io", "W", "web", "a"), ObjectRef("x.io", "W", "", "a")
    entries = (InventoryEntry(HOST, old, "web/base", "u", "owned"),)
    changes = (
        Change("configure", HOST, new, "web/base", uid="u"),
        Change("skip", HOST, old, "web/base", uid="u", reason="SameObject"),
    )
    todo = plan(*changes)
    failed = ledger.confirm(entries, todo, [Result(changes[0], "failed")])
    assert [entry.ref for entry in failed] == [old]
    done = ledger.confirm(entries, todo, [Result(changes[0], "configured", uid="u")])
    assert [(entry.ref, entry.uid) for entry in done] == [(new, "u")]
