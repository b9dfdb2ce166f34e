"""fleet.admit: clusters gone from Git (AD2, D1, D3, V4)."""

import pytest

from reconciler.model import Budget, Deletion, Expiry, Expose, Tombstone, Violation, replace
from reconciler.plan.consent import whom
from reconciler.spec.entries import digest
from reconciler.spec.units import duration
from tests.fleets import (
    DAY,
    NEW,
    NOW,
    OLD,
    RULES,
    A,
    B,
    C,
    accepted,
    admit,
    approve,
    cluster,
    record,
    records,
    snapshot,
)


def test_a_removed_cluster_becomes_a_tombstone_with_grace() -> None:
    rollout = admit(snapshot(B), accepted(A, B), records("a", "b"))
    assert rollout.tombstones == {"a": Tombstone(NOW, NOW + DAY, "Retain", False, commit=str(snapshot(B).revision))}
    assert set(rollout.admitted) == {"b"}
    assert rollout.next_at == NOW + DAY


def test_the_accepted_spec_says_how_it_goes() -> None:
    gone = cluster("a", deletion=Deletion(policy="Delete", grace="90s"))
    rollout = admit(snapshot(B), accepted(gone, B), records("a", "b"))
    assert rollout.tombstones["a"] == Tombstone(NOW, NOW + 90, "Delete", False, commit=str(snapshot(B).revision))


def test_a_tombstone_stands_until_it_is_done() -> None:
    standing = Tombstone(NOW - DAY, NOW - 1, "Delete", False)
    known = {"a": record("a", tombstone=standing), "b": record("b")}
    rollout = admit(snapshot(B), accepted(B), known)
    assert rollout.tombstones == {"a": standing}
    assert rollout.next_at is None


def test_putting_the_file_back_cancels_the_tombstone() -> None:
    known = {"a": record("a", tombstone=Tombstone(NOW - 5, NOW + 5, "Delete", False)), "b": record("b")}
    rollout = admit(snapshot(A, B), accepted(A, B), known)
    assert rollout.tombstones == {}
    assert rollout.admitted["a"].revision == NEW


def test_more_than_the_budget_holds_all_removals_and_nothing_else() -> None:
    before = accepted(A, B, C)
    rollout = admit(snapshot(C, cluster("n")), before, records("a", "b", "c"))
    assert rollout.tombstones == {}
    assert {name: rollout.admitted[name].revision for name in "abcn"} == {"a": OLD, "b": OLD, "c": NEW, "n": NEW}
    assert rollout.held["a"] == rollout.held["b"]
    assert rollout.held["a"].reason == "RemovalBudget"
    assert rollout.held["a"].items == tuple(f"remove platform/{name} born 5.000 Retain after 24h" for name in "ab")
    bigger = replace(RULES, budget=Budget(clusters=2))
    assert set(admit(snapshot(C), before, records("a", "b", "c"), rules=bigger).tombstones) == {"a", "b"}


def test_a_removal_of_an_earlier_revision_is_not_counted_again() -> None:
    known = records("a", "b", "c") | {"a": record("a", tombstone=Tombstone(NOW - 5, NOW + 5, "Retain", False))}
    assert set(admit(snapshot(C), accepted(B, C), known).tombstones) == {"a", "b"}


def test_the_last_cluster_of_a_source_is_held() -> None:
    rollout = admit(snapshot(), accepted(A), records("a"))
    assert rollout.held["a"].reason == "RemovalBudget"
    assert rollout.admitted["a"].revision == OLD


def test_an_empty_repository_deletes_nothing() -> None:
    generous = replace(RULES, budget=Budget(clusters=99))
    rollout = admit(snapshot(), accepted(A, B, C), records("a", "b", "c"), rules=generous)
    assert rollout.tombstones == {}
    assert set(rollout.held) == set(rollout.admitted) == {"a", "b", "c"}


def test_a_request_approves_exactly_that_set() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    held = admit(snapshot(C), before, known).held["a"]
    for request in (approve(held.consent), approve(items=held.items), approve(held.consent, expires=NOW + 1)):
        assert set(admit(snapshot(C), before, known, (request,)).tombstones) == {"a", "b"}
    for request in (
        approve("other"),
        approve(items=held.items[:1]),
        approve(held.consent, expires=NOW),
        replace(approve(held.consent), kind="sync"),
        replace(approve(held.consent, held.items), cluster="a"),
        replace(approve(items=held.items), cluster="b"),
    ):
        assert admit(snapshot(C), before, known, (request,)).tombstones == {}


