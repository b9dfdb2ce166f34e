"""The registry: what a revision changes, what is enforced without Git, and when deletions are permitted (AD3, S4,
S8)."""

import pytest

from reconciler import fleet
from reconciler.assignment import Assignment, Outcome, Unresolved
from reconciler.controller import briefs
from reconciler.controller.registry import Registry, Wakes
from reconciler.errors import Retry
from reconciler.inventory.store import State
from reconciler.memory import Memory
from reconciler.model import (
    Change,
    Consent,
    Destructive,
    ObjectRef,
    Permit,
    Record,
    Revision,
    Snapshot,
    Target,
    replace,
)
from reconciler.plan import consent
from reconciler.spec import resolve
from tests.spec_cases import CLUSTER, FACTS, FILES, RULES, snapshot

REVISION = Revision("main", "c")
SECOND = CLUSTER.replace("team-a", "team-b")


def read(files: dict[str, str] = FILES) -> Snapshot:
    return snapshot(files)[0]


def taken(registry: Registry, name: str) -> Assignment | Unresolved | None:
    return registry.take(name, 1.0, "nonce")


def ask(registry: Registry, wanted: Destructive, now: float) -> tuple[Permit, tuple[str, ...]]:
    given = taken(registry, wanted.cluster)
    assert isinstance(given, Assignment)
    return registry.permit(given, wanted, now)


def end(registry: Registry, name: str, word: str, *, over: bool = False) -> Wakes:
    """The end of a pass that came to this word."""
    given = taken(registry, name)
    assert given is not None
    report = replace(briefs.failed(name, REVISION, Retry("x")), word=word)
    return registry.finish(given, Outcome(report, None, over=over))


def accepted(found: Snapshot, name: str = "team-a") -> State:
    """The state a pass leaves behind."""
    content = found.content
    bundle = resolve.bundle(name, content, RULES, FACTS)
    path = content.specs.clusters[name].path
    digests = resolve.digests(name, content)
    return State(Record("platform", name, "local", path, "main", "c", digests, "n", 1.0, bundle=bundle.digest))


def test_a_revision_changes_what_it_says_and_no_more() -> None:
    registry = Registry(RULES, FACTS, {})
    files = {**FILES, "clusters/team-b.yaml": SECOND}
    assert registry.revise(read(files), 1.0)[1] == ["team-a", "team-b"]
    assert registry.revise(read(files), 2.0)[1] == []
    changed = {**files, "clusters/team-b.yaml": SECOND.replace("pods: 5", "pods: 6")}
    assert registry.revise(read(changed), 3.0)[1] == ["team-b"]
    assert registry.names() == ["team-a", "team-b"]
    assert registry.names("other") == []


def test_a_broken_file_keeps_its_bundle_and_says_so() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read(), 1.0)
    registry.keep(accepted(read()))
    before = taken(registry, "team-a")
    broken = {**FILES, "clusters/team-a.yaml": CLUSTER.replace("profiles:", "porfiles:")}
    assert registry.revise(read(broken), 2.0)[1] == ["team-a"]
    after = taken(registry, "team-a")
    assert isinstance(before, Assignment) and isinstance(after, Assignment)
    assert after.bundle.digest == before.bundle.digest
    assert after.invalid.startswith("clusters/team-a.yaml:6:3: NID122")


def test_without_git_what_was_accepted_stands() -> None:
    found = read()
    state = accepted(found)
    lost = State(replace(state.record, cluster="lost"))
    leaving = State(replace(state.record, cluster="leaving", tombstone=None, source="other"))
    registry = Registry(RULES, FACTS, {"team-a": state, "lost": lost, "leaving": leaving})
    registry.remember({"team-a": found.content})
    assert registry.stand("platform") == ["lost", "team-a"]
    assert registry.stand("platform") == []
    stands, unread = taken(registry, "team-a"), taken(registry, "lost")
    assert isinstance(stands, Assignment) and stands.bundle.digest == state.record.bundle
    assert isinstance(unread, Unresolved) and unread.held == fleet.UNREADABLE
    assert taken(registry, "leaving") is None
    assert registry.revise(found, 2.0)[1] == ["lost"]  # once Git is back, what is missing from it is judged


