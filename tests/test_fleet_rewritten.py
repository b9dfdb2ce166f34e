"""fleet.admit: a history that was rewritten (S5)."""

from typing import Any

import pytest

from reconciler.model import (
    ClusterDocument,
    ControlPlane,
    Deletion,
    EngineChoice,
    Expiry,
    KubernetesChoice,
    ProfileDocument,
    Snapshot,
    Store,
    Tombstone,
    Violation,
    replace,
)
from tests.fleets import (
    DAY,
    NEW,
    NOW,
    OLD,
    A,
    B,
    C,
    accepted,
    admit,
    approve,
    cluster,
    profile,
    record,
    records,
    snapshot,
    uses,
)


def rewritten(*documents: ClusterDocument | ProfileDocument, **fields: Any) -> Snapshot:
    return snapshot(*documents, descends=False, **fields)


def test_a_harmless_rewrite_is_followed() -> None:
    rollout = admit(rewritten(A, B, cluster("n")), accepted(A, B), records("a", "b"))
    assert rollout.held == {}
    assert {content.revision for content in rollout.admitted.values()} == {NEW}


def versioned(name: str, kubernetes: str, engine: str = "0.36.1") -> ClusterDocument:
    return cluster(name, kubernetes=KubernetesChoice(version=kubernetes), engine=EngineChoice(version=engine))


STACK = uses("a", "1.x")


@pytest.mark.parametrize(
    ("before", "after", "item"),
    [
        ([A, B], [B], "remove platform/a born 5.000 Retain after 24h"),
        ([A, B], [cluster("a", deletion=Deletion(ttl="1h")), B], "end platform/a born 5.000 ttl 1h Retain after 24h"),
        (
            [versioned("a", "v1.36.0"), B],
            [versioned("a", "v1.35.0"), B],
            "downgrade platform/a born 5.000 kubernetes v1.36.0 to v1.35.0",
        ),
        (
            [versioned("a", "v1.36.0"), B],
            [versioned("a", "v1.36.0", "0.36.0"), B],
            "downgrade platform/a born 5.000 engine 0.36.1 to 0.36.0",
        ),
        (
            [A, B],
            [cluster("a", control_plane=ControlPlane(store=Store(type="etcd"))), B],
            "replace platform/a born 5.000 store sqlite by etcd",
        ),
        (
            [STACK, profile("web", "1.1.0"), B],
            [A, profile("web", "1.1.0"), B],
            "remove platform/a born 5.000 profile web",
        ),
        (
            [STACK, profile("web", "1.1.0"), profile("web", "1.2.0"), B],
            [STACK, profile("web", "1.1.0"), B],
            "downgrade platform/a born 5.000 profile web 1.2.0 to 1.1.0",
        ),
    ],
)
def test_a_destroying_rewrite_is_held_as_a_whole(before: Any, after: Any, item: str) -> None:
    known = records("a", "b")
    found = rewritten(*after, cluster("n"))
    rollout = admit(found, accepted(*before), known)
    assert {held.reason for held in rollout.held.values()} == {"HistoryRewritten"}
    assert set(rollout.held) == {"a", "b", "n"}
    assert rollout.held["a"].items == (item,)
    assert {name: content.revision for name, content in rollout.admitted.items()} == {"a": OLD, "b": OLD}
    assert rollout.tombstones == {}
    followed = admit(found, accepted(*before), known, (approve(rollout.held["a"].consent),))
    assert followed.held == {}
    assert followed.admitted["b"].revision == NEW
    assert ("a" in followed.tombstones) is (item == "remove platform/a born 5.000 Retain after 24h")


def test_an_approved_rewrite_is_approved_once() -> None:
    """What it takes from a cluster that stays is asked for again when it is taken again."""
    before, found = accepted(versioned("a", "v1.36.0"), B), rewritten(versioned("a", "v1.35.0"), B)
    given = (approve(admit(found, before, records("a", "b")).held["a"].consent),)
    followed = admit(found, before, records("a", "b"), given)
    assert (followed.held, set(followed.put_back)) == ({}, {"a"})
    known = records("b") | {"a": record("a", put_back=followed.put_back["a"])}
    assert admit(found, before, known, given).held["a"].reason == "HistoryRewritten"
    assert admit(found, accepted(versioned("a", "v1.35.0"), B), known, given).held == {}


def test_an_approved_rewrite_needs_no_second_approval_of_its_removals() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    held = admit(rewritten(C), before, known).held["a"]
    assert set(admit(rewritten(C), before, known, (approve(held.consent),)).tombstones) == {"a", "b"}
    of_one = replace(approve(held.consent, held.items), cluster="a")
    assert admit(rewritten(C), before, known, (of_one,)).tombstones == {}


def test_a_rewrite_does_not_stop_an_end_under_way() -> None:
    """Of a cluster whose file stays; no other end begins."""
    over = Expiry(3600.0, NOW - 2 * DAY)
    standing = Tombstone(NOW - 5, NOW - 5, "Retain", False, expired=True)
    known = records("c") | {"a": record("a", tombstone=standing, expiry=over), "b": record("b", expiry=over)}
    tree = [cluster(name, deletion=Deletion(ttl="1h")) for name in "ab"]
    rollout = admit(rewritten(*tree), accepted(*tree, C), known)
    assert rollout.tombstones == {"a": standing}
    assert {name: held.reason for name, held in rollout.held.items()} == dict.fromkeys("bc", "HistoryRewritten")
    assert rollout.put_back == {}


def test_a_rewrite_does_not_stop_a_removal_under_way() -> None:
    standing = Tombstone(NOW - 5, NOW + 5, "Retain", False)
    known = records("b", "c") | {"a": record("a", tombstone=standing)}
    rollout = admit(rewritten(C), accepted(A, B, C), known)
    assert rollout.tombstones == {"a": standing}
    assert rollout.held["b"].reason == "HistoryRewritten"
    broken = Violation("clusters/x.yaml", 2, 5, "NID1", "not YAML")
    rollout = admit(rewritten(C, violations=(broken,)), accepted(A, B, C), known)
    assert (rollout.tombstones, set(rollout.admitted), rollout.put_back) == ({}, {"b", "c"}, {})