def test_an_approval_for_one_cluster_is_of_what_concerns_it_alone() -> None:
    """Somebody may have the right to approve for that cluster only (policy nidus-requests)."""
    before, known = accepted(A), records("a")
    held = admit(snapshot(), before, known).held["a"]
    for cluster_of, gone in (("a", {"a"}), ("b", set[str]()), ("", {"a"})):
        request = replace(approve(held.consent), cluster=cluster_of)
        assert set(admit(snapshot(), before, known, (request,)).tombstones) == gone


@pytest.mark.parametrize("descends", [True, False])
@pytest.mark.parametrize("unread", [(), (Violation("other", 1, 1, "NID1", "a symlink"),)])
@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_what_a_hold_says_whom_it_concerns_approves_it(
    names: str, unread: tuple[Violation, ...], descends: bool
) -> None:
    """Whoever reads one hold alone, on the page of one cluster, can approve it, whatever the others show."""
    before, known = accepted(*(cluster(name) for name in names)), records(*names)
    known |= {name: replace(one, path=f"other/{name}.yaml") for name, one in known.items() if name != "a"}
    found = snapshot(violations=unread, descends=descends)
    held = {name: one for name, one in admit(found, before, known).held.items() if one.consent}
    for name, one in held.items():
        asked = replace(approve(one.consent, one.items), cluster=whom(one, name))
        assert asked.cluster == (name if names == "a" else "")
        followed = admit(found, before, known, (asked,))
        assert "a" in followed.tombstones and not any(left.consent for left in followed.held.values())
    assert "a" in held


def test_a_wider_approval_covers_fewer_removals() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    wide = admit(snapshot(), before, known).held["a"]
    assert set(admit(snapshot(C), before, known, (approve(wide.consent, wide.items),)).tombstones) == {"a", "b"}


def test_an_approval_is_of_that_cluster_not_of_its_name() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    held = admit(snapshot(C), before, known).held["a"]
    reborn = known | {"b": record("b", born=6.0)}
    assert admit(snapshot(C), before, reborn, (approve(held.consent, held.items),)).tombstones == {}


def test_an_approval_is_of_how_a_cluster_goes_and_of_that_removal() -> None:
    """Not of one with another policy or grace period, nor of a later one after its file was put back."""
    before, known = accepted(A), records("a")
    held = admit(snapshot(), before, known).held["a"]
    assert held.message == "removes the last clusters of the source: a (Retain after 24h)"
    given = (approve(held.consent, held.items),)
    assert set(admit(snapshot(), before, known, given).tombstones) == {"a"}
    for deletion in (Deletion(policy="Delete"), Deletion(grace="90s"), Deletion(grace="0s")):
        assert admit(snapshot(), accepted(cluster("a", deletion=deletion)), known, given).tombstones == {}
    assert admit(snapshot(), before, {"a": record("a", put_back=NOW - 1)}, given).tombstones == {}


HELD = replace(RULES, unreviewed="Hold")
MILD = Deletion(policy="Retain", grace="2h", ttl="1h")


@pytest.mark.parametrize(
    ("deletion", "how"),
    [
        (Deletion(ttl="1h"), "Retain after 24h"),
        (Deletion("Delete", grace="90m", ttl="1h"), "Delete after 90m"),
        (Deletion("Delete", protect=True, ttl="1h"), "protected"),
    ],
)
def test_an_approval_is_of_how_a_cluster_ends(deletion: Deletion, how: str) -> None:
    """By the document that brings its end near, whatever the accepted one said; and of that end, not of a later one."""
    before, known, found = accepted(A, B), records("a", "b"), snapshot(cluster("a", deletion=deletion), B)
    held = admit(found, before, known, rules=HELD).held["a"]
    assert held.items == (f"end platform/a born 5.000 ttl 1h {how}",)
    assert held.message.endswith(f"a ({how})")
    given = (approve(held.consent, held.items),)
    assert admit(found, before, known, given, HELD).held == {}
    called_off = {**known, "a": record("a", put_back=NOW - 1)}
    assert admit(found, before, called_off, given, HELD).held["a"].reason == "Unreviewed"
    for other in (Deletion("Delete", grace="1h", ttl="1h"), Deletion(grace="1h", ttl="1h")):
        changed = snapshot(cluster("a", deletion=other), B)
        assert admit(changed, before, known, given, HELD).held["a"].reason == "Unreviewed"


