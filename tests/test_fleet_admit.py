"""fleet.admit: what one revision may do over all clusters (AD1, AD2, V4, S5, D1)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import fleet
from reconciler.model import (
    Budget,
    ClusterDocument,
    ClusterProfile,
    ClusterSpec,
    Content,
    ControlPlane,
    Deletion,
    EngineChart,
    EngineChoice,
    KubernetesChoice,
    ManifestsPack,
    Metadata,
    NestedCluster,
    Pack,
    Policy,
    ProfileDocument,
    ProfileSpec,
    ProfileUse,
    Record,
    Request,
    Revision,
    Rollout,
    Snapshot,
    Specs,
    Store,
    Tombstone,
    Violation,
)

NOW = 1_000_000.0
DAY = 86400.0
CHARTS = (EngineChart("0.36.0", "d0", ()), EngineChart("0.36.1", "d1", ()))
POLICY = Policy("local", "vcluster-{name}", CHARTS, ("v1.35.0", "v1.36.0"))
OLD, NEW = Revision("main", "a" * 40), Revision("main", "b" * 40)


def cluster(name: str, **spec: Any) -> ClusterDocument:
    body = NestedCluster(
        api_version="nidus.dev/v1alpha1",
        kind="NestedCluster",
        metadata=Metadata(name=name),
        spec=ClusterSpec(**spec),
    )
    return ClusterDocument(body, f"clusters/{name}.yaml", 1, f"digest of {name} {spec}")


def profile(name: str, version: str, digest: str = "p1") -> ProfileDocument:
    spec = ProfileSpec(version=version, packs=(Pack(name="base", manifests=ManifestsPack()),))
    body = ClusterProfile(
        api_version="nidus.dev/v1alpha1", kind="ClusterProfile", metadata=Metadata(name=name), spec=spec
    )
    return ProfileDocument(body, f"profiles/{name}.yaml", 1, digest, {})


def specs(*documents: ClusterDocument | ProfileDocument) -> Specs:
    clusters = {one.cluster.metadata.name: one for one in documents if isinstance(one, ClusterDocument)}
    profiles = {
        (one.profile.metadata.name, one.profile.spec.version): one
        for one in documents
        if isinstance(one, ProfileDocument)
    }
    return Specs(clusters, profiles)


def snapshot(*documents: ClusterDocument | ProfileDocument, **fields: Any) -> Snapshot:
    return Snapshot("platform", NEW, "tree", {}, specs(*documents), **fields)


def record(name: str, source: str = "platform", **fields: Any) -> Record:
    return Record(
        source=source,
        cluster=name,
        host="local",
        path=f"clusters/{name}.yaml",
        branch="main",
        commit=OLD.commit,
        digests=fields.pop("digests", {}),
        nonce="n",
        born=fields.pop("born", 5.0),
        **fields,
    )


def accepted(*documents: ClusterDocument | ProfileDocument) -> dict[str, Content]:
    content = Content(OLD, specs(*documents))
    return dict.fromkeys(content.specs.clusters, content)


def records(*names: str) -> dict[str, Record]:
    return {name: record(name) for name in names}


def admit(
    found: Snapshot,
    before: dict[str, Content] | None = None,
    known: dict[str, Record] | None = None,
    requests: tuple[Request, ...] = (),
    policy: Policy = POLICY,
    now: float = NOW,
) -> Rollout:
    return fleet.admit(found, before or {}, known or {}, requests, policy, now)


def approve(consent: str = "", items: tuple[str, ...] = (), expires: float = 0.0) -> Request:
    return Request("approve", "platform", "", "ops", NOW, expires, consent, items)


A, B, C = cluster("a"), cluster("b"), cluster("c")


# Admission and isolation of mistakes


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


def uses(name: str, span: str) -> ClusterDocument:
    return cluster(name, profiles=(ProfileUse(name="web", version=span),))


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
    loose = admit(found, accepted(one, two), known, policy=replace(POLICY, profile_versions="Mutable"))
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


# Removal


def test_a_removed_cluster_becomes_a_tombstone_with_grace() -> None:
    rollout = admit(snapshot(B), accepted(A, B), records("a", "b"))
    assert rollout.tombstones == {"a": Tombstone(NOW, NOW + DAY, "Retain", False)}
    assert set(rollout.admitted) == {"b"}
    assert rollout.next_at == NOW + DAY


def test_the_accepted_spec_says_how_it_goes() -> None:
    gone = cluster("a", deletion=Deletion(policy="Delete", grace="90s"))
    rollout = admit(snapshot(B), accepted(gone, B), records("a", "b"))
    assert rollout.tombstones["a"] == Tombstone(NOW, NOW + 90, "Delete", False)


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
    assert rollout.held["a"].items == ("remove platform/a born 5.000", "remove platform/b born 5.000")
    bigger = replace(POLICY, budget=Budget(clusters=2))
    assert set(admit(snapshot(C), before, records("a", "b", "c"), policy=bigger).tombstones) == {"a", "b"}


def test_a_removal_of_an_earlier_revision_is_not_counted_again() -> None:
    known = records("a", "b", "c") | {"a": record("a", tombstone=Tombstone(NOW - 5, NOW + 5, "Retain", False))}
    assert set(admit(snapshot(C), accepted(B, C), known).tombstones) == {"a", "b"}


def test_the_last_cluster_of_a_source_is_held() -> None:
    rollout = admit(snapshot(), accepted(A), records("a"))
    assert rollout.held["a"].reason == "RemovalBudget"
    assert rollout.admitted["a"].revision == OLD


def test_an_empty_repository_deletes_nothing() -> None:
    generous = replace(POLICY, budget=Budget(clusters=99))
    rollout = admit(snapshot(), accepted(A, B, C), records("a", "b", "c"), policy=generous)
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
        Request("approve", "platform", "a", "ops", NOW),
    ):
        assert admit(snapshot(C), before, known, (request,)).tombstones == {}


def test_a_wider_approval_covers_fewer_removals() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    wide = admit(snapshot(), before, known).held["a"]
    assert set(admit(snapshot(C), before, known, (approve(wide.consent, wide.items),)).tombstones) == {"a", "b"}


def test_an_approval_is_of_that_cluster_not_of_its_name() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    held = admit(snapshot(C), before, known).held["a"]
    reborn = known | {"b": record("b", born=6.0)}
    assert admit(snapshot(C), before, reborn, (approve(held.consent, held.items),)).tombstones == {}


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
    assert rollout.held["b"].items == ("remove platform/b born 5.000",)
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
    assert admit(snapshot(A, violations=(broken,)), before, standing).tombstones == {}


@pytest.mark.parametrize(
    ("path", "holds"),
    [("clusters/x.yml", True), ("clusters", True), ("", True), ("docs/link", False), ("clust", False)],
)
def test_only_what_may_hide_a_cluster_holds_its_removal(path: str, holds: bool) -> None:
    odd = Violation(path, 1, 1, "NID2", "a symlink")
    rollout = admit(snapshot(A, violations=(odd,)), accepted(A, B), records("a", "b"))
    assert ("b" in rollout.held) is holds
    assert ("b" in rollout.tombstones) is not holds


# Rewritten history


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
        ([A, B], [B], "remove platform/a born 5.000"),
        (
            [versioned("a", "v1.36.0"), B],
            [versioned("a", "v1.35.0"), B],
            "downgrade platform/a kubernetes v1.36.0 to v1.35.0",
        ),
        (
            [versioned("a", "v1.36.0"), B],
            [versioned("a", "v1.36.0", "0.36.0"), B],
            "downgrade platform/a engine 0.36.1 to 0.36.0",
        ),
        (
            [A, B],
            [cluster("a", control_plane=ControlPlane(store=Store(type="etcd"))), B],
            "replace platform/a store sqlite by etcd",
        ),
        ([STACK, profile("web", "1.1.0"), B], [A, profile("web", "1.1.0"), B], "remove platform/a profile web"),
        (
            [STACK, profile("web", "1.1.0"), profile("web", "1.2.0"), B],
            [STACK, profile("web", "1.1.0"), B],
            "downgrade platform/a profile web 1.2.0 to 1.1.0",
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
    assert ("a" in followed.tombstones) is item.startswith("remove platform/a born")


def test_an_approved_rewrite_needs_no_second_approval_of_its_removals() -> None:
    before, known = accepted(A, B, C), records("a", "b", "c")
    held = admit(rewritten(C), before, known).held["a"]
    assert set(admit(rewritten(C), before, known, (approve(held.consent),)).tombstones) == {"a", "b"}


def test_a_rewrite_does_not_stop_a_removal_under_way() -> None:
    standing = Tombstone(NOW - 5, NOW + 5, "Retain", False)
    known = records("b", "c") | {"a": record("a", tombstone=standing)}
    rollout = admit(rewritten(C), accepted(A, B, C), known)
    assert rollout.tombstones == {"a": standing}
    assert rollout.held["b"].reason == "HistoryRewritten"


# What always holds

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
