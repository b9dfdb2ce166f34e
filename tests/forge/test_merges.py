"""From a plan to its merge: what was shown and approved goes on, everything else is held as without a review."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.assignment import Assignment
from reconciler.model import Consent, Destructive, ObjectRef, replace
from tests.forge.scene import Scene
from tests.passes import RULES, cluster, config_map, pack, profile

MANY = [config_map(name) for name in ("one", "two", "three", "four", "five", "six", "seven", "eight")]
FILES = {"a.yaml": cluster("a"), "b.yaml": cluster("b", profiles=[]), "web.yaml": profile(pack("base", *MANY))}
LESS = {"web.yaml": profile(pack("base", MANY[0]))}
HOWS = [
    *(("github", how) for how in ("merge", "squash", "rebase", "forward")),
    *(("gitlab", how) for how in ("merge", "forward")),  # which has no commit of its own there
    ("gitea", "merge"),
]


@pytest.fixture(params=["github"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES, request.param)
    yield made
    made.close()


def planned(scene: Scene, files: dict[str, str] = LESS, **more: str) -> int:
    """A change request whose plan is shown, as the forge says."""
    number = scene.open(files, **more)
    scene.look()
    scene.look()
    return number


def settled(scene: Scene) -> None:
    """The loop looks after a merge, and the passes that this wakes."""
    scene.look()
    scene.fleet.look()
    scene.fleet.run()


def gone(scene: Scene) -> bool:
    return "eight" not in scene.fleet.names("a")


def held(scene: Scene) -> str:
    found = scene.fleet.reporter.clusters["a"].held
    return f"{found.reason} {found.message}" if found else ""


@pytest.mark.parametrize(("scene", "how"), HOWS, indirect=["scene"])
def test_what_was_shown_and_approved_goes_on(scene: Scene, how: str) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, how)
    assert not gone(scene) and held(scene)  # nothing waits for the forge, and nothing is taken for granted
    settled(scene)
    assert gone(scene) and scene.fleet.word("a") == "Ready"


def test_a_merge_that_is_seen_before_the_branch_is_read_goes_on_too(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    scene.look()
    scene.admit()
    assert not gone(scene)
    settled(scene)
    assert gone(scene)


def test_a_removal_that_was_shown_and_approved_goes_on(scene: Scene) -> None:
    number = scene.open({}, gone=("a.yaml", "b.yaml"))
    scene.look()
    scene.look()
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    assert {one.reason for one in scene.fleet.held.values()} == {"RemovalBudget"}
    settled(scene)
    assert scene.fleet.held == {}


# What is no review


def never(scene: Scene) -> None:
    settled(scene)
    settled(scene)
    assert not gone(scene) and held(scene).startswith("ObjectBudget 7 held")


def test_merged_by_its_author_alone_is_held(scene: Scene) -> None:
    number = planned(scene)
    scene.merge(number)
    never(scene)


def test_an_approval_of_its_author_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "ada")
    scene.merge(number)
    never(scene)


def test_an_approval_of_somebody_who_may_not_write_is_none(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    number = planned(scene)
    scene.forge.state.review(number, "eve")
    scene.merge(number)
    never(scene)


def test_an_approval_that_was_taken_back_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.forge.state.review(number, "bob", "CHANGES_REQUESTED")
    scene.merge(number)
    never(scene)


@pytest.mark.parametrize("scene", ["github", "gitlab", "gitea"], indirect=True)
def test_an_approval_before_the_last_push_is_none(scene: Scene) -> None:
    number = planned(scene, {"README.md": "words"})
    scene.forge.state.review(number, "bob")
    scene.push(number, LESS)
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


@pytest.mark.parametrize("scene", ["github", "gitlab", "gitea"], indirect=True)
def test_an_approval_before_a_push_that_leaves_the_comment_as_it_is_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.push(number, {"README.md": "words"})
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


def test_an_approval_before_the_plan_was_shown_is_none(scene: Scene) -> None:
    number = scene.open(LESS)
    scene.forge.state.review(number, "bob")
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


def test_an_approval_of_another_consent_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    nested = scene.fleet.nested["a"]
    nested.delete("", "ConfigMap", "web", "eight")
    scene.fleet.queue.add("a")
    scene.fleet.run()  # it is made again, and is another object
    scene.changes.moved("a")
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


def test_a_comment_edited_by_hand_shows_nothing(scene: Scene) -> None:
    number = planned(scene)
    (note,) = [one for one in scene.forge.state.notes[number] if one.author == scene.forge.state.bot]
    note.body, note.edited = note.body.replace("seven", "none"), scene.forge.state.touch(number)
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    never(scene)


def test_a_merge_of_something_else_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.work.commit({"more.md": "words"})  # the branch moved, and nobody saw the plan on it
    scene.merge(number)
    never(scene)


def test_the_same_tree_after_a_revert_is_a_new_question(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    assert gone(scene)
    scene.commit({"web.yaml": FILES["web.yaml"]})
    settled(scene)
    assert not gone(scene) and scene.fleet.word("a") == "Ready"
    scene.commit(LESS)
    settled(scene)
    settled(scene)
    assert not gone(scene) and held(scene).startswith("PlanChanged ") and "#1 did not show" in held(scene)


def test_a_removal_after_a_revert_is_a_new_question(scene: Scene) -> None:
    """Its object of consent is the same as before, so nothing but the merge itself may tell them apart."""
    scene.fleet.registry.govern(replace(RULES, grace=86400.0))
    number = scene.open({}, gone=("a.yaml", "b.yaml"))
    scene.look()
    scene.look()
    scene.forge.state.review(number, "bob")
    merged = scene.merge(number)
    settled(scene)
    assert scene.fleet.held == {}
    scene.commit({name: FILES[name] for name in ("a.yaml", "b.yaml")})
    scene.commit({}, gone=("a.yaml", "b.yaml"))
    settled(scene)
    assert {one.reason for one in scene.fleet.held.values()} == {"RemovalBudget"}
    scene.work.git("reset", "-q", "--hard", "HEAD~1")
    scene.admit()
    scene.work.git("reset", "-q", "--hard", merged)  # a forced push back to the very commit
    scene.admit()
    settled(scene)
    assert {one.reason for one in scene.fleet.held.values()} == {"RemovalBudget"}


# What differs from what was shown


def test_what_nobody_was_shown_is_held_even_within_the_budget(scene: Scene) -> None:
    more = {"web.yaml": profile(pack("base", *MANY[:-1]))}
    number = planned(scene, more)
    nested = scene.fleet.nested["a"]
    nested.delete("", "ConfigMap", "web", "eight")
    scene.fleet.queue.add("a")
    scene.fleet.run()
    scene.merge(number)
    assert not gone(scene) and held(scene).startswith("PlanChanged ") and "#1 did not show" in held(scene)


def test_what_was_shown_is_within_the_budget_and_goes_on_without_the_forge(scene: Scene) -> None:
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
    scene.forge.fail(500)
    scene.merge(number)
    assert gone(scene)


# policy.unreviewed: Hold


def test_without_a_review_nothing_is_destroyed_where_the_policy_says_so(tmp_path: Path) -> None:
    scene = Scene(tmp_path, FILES)
    try:
        scene.fleet.rules = replace(RULES, unreviewed="Hold")
        scene.fleet.registry.govern(scene.fleet.rules)
        scene.commit({"web.yaml": profile(pack("base", *MANY[:-1]))})
        assert not gone(scene) and held(scene).startswith("Unreviewed 1 held")
        scene.commit({"web.yaml": FILES["web.yaml"]})
        number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
        scene.forge.state.review(number, "bob")
        scene.merge(number)
        assert not gone(scene)
        settled(scene)
        assert gone(scene)
        scene.commit({}, gone=("b.yaml",))
        assert scene.fleet.held["b"].reason == "Unreviewed"
        scene.fleet.ask("approve", consent=scene.fleet.held["b"].consent)
        scene.fleet.run()
        assert scene.fleet.held == {}
    finally:
        scene.close()


# After the merge


def test_a_merge_that_is_held_says_so_until_it_is_approved_and_ready(scene: Scene) -> None:
    number = planned(scene)
    commit = scene.merge(number)
    settled(scene)
    assert len(scene.synced(commit)) == 1 and scene.synced(commit)[0].startswith("failure: a is Held")
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None
    scene.fleet.ask("approve", "a", consent=found.consent)
    scene.fleet.run()
    scene.look()
    assert scene.synced(commit)[-1] == "success: Every cluster that it changed is Ready"
    scene.wrote()
    scene.look()
    assert scene.wrote() == []


def test_a_cluster_that_was_ready_is_not_measured_by_the_review_any_more(scene: Scene) -> None:
    """What another reason destroys later, such as a new engine, is no deviation from a plan of last month."""
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
    commit = scene.merge(number)
    assert scene.fleet.word("a") == "Ready" and scene.fleet.registry.unready("platform", commit) == ()
    consent = Consent(("local/a ConfigMap/web/other u1 delete",), "d1")
    given = scene.fleet.registry.take("a", 0.0, "")
    assert isinstance(given, Assignment)
    wanted = Destructive("a", consent, (ObjectRef("", "ConfigMap", "web", "other"),), 30)
    assert scene.fleet.registry.permit(given, wanted, 0.0)[0].released == {"d1"}