@pytest.mark.parametrize(
    ("before", "after", "asks"),
    [
        (MILD, replace(MILD, policy="Delete"), True),
        (MILD, replace(MILD, grace="1h"), True),
        (MILD, replace(MILD, ttl="30m"), True),
        (replace(MILD, protect=True), MILD, True),
        (replace(MILD, policy="Orphan"), MILD, True),
        (MILD, replace(MILD, policy="Orphan"), False),
        (MILD, replace(MILD, grace="3h"), False),
        (MILD, replace(MILD, policy="Delete", protect=True), False),
        (MILD, replace(MILD, policy="Delete", ttl=""), False),
        (MILD, replace(MILD, policy="Delete", ttl="999h"), True),
        (MILD, replace(MILD, ttl="999h"), False),
        (replace(MILD, ttl="999h"), replace(MILD, policy="Delete", ttl="999h"), True),
        (replace(MILD, ttl="999h"), replace(MILD, ttl="998h"), True),
        (replace(MILD, ttl=""), replace(MILD, ttl="999h"), True),
    ],
)
@pytest.mark.parametrize("readable", [True, False])
def test_a_document_that_makes_an_end_harsher_is_a_new_question(
    before: Deletion, after: Deletion, asks: bool, readable: bool
) -> None:
    """However far away it is, where nothing goes that nobody reviewed. Also where the accepted document cannot be read: then whatever
    differs from the record is asked for."""
    ends = Expiry(duration(before.ttl), NOW + DAY) if before.ttl else None
    old = {"a": record("a", digests={"deletion": digest(before)}, expiry=ends), "b": record("b")}
    known = accepted(*([cluster("a", deletion=before)] if readable else []), B)
    found = admit(snapshot(cluster("a", deletion=after), B), known, old, rules=HELD)
    asked = asks or (not readable and not after.protect and after.ttl != "")
    assert ("a" in found.held) is asked
    same = admit(snapshot(cluster("a", deletion=before), B), known, old, rules=HELD)
    assert same.held == {}
    near = asked and 0 < duration(after.ttl or "0s") < NOW - 5.0 + DAY
    tight = admit(
        snapshot(cluster("a", deletion=after), B), known, old, rules=replace(RULES, budget=Budget(clusters=0))
    )
    assert ("a" in tight.held) is near


def test_a_file_put_back_calls_a_removal_off_though_nothing_of_it_is_admitted() -> None:
    """Its approval is used up: when it leaves again, that is another question."""
    leaving = {"a": record("a", tombstone=Tombstone(NOW - 5, NOW + 5, "Delete", False)), "b": record("b")}
    broken = Violation("clusters/a.yaml", 2, 5, "NID1", "not YAML", subject="cluster/a")
    for found in (snapshot(B, violations=(broken,)), snapshot(cluster("a", deletion=MILD), B)):
        rollout = admit(found, accepted(B), leaving, rules=HELD)
        assert (set(rollout.admitted), set(rollout.held), set(rollout.put_back)) == ({"b"}, {"a"}, {"a"})


def test_an_end_goes_by_what_was_admitted() -> None:
    """The document that waits for an approval neither makes it harsher nor stops it."""
    before, over = accepted(cluster("a", deletion=MILD), B), record("a", expiry=Expiry(3600.0, NOW - 3 * 3600.0))
    harsher = snapshot(cluster("a", deletion=Deletion("Delete", grace="0s", ttl="30m")), B)
    found = admit(harsher, before, {"a": over, "b": record("b")}, rules=HELD)
    assert (found.tombstones["a"].policy, found.held["a"].reason) == ("Retain", "Unreviewed")
    taken = {"x": record("x", source="other", hosts=("x.example.com",)), "a": over, "b": record("b")}
    exposed = Expose(type="Ingress", host="x.example.com")
    asks = snapshot(cluster("a", deletion=replace(MILD, policy="Delete", grace="0s"), expose=exposed), B)
    found = admit(asks, before, taken)
    assert (found.tombstones["a"].policy, found.held["a"].reason) == ("Retain", "HostTaken")


