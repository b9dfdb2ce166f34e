"""An approval on a forge counts by who brought what it is used for, asked where it is used: bob destroys, and nobody else approves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.model import Budget, ReviewerRule, replace
from tests.forge.scene import Scene
from tests.forge.test_commands import asked
from tests.forge.test_consent import EXTRA, FILES, waits
from tests.forge.test_merges import LESS, MANY, gone, planned, settled
from tests.passes import cluster, pack, profile

BROKEN = {"web.yaml": LESS["web.yaml"].replace('"spec":{', '"spec":{"nonsense":1,', 1)}
TWICE = {"dup.yaml": cluster("a"), **LESS}  # the cluster is named twice: invalid


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES)
    yield made
    made.close()


def says(scene: Scene, number: int, who: str = "bob") -> None:
    """Somebody approves what our comment on an open change request shows, by a comment."""
    (one,) = [one for one in scene.changes.open() if one.change.number == number]
    assert one.planned is not None
    scene.forge.state.say(number, who, f"/nidus approve {one.planned.consent.digest}")
    scene.look()


def approved(scene: Scene, number: int, by: str) -> None:
    """bob approves an open change request."""
    if by == "review":
        scene.forge.state.review(number, "bob")
    else:
        says(scene, number)


def stays(scene: Scene) -> None:
    """Nothing goes by bob's word on the forge; an operator's counts."""
    settled(scene)
    settled(scene)
    scene.fleet.ask("approve", "a", waits(scene))
    scene.fleet.run()
    assert gone(scene)


def mended(scene: Scene, files: dict[str, str], **more: Any) -> None:
    """ada's change of these files is planned, approved by bob, and merged."""
    number = planned(scene, files, author="ada", **more)
    scene.forge.state.review(number, "bob")
    scene.merge(number)


# What is not admitted is brought all the same


@pytest.mark.parametrize("how", ["push", "change", "restarted"])
@pytest.mark.parametrize("by", ["review", "comment"])
def test_what_came_in_a_broken_file_is_not_of_who_mends_it(scene: Scene, how: str, by: str) -> None:
    if how == "change":
        scene.merge(planned(scene, BROKEN, author="bob"))
    else:
        scene.commit(BROKEN)
    settled(scene)
    if how == "restarted":
        scene.restart()
        scene.admit()
        settled(scene)
    number = planned(scene, LESS, author="ada")
    approved(scene, number, by)
    scene.merge(number)
    stays(scene)


def test_nor_what_came_with_a_second_file_of_the_same_name(scene: Scene) -> None:
    scene.commit(TWICE)
    settled(scene)
    mended(scene, {}, gone=("dup.yaml",))
    stays(scene)


@pytest.mark.parametrize("broken", ['"spec":{"nonsense":1,', '"spec":{{'])
def test_nor_what_came_as_another_version_that_could_not_be_read(scene: Scene, broken: str) -> None:
    """The cluster itself has no mistake then, and stays as it is."""
    newer = profile(pack("base", MANY[0]), version="1.1.0")
    scene.commit({"newer.yaml": newer.replace('"spec":{', broken, 1)})
    settled(scene)
    mended(scene, {"newer.yaml": newer})
    stays(scene)


@pytest.mark.parametrize("how", ["push", "change"])
def test_nor_what_was_held_without_a_question(scene: Scene, how: str) -> None:
    """A version in use with other content is held; who publishes it as a new version did not bring it alone."""
    scene.fleet.rules = replace(scene.fleet.rules, profile_versions="Immutable")
    scene.fleet.registry.govern(scene.fleet.rules)
    if how == "change":
        scene.merge(planned(scene, LESS, author="bob"))
    else:
        scene.commit(LESS)
    settled(scene)
    mended(scene, {"web.yaml": profile(pack("base", MANY[0]), version="1.1.0")})
    stays(scene)


def test_somebody_else_approves_what_came_in_a_broken_file_by_changes(scene: Scene) -> None:
    scene.merge(planned(scene, BROKEN, author="bob"))
    settled(scene)
    number = planned(scene, LESS, author="ada")
    scene.forge.state.review(number, "carl")
    scene.merge(number)
    settled(scene)
    assert gone(scene)


