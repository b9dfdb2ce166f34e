"""fleet.admit: which clusters take the new revision, and what a mistake stops (AD1, V4)."""

import pytest

from reconciler.model import Rollout, Tombstone, Violation, replace
from tests.fleets import (
    NEW,
    OLD,
    RULES,
    A,
    B,
    C,
    accepted,
    admit,
    cluster,
    profile,
    record,
    records,
    snapshot,
    uses,
)


def test_new_and_changed_clusters_come_from_the_new_revision() -> None:
    found = snapshot(A, B)
    rollout = admit(found, accepted(A), records("a"))
    assert rollout == Rollout({"a": found.content, "b": found.content}, {}, {})


def test_a_broken_file_keeps_its_cluster_as_accepted() -> None:
    broken = Violation("clusters/a.yaml", 3, 1, "NID1", "no such field", subject="cluster/a")
    before = accepted(A, B)
    rollout = admit(snapshot(B, violations=(broken,)), before, records("a", "b"))
    assert rollout.admitted["a"] == before["a"]
    assert rollout.admitted["b"].revision == NEW
    assert rollout.tombstones == rollout.held == {}


def test_a_broken_file_of_a_new_cluster_is_held_with_its_mistake() -> None:
    broken = Violation("clusters/a.yaml", 3, 1, "NID1", "no such field", subject="cluster/a")
    rollout = admit(snapshot(B, violations=(broken,)))
    assert set(rollout.admitted) == {"b"}
    assert rollout.held["a"].reason == "Invalid"
    assert "clusters/a.yaml:3" in rollout.held["a"].message


def test_a_broken_profile_keeps_only_those_who_would_use_it() -> None:
    broken = Violation("profiles/web.yaml", 3, 1, "NID1", "no such field", subject="profile/web@1.2.1")
    one, two, three = uses("a", "1.2.x"), uses("b", "1.2.0"), cluster("c")
    before = accepted(one, two, three, profile("web", "1.2.0"))
    found = snapshot(one, two, three, profile("web", "1.2.0"), violations=(broken,))
    rollout = admit(found, before, records("a", "b", "c"))
    assert {name: content.revision for name, content in rollout.admitted.items()} == {"a": OLD, "b": NEW, "c": NEW}


def test_a_profile_of_unknown_version_keeps_all_its_users() -> None:
    broken = Violation("profiles/web.yaml", 3, 1, "NID1", "version is missing", subject="profile/web@")
    one, two = uses("a", "1.2.0"), cluster("c")
    rollout = admit(
        snapshot(one, two, profile("web", "1.2.0"), violations=(broken,)), accepted(one, two), records("a", "c")
    )
    assert {name: content.revision for name, content in rollout.admitted.items()} == {"a": OLD, "c": NEW}


def test_changed_content_of_a_version_in_use_is_refused() -> None:
    one, two = uses("a", "1.2.x"), uses("b", "1.3.x")
    known = {"a": record("a", digests={"profile/web@1.2.0": "p1"}), "b": record("b")}
    found = snapshot(one, two, profile("web", "1.2.0", "other"), profile("web", "1.3.0"))
    rollout = admit(found, accepted(one, two), known)
    assert rollout.admitted["a"].revision == OLD
    assert rollout.held["a"].reason == "ProfileVersionChanged"
    assert rollout.admitted["b"].revision == NEW
    loose = admit(found, accepted(one, two), known, rules=replace(RULES, profile_versions="Mutable"))
    assert loose.admitted["a"].revision == NEW
    assert loose.held == {}


def test_a_new_cluster_cannot_bring_changed_content_of_a_version_in_use() -> None:
    known = {"a": record("a", digests={"profile/web@1.2.0": "p1"})}
    rollout = admit(snapshot(uses("n", "1.2.0"), profile("web", "1.2.0", "other")), {}, known)
    assert rollout.held["n"].reason == "ProfileVersionChanged"
    assert "n" not in rollout.admitted


def test_a_name_of_another_source_stays_with_the_incumbent() -> None:
    known = {"a": record("a", source="other"), "b": record("b")}
    rollout = admit(snapshot(A, B), accepted(B), known)
    assert set(rollout.admitted) == {"b"}
    assert rollout.held["a"].reason == "NameTaken"
    assert rollout.tombstones == {}


@pytest.mark.parametrize(("policy", "taken"), [("Retain", True), ("Delete", False), ("Orphan", False)])
def test_a_retained_cluster_keeps_its_name_for_its_source(policy: str, taken: bool) -> None:
    done = Tombstone(0.0, 1.0, policy, False, done=True)
    known = {"a": record("a", source="other", tombstone=done)}
    assert ("a" in admit(snapshot(A), {}, known).held) is taken


def test_a_deleted_cluster_may_come_back() -> None:
    done = Tombstone(0.0, 1.0, "Retain", False, done=True)
    known = {"a": record("a", tombstone=done), "b": record("b")}
    assert set(admit(snapshot(A, B), accepted(B), known).admitted) == {"a", "b"}
    gone = admit(snapshot(B), accepted(B), known)
    assert gone.tombstones == gone.held == {}


def test_accepted_content_that_cannot_be_read_changes_nothing() -> None:
    broken = Violation("clusters/a.yaml", 3, 1, "NID1", "x", subject="cluster/a")
    rollout = admit(snapshot(B, violations=(broken,)), accepted(B, C), records("a", "b", "c"))
    assert rollout.held["a"].reason == "AcceptedUnreadable"
    removed = admit(snapshot(B, C), accepted(B, C), records("a", "b", "c"))
    assert removed.held["a"].reason == "AcceptedUnreadable"
    assert "a" not in removed.admitted
    assert "a" not in removed.tombstones