def test_a_commit_trailer_approves() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    held = admit(snapshot(C), before, known).held["a"]
    trailers = (("Signed-off-by", "x"), ("nidus-approve", f" {held.consent} "))
    assert set(admit(snapshot(C, trailers=trailers), before, known).tombstones) == {"a", "b"}


def test_protect_holds_whatever_is_approved() -> None:
    guarded = cluster("a", deletion=Deletion(protect=True))
    before, known = accepted(guarded, B, C), records("a", "b", "c")
    rollout = admit(snapshot(C), before, known)
    assert rollout.held["a"].reason == "Protected"
    assert rollout.held["a"].consent == ""
    assert rollout.held["b"].items == ("remove platform/b born 5.000 Retain after 24h",)
    approved = admit(snapshot(C), before, known, (approve(rollout.held["b"].consent),))
    assert set(approved.tombstones) == {"b"}
    assert approved.admitted["a"].revision == OLD


def test_an_unreadable_file_holds_deletions_of_missing_clusters() -> None:
    broken = Violation("clusters/b.yaml", 2, 5, "NID1", "not YAML")
    before = accepted(A, B)
    rollout = admit(snapshot(A, violations=(broken,)), before, records("a", "b"))
    assert rollout.held["b"].reason == "Unparsed"
    assert rollout.admitted == {"a": rollout.admitted["a"], "b": before["b"]}
    assert rollout.admitted["a"].revision == NEW
    standing = records("a") | {"b": record("b", tombstone=Tombstone(NOW - 5, NOW - 1, "Delete", False))}
    rollout = admit(snapshot(A, violations=(broken,)), before, standing)
    assert (rollout.tombstones, set(rollout.admitted), rollout.held["b"].reason) == ({}, {"a"}, "Unparsed")
    assert rollout.put_back == {}


def test_a_broken_file_makes_nothing_of_what_was_retained() -> None:
    """Neither its own, though its accepted content can be read, nor that of another."""
    known = records("b") | {"a": record("a", tombstone=Tombstone(NOW - 5, NOW - 5, "Retain", False, done=True))}
    for subject in ("cluster/a", ""):
        broken = Violation("clusters/a.yaml", 2, 5, "NID1", "not YAML", subject=subject)
        rollout = admit(snapshot(B, violations=(broken,)), accepted(A, B), known)
        assert (set(rollout.admitted), rollout.tombstones) == ({"b"}, {})


OVER = Tombstone(NOW - 5, NOW - 5, "Delete", False, done=True, expired=True)


def test_what_expired_frees_its_name_once_everything_can_be_read() -> None:
    known = records("b") | {"a": record("a", tombstone=OVER, expiry=Expiry(3600.0, NOW - DAY))}
    broken = Violation("clusters/x.yaml", 2, 5, "NID1", "not YAML")
    assert admit(snapshot(B, violations=(broken,)), accepted(B), known).tombstones == {}
    left = admit(snapshot(B), accepted(B), known).tombstones["a"]
    assert (left.done, left.expired) == (True, False)
    known["a"] = record("a", tombstone=left)
    assert admit(snapshot(B), accepted(B), known).tombstones == {"a": left}  # until nothing of it is on record


def test_what_expired_and_is_gone_does_not_count_for_the_budget() -> None:
    over = record("a", tombstone=replace(OVER, policy="Retain"), expiry=Expiry(3600.0, NOW - DAY))
    harsher = cluster("a", deletion=Deletion("Delete", grace="0s", ttl="1h"))
    rollout = admit(snapshot(harsher, C), accepted(B, C), records("b", "c") | {"a": over})
    assert (set(rollout.tombstones), rollout.held["a"].reason) == ({"b"}, "Expired")


@pytest.mark.parametrize(
    ("path", "holds"),
    [("clusters/x.yml", True), ("clusters", True), ("", True), ("docs/link", False), ("clust", False)],
)
def test_only_what_may_hide_a_cluster_holds_its_removal(path: str, holds: bool) -> None:
    odd = Violation(path, 1, 1, "NID2", "a symlink")
    rollout = admit(snapshot(A, violations=(odd,)), accepted(A, B), records("a", "b"))
    assert ("b" in rollout.held) is holds
    assert ("b" in rollout.tombstones) is not holds