def test_what_two_have_to_approve_takes_two_where_another_file_is_mended(scene: Scene) -> None:
    rules = replace(scene.fleet.rules, reviewers=(ReviewerRule(paths=("web.yaml",), approvals=2),))
    scene.fleet.registry.govern(rules)
    scene.merge(planned(scene, TWICE, author="bob"))
    settled(scene)
    number = planned(scene, {}, gone=("dup.yaml",), author="ada")
    scene.forge.state.review(number, "carl")
    scene.merge(number)
    stays(scene)


# Asked where it is used


@pytest.mark.parametrize("how", ["push", "change"])
@pytest.mark.parametrize("by", ["review", "comment"])
def test_what_the_source_has_not_read_yet_is_not_of_who_merges_on_it(scene: Scene, how: str, by: str) -> None:
    if how == "push":
        scene.work.commit(LESS)
    else:
        scene.merge(planned(scene, LESS, author="bob"), admitted=False)
        scene.look()
    number = planned(scene, EXTRA, author="ada")
    approved(scene, number, by)
    scene.merge(number, admitted=False)
    scene.look()
    scene.admit()
    stays(scene)


def test_nor_where_that_change_stays_open(scene: Scene) -> None:
    scene.work.commit(LESS)
    says(scene, planned(scene, EXTRA, author="ada"))
    scene.admit()
    stays(scene)


@pytest.mark.parametrize("how", ["push", "change"])
def test_an_approval_of_what_was_withdrawn_is_none_of_what_the_approver_brings(scene: Scene, how: str) -> None:
    number = planned(scene, LESS, author="ada")
    says(scene, number)
    assert len(asked(scene)) == 1
    scene.forge.state.close(number)
    scene.look()
    if how == "push":
        scene.commit(LESS)
    else:
        scene.merge(planned(scene, LESS, author="bob"))
    stays(scene)


def test_an_approval_on_a_change_that_needs_fewer_is_none_of_another(scene: Scene) -> None:
    rules = replace(scene.fleet.rules, reviewers=(ReviewerRule(paths=("web.yaml",), approvals=2),))
    scene.fleet.registry.govern(rules)
    number = planned(scene, {"a.yaml": cluster("a", profiles=[])}, author="ada")
    says(scene, number)
    assert len(asked(scene)) == 1
    scene.forge.state.close(number)
    scene.look()
    scene.merge(planned(scene, LESS, author="ada"))
    stays(scene)


ENDS = [({}, ("a.yaml",)), ({"a.yaml": cluster("a", deletion={"ttl": "1h"})}, ())]
"""What removes a cluster, and what ends it within a day."""


@pytest.fixture
def strict(scene: Scene) -> Scene:
    """No cluster goes without an approval."""
    scene.fleet.rules = replace(scene.fleet.rules, budget=Budget(clusters=0))
    scene.fleet.registry.govern(scene.fleet.rules)
    return scene


@pytest.mark.parametrize(("files", "left"), ENDS)
def test_a_removal_approved_on_a_withdrawn_change_is_none_that_the_approver_brings(
    strict: Scene, files: dict[str, str], left: tuple[str, ...]
) -> None:
    number = planned(strict, files, gone=left, author="ada")
    says(strict, number)
    strict.forge.state.close(number)
    strict.look()
    strict.commit(files, gone=left)
    settled(strict)
    settled(strict)
    assert len(asked(strict)) == 1 and strict.fleet.held["a"].reason == "RemovalBudget"
    strict.fleet.ask("approve", "", strict.fleet.held["a"].consent)
    strict.fleet.admit()
    assert strict.fleet.held == {}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("files", "left"), ENDS)
def test_a_removal_approved_on_the_change_goes_on_once_the_forge_says_it_was_merged(
    strict: Scene, files: dict[str, str], left: tuple[str, ...], restarted: bool
) -> None:
    number = planned(strict, files, gone=left, author="ada")
    says(strict, number)
    strict.merge(number)
    assert set(strict.fleet.held) == {"a"}
    if restarted:
        strict.restart()
        strict.admit()
    settled(strict)
    assert strict.fleet.held == {}


# The forge says what was merged


@pytest.mark.parametrize("withdrawn", [True, False])
def test_the_tree_of_a_change_that_was_not_merged_is_pushed_by_nobody_who_is_known(
    scene: Scene, withdrawn: bool
) -> None:
    number = planned(scene, LESS, author="ada")
    if withdrawn:
        scene.forge.state.close(number)
        scene.look()
    scene.commit(LESS)
    settled(scene)
    number = planned(scene, EXTRA, author="ada")
    scene.merge(number)
    settled(scene)
    scene.forge.state.say(number, "bob", f"/nidus approve {waits(scene)}")
    stays(scene)


