"""fleet.admit: what holds for every situation."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler import engine, fleet
from reconciler.engine import versions
from reconciler.errors import NidusError
from reconciler.model import (
    Budget,
    Content,
    Deletion,
    EngineChart,
    EngineChoice,
    KubernetesChoice,
    Record,
    Rollout,
    Rules,
    Snapshot,
    Tombstone,
    Versions,
    Violation,
    replace,
)
from reconciler.spec import resolve
from tests.examples import examples
from tests.fleets import (
    FACTS,
    NOW,
    RULES,
    accepted,
    admit,
    approve,
    cluster,
    profile,
    record,
    snapshot,
    uses,
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
DELETIONS = st.builds(Deletion, policy=st.sampled_from(["Retain", "Delete"]), ttl=st.sampled_from(["", "1h"]))
SUBJECTS = st.lists(st.sampled_from(["", "cluster/a", "cluster/e", "profile/web@1.0.0"]), max_size=2)


@st.composite
def situations(draw: Any) -> tuple[Snapshot, dict[str, Content], dict[str, Record], Rules]:
    tree = [cluster(name, deletion=draw(DELETIONS)) for name in draw(st.lists(st.sampled_from(NAMES), unique=True))]
    drawn = draw(RECORDS)
    known = {name: record(name, source, tombstone=grave) for name, (source, grave, _, _) in drawn.items()}
    before: dict[str, Content] = {}
    for name, (_, _, readable, protect) in drawn.items():
        if readable:
            before |= accepted(cluster(name, deletion=Deletion(protect=protect)))
    violations = tuple(Violation("x.yaml", 1, 1, "NID1", "x", subject=subject) for subject in draw(SUBJECTS))
    rules = replace(RULES, budget=Budget(clusters=draw(st.integers(0, 4))))
    return snapshot(*tree, violations=violations, descends=draw(st.booleans())), before, known, rules


@given(situations())
def test_admit_is_deterministic_and_ignores_order(situation: Any) -> None:
    found, before, known, rules = situation
    turned = dict(reversed(known.items()))
    assert admit(found, before, known, rules=rules) == admit(found, before, turned, rules=rules)


@given(situations())
def test_nothing_in_the_tree_and_nothing_foreign_is_ever_removed(situation: Any) -> None:
    found, before, known, rules = situation
    rollout = admit(found, before, known, rules=rules)
    named = {violation.subject.removeprefix("cluster/") for violation in found.violations}
    assert not set(rollout.tombstones) & (set(found.specs.clusters) | named)
    assert all(known[name].source == "platform" for name in rollout.tombstones)
    assert not set(rollout.tombstones) & (set(rollout.admitted) | set(rollout.held))


@given(situations())
def test_no_budget_is_exceeded_without_approval(situation: Any) -> None:
    found, before, known, rules = situation
    rollout = admit(found, before, known, rules=rules)
    fresh = [name for name in rollout.tombstones if known[name].tombstone is None]
    assert len(fresh) <= rules.budget.clusters
    assert not fresh or found.specs.clusters or found.violations
    assert all(not before[name].specs.clusters[name].cluster.spec.deletion.protect for name in fresh)
    assert not fresh or found.descends


@examples(100)
@given(situations())
def test_what_waits_for_an_approval_is_not_admitted(situation: Any) -> None:
    found, before, known, rules = situation
    rollout = admit(replace(found, descends=True), before, known, rules=replace(rules, unreviewed="Hold"))
    asked = {name for name, held in rollout.held.items() if held.consent}
    assert not [name for name in asked & rollout.admitted.keys() if rollout.admitted[name] != before.get(name)]


@given(situations())
def test_every_cluster_has_exactly_one_fate(situation: Any) -> None:
    found, before, known, rules = situation
    rollout = admit(found, before, known, rules=rules)
    mine = {n for n, one in known.items() if one.source == "platform" and not (one.tombstone and one.tombstone.done)}
    for name in {*mine, *found.specs.clusters}:
        assert name in rollout.admitted or name in rollout.tombstones or name in rollout.held
    assert all(name in content.specs.clusters for name, content in rollout.admitted.items())


# Versions: the operator's list, what is written and what runs, over several revisions

ENGINES = st.sampled_from(["0.35.2", "0.36.0", "0.36.1", "0.37.0", "not a version"])
KUBERNETES = st.sampled_from(["v1.33.0", "v1.34.0", "v1.35.0", "v1.35.4", "v1.36.0", "v1.37.0", "latest"])
LISTS = st.tuples(st.lists(ENGINES, unique=True), st.lists(KUBERNETES, unique=True))
WRITTEN = st.tuples(st.just("") | ENGINES, st.just("") | KUBERNETES)


def offering(lists: tuple[list[str], list[str]]) -> Rules:
    charts = tuple(EngineChart(one, f"chart of {one}", ()) for one in lists[0])
    return replace(RULES, engines=charts, kubernetes_versions=tuple(lists[1]))


def wanting(written: tuple[str, str]) -> Snapshot:
    chosen = EngineChoice(version=written[0]), KubernetesChoice(version=written[1])
    return snapshot(cluster("a", engine=chosen[0], kubernetes=chosen[1]))


def resolved(rollout: Rollout, rules: Rules, runs: Versions) -> Versions | None:
    """The versions that a pass would enforce, None where the cluster is left as it is."""
    try:
        return resolve.bundle("a", rollout.admitted["a"], rules, FACTS, runs).versions
    except NidusError as error:
        assert error.reason == "VersionWithdrawn"
        assert rollout.held["a"].stalls
        return None


@given(st.lists(st.tuples(WRITTEN, LISTS, st.booleans()), min_size=1, max_size=6))
def test_no_sequence_of_commits_and_lists_lowers_what_runs(steps: list[tuple[Any, Any, bool]]) -> None:
    """Each step is a commit or a restart with another list; the control plane is rolled out after it, or not."""
    before: dict[str, Content] = {}
    known: dict[str, Record] = {}
    for written, lists, rolled_out in steps:
        rules, found = offering(lists), wanting(written)
        rollout = admit(found, before, known, rules=rules)
        past = fleet.all_running(known, before, rules).get("a", Versions())
        now = resolved(rollout, rules, past)
        for old, new in ((past.engine, now.engine), (past.kubernetes, now.kubernetes)) if now else ():
            assert not old or versions.step(old, new) == ""
        asked = engine.asked(found.specs.clusters["a"].cluster, rules)
        kept = Versions(asked.engine or past.engine, asked.kubernetes or past.kubernetes)  # where nothing is asked for
        assert "a" in rollout.held or now == kept
        before = dict(rollout.admitted)
        known = {"a": replace(known.get("a", record("a")), versions=now if rolled_out and now else past)}


@given(situations(), st.dictionaries(st.sampled_from(NAMES), WRITTEN), LISTS, WRITTEN)
def test_whatever_runs_admission_never_raises_and_decides_for_everybody(
    situation: Any, runs: dict[str, tuple[str, str]], lists: Any, written: tuple[str, str]
) -> None:
    found, before, known, _ = situation
    known = {
        name: replace(one, versions=Versions(*runs.get(name, ("", ""))), applied="x" if name in runs else "")
        for name, one in known.items()
    }
    rules = offering(lists)
    after = replace(found, specs=replace(found.specs, clusters={**found.specs.clusters, **_one(written)}))
    rollout = admit(after, before, known, rules=rules)
    for name, content in rollout.admitted.items():
        running = fleet.all_running(known, before, rules).get(name, Versions())
        chosen = engine.choose(content.specs.clusters[name].cluster, rules, running)
        assert chosen.held is None or name in rollout.held
        try:
            resolve.bundle(name, content, rules, FACTS, running)
        except NidusError:
            assert name in rollout.held


def _one(written: tuple[str, str]) -> dict[str, Any]:
    return dict(wanting(written).specs.clusters)


SPANS = st.sampled_from(["1.2.x", "*", "", "^1", "rubbish", "1.2.3-rc.1", ">=1 <2", "9" * 200])
PROFILE_VERSIONS = st.lists(st.sampled_from(["1.2.0", "1.3.0", "2.0.0-rc.1", "rubbish", ""]), unique=True)


@given(SPANS, PROFILE_VERSIONS, SPANS, PROFILE_VERSIONS, st.booleans(), st.text(max_size=80))
def test_odd_profiles_and_approvals_never_raise(
    old: str, had: list[str], new: str, has: list[str], descends: bool, consent: str
) -> None:
    def tree(span: str, there: list[str]) -> list[Any]:
        return [replace(uses("a", span), digest=span), *(profile("web", version, version) for version in there)]

    found = snapshot(*tree(new, has), descends=descends, trailers=(("Nidus-Approve", consent),))
    digests = {f"profile/web@{version}": "other" for version in had} | {
        "rubbish": "x",
        "profile/": "",
        "profile/x@": "",
    }
    known = {"a": record("a", digests=digests)}
    rollout = admit(found, accepted(*tree(old, had)), known, (approve(consent, (consent,)),))
    assert "a" in rollout.admitted or "a" in rollout.held
