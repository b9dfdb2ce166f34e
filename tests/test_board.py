"""The board: what a revision changes, what stands without Git, and who may destroy when (AD3, S4, S8)."""

from dataclasses import replace

from reconciler import fleet
from reconciler.controller.board import Board
from reconciler.inventory.store import State
from reconciler.model import Change, Consent, Destructive, ObjectRef, Record, Snapshot, Target
from reconciler.plan import consent
from reconciler.spec import resolve
from tests.spec_cases import CLUSTER, FILES, POLICY, snapshot

SECOND = CLUSTER.replace("team-a", "team-b")


def read(files: dict[str, str] = FILES) -> Snapshot:
    return snapshot(files)[0]


def accepted(found: Snapshot, name: str = "team-a") -> State:
    """The state a pass leaves behind."""
    content = found.content
    bundle = resolve.bundle(name, content, POLICY)
    path = content.specs.clusters[name].path
    digests = resolve.digests(name, content)
    return State(Record("platform", name, "local", path, "main", "c", digests, "n", 1.0, bundle=bundle.digest))


def test_a_revision_changes_what_it_says_and_no_more() -> None:
    board = Board(POLICY, {})
    files = {**FILES, "clusters/team-b.yaml": SECOND}
    assert board.revise(read(files), 1.0)[1] == ["team-a", "team-b"]
    assert board.revise(read(files), 2.0)[1] == []
    changed = {**files, "clusters/team-b.yaml": SECOND.replace("pods: 5", "pods: 6")}
    assert board.revise(read(changed), 3.0)[1] == ["team-b"]
    assert board.names() == ["team-a", "team-b"]
    assert board.names("other") == []


def test_a_broken_file_keeps_its_bundle_and_says_so() -> None:
    board = Board(POLICY, {})
    board.revise(read(), 1.0)
    board.keep(accepted(read()))
    before = board.slot("team-a")
    broken = {**FILES, "clusters/team-a.yaml": CLUSTER.replace("profiles:", "porfiles:")}
    assert board.revise(read(broken), 2.0)[1] == ["team-a"]
    after = board.slot("team-a")
    assert before and after and before[0].bundle and after[0].bundle
    assert after[0].bundle.digest == before[0].bundle.digest
    assert after[0].invalid.startswith("clusters/team-a.yaml:6:3: NID122")


def test_without_git_what_was_accepted_stands() -> None:
    found = read()
    state = accepted(found)
    lost = State(replace(state.record, cluster="lost"))
    leaving = State(replace(state.record, cluster="leaving", tombstone=None, source="other"))
    board = Board(POLICY, {"team-a": state, "lost": lost, "leaving": leaving})
    board.remember({"team-a": found.content})
    assert board.stand("platform") == ["lost", "team-a"]
    assert board.stand("platform") == []
    stands, unread = board.slot("team-a"), board.slot("lost")
    assert stands and stands[0].bundle and stands[0].bundle.digest == state.record.bundle
    assert unread and unread[0].bundle is None and unread[0].held == fleet.UNREADABLE
    assert board.slot("leaving") is None
    assert board.revise(found, 2.0)[1] == ["lost"]  # once Git is back, what is missing from it is judged


def doomed(board: Board, name: str, count: int) -> Destructive:
    refs = [ObjectRef("", "ConfigMap", "web", f"{name}-{n}") for n in range(count)]
    changes = [Change("delete", Target("local", name), ref, "web", uid=f"u{ref.name}") for ref in refs]
    found: Consent = consent.of(changes)
    return Destructive(name, found, tuple(refs), 100)


def test_deletions_wait_until_every_cluster_of_the_revision_has_reported() -> None:
    board = Board(POLICY, {})
    board.revise(read({**FILES, "clusters/team-b.yaml": SECOND}), 1.0)
    wanted = doomed(board, "team-a", 1)
    permit, others = board.ask(wanted, 2.0)
    assert wanted.consent.digest not in permit.released and others == []
    permit, others = board.ask(doomed(board, "team-b", 0), 3.0)
    assert others == ["team-a"]
    assert wanted.consent.digest in board.ask(wanted, 4.0)[0].released


def test_a_cluster_that_cannot_report_blocks_nobody() -> None:
    board = Board(POLICY, {})
    board.revise(read({**FILES, "clusters/team-b.yaml": SECOND}), 1.0)
    wanted = doomed(board, "team-a", 1)
    board.ask(wanted, 2.0)
    assert board.excuse("team-b") == ["team-a"]
    assert wanted.consent.digest in board.ask(wanted, 3.0)[0].released


def test_more_than_the_budget_is_held() -> None:
    board = Board(POLICY, {})
    board.revise(read(), 1.0)
    wanted = doomed(board, "team-a", 50)
    permit, _ = board.ask(wanted, 2.0)
    assert wanted.consent.digest not in permit.released
    assert permit.held


def test_the_last_cluster_to_become_ready_completes_the_revision_once() -> None:
    board = Board(POLICY, {})
    board.revise(read({**FILES, "clusters/team-b.yaml": SECOND}), 1.0)
    assert [board.ready(name) for name in ("team-a", "team-a", "team-b", "team-b")] == [False, False, True, False]


def test_a_cluster_that_is_over_leaves_nothing() -> None:
    board = Board(POLICY, {})
    board.revise(read(), 1.0)
    board.keep(accepted(read()))
    board.drop("team-a")
    assert board.names() == [] and board.slot("team-a") is None and board.records() == {}