def doomed(registry: Registry, name: str, count: int) -> Destructive:
    refs = [ObjectRef("", "ConfigMap", "web", f"{name}-{n}") for n in range(count)]
    changes = [Change("delete", Target("local", name), ref, "web", uid=f"u{ref.name}") for ref in refs]
    found: Consent = consent.of(changes)
    return Destructive(name, found, tuple(refs), 100)


def test_deletions_wait_until_every_cluster_of_the_revision_has_reported() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read({**FILES, "clusters/team-b.yaml": SECOND}), 1.0)
    wanted = doomed(registry, "team-a", 1)
    permit, others = ask(registry, wanted, 2.0)
    assert wanted.consent.digest not in permit.released and others == ()
    permit, others = ask(registry, doomed(registry, "team-b", 0), 3.0)
    assert others == ("team-a",)
    assert wanted.consent.digest in ask(registry, wanted, 4.0)[0].released


def test_a_cluster_that_cannot_report_blocks_nobody() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read({**FILES, "clusters/team-b.yaml": SECOND}), 1.0)
    wanted = doomed(registry, "team-a", 1)
    ask(registry, wanted, 2.0)
    assert end(registry, "team-b", "Degraded").clusters == ("team-a",)
    assert wanted.consent.digest in ask(registry, wanted, 3.0)[0].released


def test_more_than_the_budget_is_held() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read(), 1.0)
    wanted = doomed(registry, "team-a", 50)
    permit, _ = ask(registry, wanted, 2.0)
    assert wanted.consent.digest not in permit.released
    assert permit.held


def test_the_last_cluster_to_become_ready_completes_the_revision_once() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read({**FILES, "clusters/team-b.yaml": SECOND}), 1.0)
    told = [end(registry, name, "Ready").complete for name in ("team-a", "team-a", "team-b", "team-b")]
    assert told == ["", "", "platform", ""]


def test_a_cluster_that_is_over_leaves_nothing() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read(), 1.0)
    registry.keep(accepted(read()))
    assert end(registry, "team-a", "Deleting", over=True).gone
    assert registry.names() == [] and taken(registry, "team-a") is None and registry.records() == {}
    assert registry.accepted("platform") == {}


def test_a_cluster_that_came_back_while_it_was_removed_is_begun_anew() -> None:
    registry = Registry(RULES, FACTS, {})
    both = {**FILES, "clusters/team-b.yaml": SECOND}
    registry.revise(read(both), 1.0)
    registry.keep(accepted(read(both)))
    registry.revise(read({name: text for name, text in both.items() if name != "clusters/team-a.yaml"}), 2.0)
    removal = taken(registry, "team-a")
    assert isinstance(removal, Assignment) and removal.bundle.tombstone
    registry.revise(read(both), 3.0)
    wakes = registry.finish(removal, Outcome(briefs.failed("team-a", REVISION, Retry("x")), None, over=True))
    assert not wakes.gone and registry.records() == {}
    again = taken(registry, "team-a")
    assert isinstance(again, Assignment) and again.bundle.tombstone is None and again.stored is None


def test_what_a_pass_remembered_of_another_bundle_is_not_kept() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read(), 1.0)
    given = taken(registry, "team-a")
    assert isinstance(given, Assignment)
    outcome = Outcome(briefs.failed("team-a", REVISION, Retry("x")), None, Memory(since={"engine": 1.0}))
    registry.finish(given, outcome)
    known = taken(registry, "team-a")
    assert isinstance(known, Assignment) and known.memory.since == {"engine": 1.0}
    registry.revise(read({**FILES, "clusters/team-a.yaml": CLUSTER.replace("pods: 5", "pods: 6")}), 2.0)
    registry.finish(known, outcome)
    other = taken(registry, "team-a")
    assert isinstance(other, Assignment) and other.memory == Memory() and other.epoch == known.epoch + 1


def both(*, without: str = "") -> dict[str, str]:
    files = {**FILES, "clusters/team-b.yaml": SECOND}
    return {name: text for name, text in files.items() if name != f"clusters/{without}.yaml"}


def at(commit: str, files: dict[str, str]) -> Snapshot:
    return replace(read(files), revision=Revision("main", commit))


