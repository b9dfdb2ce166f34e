"""fleet.admit: what holds for every situation."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import (
    Budget,
    Content,
    Deletion,
    Policy,
    Record,
    Snapshot,
    Tombstone,
    Violation,
)
from tests.fleets import (
    NOW,
    POLICY,
    accepted,
    admit,
    cluster,
    record,
    snapshot,
)

NAMES = ["a", "b", "c", "d"]
TOMBSTONES = st.none() | st.builds(
    Tombstone,
    since=st.just(NOW - 10),
    due=st.sampled_from([NOW - 1, NOW + 10]),
    policy=st.sampled_from(["Retain", "Delete", "Orphan"]),
    protect=st.booleans(),
    done=st.booleans(),
)
RECORDS = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(["platform", "platform", "other"]), TOMBSTONES, st.booleans(), st.booleans()),
)
SUBJECTS = st.lists(st.sampled_from(["", "cluster/a", "cluster/e", "profile/web@1.0.0"]), max_size=2)


@st.composite
def situations(draw: Any) -> tuple[Snapshot, dict[str, Content], dict[str, Record], Policy]:
    tree = [cluster(name) for name in draw(st.lists(st.sampled_from(NAMES), unique=True))]
    drawn = draw(RECORDS)
    known = {name: record(name, source, tombstone=grave) for name, (source, grave, _, _) in drawn.items()}
    before: dict[str, Content] = {}
    for name, (_, _, readable, protect) in drawn.items():
        if readable:
            before |= accepted(cluster(name, deletion=Deletion(protect=protect)))
    violations = tuple(Violation("x.yaml", 1, 1, "NID1", "x", subject=subject) for subject in draw(SUBJECTS))
    policy = replace(POLICY, budget=Budget(clusters=draw(st.integers(0, 4))))
    return snapshot(*tree, violations=violations, descends=draw(st.booleans())), before, known, policy


@given(situations())
def test_admit_is_deterministic_and_ignores_order(situation: Any) -> None:
    found, before, known, policy = situation
    turned = dict(reversed(known.items()))
    assert admit(found, before, known, policy=policy) == admit(found, before, turned, policy=policy)


@given(situations())
def test_nothing_in_the_tree_and_nothing_foreign_is_ever_removed(situation: Any) -> None:
    found, before, known, policy = situation
    rollout = admit(found, before, known, policy=policy)
    named = {violation.subject.removeprefix("cluster/") for violation in found.violations}
    assert not set(rollout.tombstones) & (set(found.specs.clusters) | named)
    assert all(known[name].source == "platform" for name in rollout.tombstones)
    assert not set(rollout.tombstones) & (set(rollout.admitted) | set(rollout.held))


@given(situations())
def test_no_budget_is_exceeded_without_approval(situation: Any) -> None:
    found, before, known, policy = situation
    rollout = admit(found, before, known, policy=policy)
    fresh = [name for name in rollout.tombstones if known[name].tombstone is None]
    assert len(fresh) <= policy.budget.clusters
    assert not fresh or found.specs.clusters or found.violations
    assert all(not before[name].specs.clusters[name].cluster.spec.deletion.protect for name in fresh)
    assert not fresh or found.descends


@given(situations())
def test_every_cluster_has_exactly_one_fate(situation: Any) -> None:
    found, before, known, policy = situation
    rollout = admit(found, before, known, policy=policy)
    mine = {n for n, one in known.items() if one.source == "platform" and not (one.tombstone and one.tombstone.done)}
    for name in {*mine, *found.specs.clusters}:
        assert name in rollout.admitted or name in rollout.tombstones or name in rollout.held
    assert all(name in content.specs.clusters for name, content in rollout.admitted.items())