def test_an_older_change_with_the_same_tree_takes_nothing_from_the_one_that_is_merged(scene: Scene) -> None:
    """In whatever order they are told: what was approved of the merged one goes on, and the other one's author has no part in it."""
    planned(scene, LESS, author="carl")
    number = planned(scene, LESS, author="ada")
    planned(scene, LESS, author="dora")
    scene.forge.state.review(number, "carl")
    scene.merge(number)
    settled(scene)
    assert gone(scene)


def test_the_tree_of_a_change_that_was_merged_and_taken_back_is_nobodys_when_it_is_pushed_again(scene: Scene) -> None:
    number = planned(scene, LESS, author="ada")
    scene.merge(number)
    settled(scene)
    scene.commit({"web.yaml": FILES["web.yaml"]})
    settled(scene)
    scene.commit(LESS)
    settled(scene)
    assert scene.fleet.registry.brought(("a",)) == {0}
    scene.forge.state.say(number, "bob", f"/nidus approve {waits(scene)}")
    stays(scene)


# A plan that stands while its base moves


MISTAKE = {"a.yaml": FILES["a.yaml"].replace('"spec":{', '"spec":{"nonsense":1,', 1)}
OTHERS = [{f"{name}.yaml": cluster(name, profiles=[])} for name in ("c", "d")]


@pytest.mark.parametrize("pushed", [TWICE, BROKEN], ids=["twice", "broken"])
def test_a_plan_that_stands_is_not_of_what_was_pushed_meanwhile(scene: Scene, pushed: dict[str, str]) -> None:
    """The cluster keeps its bundle there, so the plan stands; the source reads only the merge."""
    number = planned(scene, {"a.yaml": cluster("a", description="x")}, author="ada")
    scene.work.commit(dict(pushed))
    scene.look()
    scene.merge(number, admitted=False)
    scene.look()
    scene.admit()
    settled(scene)
    files, left = ({}, ("dup.yaml",)) if pushed is TWICE else (LESS, ())
    mended(scene, files, gone=left)
    stays(scene)


def test_nor_where_the_cluster_had_a_mistake_before(scene: Scene) -> None:
    scene.merge(planned(scene, MISTAKE, author="ada"))
    settled(scene)
    number = planned(scene, OTHERS[0], author="ada")
    scene.work.commit(dict(LESS))
    scene.look()
    scene.merge(number, admitted=False)
    scene.look()
    scene.admit()
    settled(scene)
    mended(scene, {"a.yaml": FILES["a.yaml"]})
    stays(scene)


def test_changes_that_stand_side_by_side_explain_what_they_bring(scene: Scene) -> None:
    scene.merge(planned(scene, MISTAKE, author="ada"))
    settled(scene)
    numbers = [planned(scene, files, author="ada") for files in OTHERS]
    for number in numbers:
        scene.merge(number)
        settled(scene)
    mends = planned(scene, {"a.yaml": FILES["a.yaml"], **LESS}, author="ada")
    scene.forge.state.review(mends, "bob")
    scene.merge(mends)
    settled(scene)
    assert gone(scene)


def test_a_branch_that_is_forced_back_is_nobodys(scene: Scene) -> None:
    """The commit was merged once, by what the forge says; who forces the branch back brings it now."""
    number = planned(scene, LESS, author="ada")
    says(scene, number)
    commit = scene.merge(number, admitted=False)
    scene.merge(planned(scene, {"web.yaml": FILES["web.yaml"]}, author="ada"))
    settled(scene)
    scene.work.git("reset", "-q", "--hard", commit)
    scene.admit()
    stays(scene)


def test_a_removal_is_approved_on_the_forge_also_after_another_change_brought_a_mistake(strict: Scene) -> None:
    number = planned(strict, {}, gone=("a.yaml",), author="ada")
    strict.merge(number)
    settled(strict)
    wrong = {"c.yaml": OTHERS[0]["c.yaml"].replace('"spec":{', '"spec":{"nonsense":1,', 1)}
    strict.merge(planned(strict, wrong, author="dora"))
    settled(strict)
    assert strict.fleet.held["a"].reason == "RemovalBudget"
    strict.forge.state.say(number, "bob", f"/nidus approve {strict.fleet.held['a'].consent}")
    strict.look()
    settled(strict)
    strict.admit()
    assert set(strict.fleet.held) == {"c"}