def test_a_pass_that_a_commit_overtook_is_permitted_nothing_and_reports_nothing() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(at("1", both()), 1.0)
    stale = taken(registry, "team-b")
    assert isinstance(stale, Assignment)
    changed = {**both(), "clusters/team-b.yaml": SECOND.replace("pods: 5", "pods: 6")}
    changed["clusters/team-a.yaml"] = CLUSTER.replace("pods: 5", "pods: 6")
    registry.revise(at("2", changed), 2.0)
    wanted = doomed(registry, "team-a", 1)
    assert registry.permit(stale, doomed(registry, "team-b", 1), 3.0) == (Permit(), ())
    assert registry.finish(stale, Outcome(briefs.failed("team-b", REVISION, Retry("x")), None)) == Wakes()
    assert wanted.consent.digest not in ask(registry, wanted, 4.0)[0].released  # team-b has not reported yet
    ask(registry, doomed(registry, "team-b", 0), 5.0)
    assert wanted.consent.digest in ask(registry, wanted, 6.0)[0].released


def test_a_removal_that_was_overtaken_deletes_nothing() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(at("1", both()), 1.0)
    registry.keep(accepted(read(both())))
    registry.revise(at("2", both(without="team-a")), 2.0)
    removal = taken(registry, "team-a")
    assert isinstance(removal, Assignment) and removal.bundle.tombstone
    wanted = doomed(registry, "team-a", 3)
    assert wanted.consent.digest in registry.permit(removal, wanted, 3.0)[0].released
    registry.revise(at("3", both()), 4.0)
    assert registry.permit(removal, wanted, 5.0) == (Permit(), ())


@pytest.mark.parametrize("commit", ["1", "2"])
def test_what_one_commit_holds_together_stays_held_when_nothing_of_it_changes(commit: str) -> None:
    """The same commit admitted once more, or a later one that changes no cluster."""
    registry = Registry(RULES, FACTS, {})
    registry.revise(at("1", both()), 1.0)
    much, little = doomed(registry, "team-a", 50), doomed(registry, "team-b", 1)
    ask(registry, much, 2.0)
    assert little.consent.digest not in ask(registry, little, 3.0)[0].released
    registry.revise(at(commit, both()), 4.0)
    permit, _ = ask(registry, little, 5.0)
    assert little.consent.digest not in permit.released
    assert permit.held[little.consent.digest].reason == "HeldTogether"


def test_a_later_commit_is_not_held_by_what_an_earlier_one_holds() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(at("1", both()), 1.0)
    ask(registry, doomed(registry, "team-a", 50), 2.0)
    ask(registry, doomed(registry, "team-b", 0), 3.0)
    registry.revise(at("2", {**both(), "clusters/team-b.yaml": SECOND.replace("pods: 5", "pods: 6")}), 4.0)
    little = doomed(registry, "team-b", 1)
    assert little.consent.digest in ask(registry, little, 5.0)[0].released


def test_an_approval_in_a_later_commit_releases_what_an_earlier_one_holds() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(at("1", both()), 1.0)
    much = doomed(registry, "team-a", 50)
    ask(registry, much, 2.0)
    ask(registry, doomed(registry, "team-b", 0), 3.0)
    approval = replace(at("2", both()), trailers=(("Nidus-Approve", much.consent.digest),))
    assert "team-a" in registry.revise(approval, 4.0)[1]
    assert much.consent.digest in ask(registry, much, 5.0)[0].released


def test_the_marks_of_a_new_cluster_are_the_same_until_its_record_is_stored() -> None:
    registry = Registry(RULES, FACTS, {})
    registry.revise(read(), 1.0)
    first, second = registry.take("team-a", 1.0, "one"), registry.take("team-a", 2.0, "two")
    assert isinstance(first, Assignment) and isinstance(second, Assignment)
    assert (first.state.record.nonce, first.state.record.born) == ("one", 1.0)
    assert (second.state.record.nonce, second.state.record.born) == ("one", 1.0)


def test_what_is_read_again_never_replaces_what_was_admitted_since() -> None:
    registry = Registry(RULES, FACTS, {})
    old, new = read(), read({**FILES, "clusters/team-a.yaml": CLUSTER.replace("pods: 5", "pods: 6")})
    registry.revise(new, 1.0)
    registry.remember({"team-a": old.content})
    assert registry.accepted("platform")["team-a"].specs is new.specs
    assert registry.revise(old, 2.0)[1] == ["team-a"]
    given = taken(registry, "team-a")
    assert (
        isinstance(given, Assignment)
        and given.bundle.digest == resolve.bundle("team-a", old.content, RULES, FACTS).digest
    )
