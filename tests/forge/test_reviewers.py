"""`policy.reviewers`: how many people have to approve, by the files that change; told in the comment, and asked for at the merge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import fleet
from reconciler.model import ReviewerRule, replace
from tests.forge.scene import Scene
from tests.forge.test_commands import asked, shown
from tests.forge.test_merges import FILES, LESS, gone, held, planned, settled
from tests.passes import RULES, cluster, config_map, pack, profile

TWO = replace(RULES, reviewers=(ReviewerRule(paths=("web.yaml", "prod/**"), approvals=2),))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES)
    made.fleet.rules = TWO
    made.fleet.registry.govern(TWO)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("paths", "destroys", "needed"),
    [
        (["a.yaml"], False, 0),
        (["a.yaml"], True, 1),
        (["prod/a.yaml"], False, 2),
        (["a.yaml", "prod/eu/b.yaml"], True, 2),
        (["prod"], True, 1),
        (["secret.yaml", "prod/a.yaml"], False, 3),
        (["prod/a\nb.yaml"], False, 2),
        ([], False, 0),
    ],
)
def test_the_largest_rule_that_fits_counts(paths: list[str], destroys: bool, needed: int) -> None:
    rules = [ReviewerRule(paths=("prod/**", "web.yaml"), approvals=2), ReviewerRule(paths=("s*.yaml",), approvals=3)]
    assert fleet.approvals(rules, paths, destroys=destroys) == needed


def test_missing_approvals_are_told(scene: Scene) -> None:
    number = planned(scene)
    assert "| approvals | 0 of 2; 2 missing |" in scene.ours(number)
    assert "each of 2 people who may write" in scene.ours(number)
    scene.forge.state.review(number, "bob")
    scene.look()
    assert "| approvals | 1 of 2, by `bob`; 1 missing |" in scene.ours(number)
    scene.forge.state.review(number, "cleo")
    scene.look()
    assert "| approvals | 2 of 2, by `bob`, `cleo` |" in scene.ours(number)
    scene.look()  # our own comment moved it
    scene.wrote()
    scene.look()
    assert scene.wrote() == []
    scene.restart()
    scene.admit()
    scene.look()
    assert [one for one in scene.wrote() if "comments" in one] == []
    scene.push(number, {"more.md": "words"})
    scene.look()
    assert "| approvals | 0 of 2; 2 missing |" in scene.ours(number)


def test_two_have_to_approve_where_a_rule_says_so(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.forge.state.review(number, "ada")  # its author
    scene.merge(number)
    settled(scene)
    assert not gone(scene) and held(scene).startswith("ObjectBudget")


def test_two_approvals_let_it_go_on(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.forge.state.review(number, "cleo")
    scene.merge(number)
    settled(scene)
    assert gone(scene) and scene.fleet.word("a") == "Ready"


def test_an_approval_and_its_comment_by_one_person_are_one(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    scene.look()
    assert asked(scene) == []
    scene.forge.state.say(number, "cleo", f"/nidus approve {shown(scene)}")
    scene.look()
    assert [who for who, _ in asked(scene)] == ["github:cleo"]
    scene.merge(number)
    settled(scene)
    assert gone(scene)


def test_a_merge_is_measured_by_the_rules_of_its_plan_after_a_restart_too(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    scene.restart()
    scene.admit()
    settled(scene)
    assert not gone(scene)


def test_what_no_rule_names_is_asked_of_one(scene: Scene) -> None:
    number = scene.open({}, gone=("b.yaml",))
    scene.look()
    assert "| approvals | 0 of 1; 1 missing |" in scene.ours(number)
    more = scene.open({"c.yaml": cluster("c", profiles=[])})
    scene.look()
    assert "approvals" not in scene.ours(more)
    told = scene.open({"web.yaml": profile(pack("base", *[config_map(f"m{n}") for n in range(9)]), *[])}, name="x")
    scene.look()
    assert "of 2; 2 missing" in scene.ours(told)


def test_other_rules_are_told_at_once(scene: Scene) -> None:
    number = planned(scene, LESS)
    scene.fleet.registry.govern(RULES)
    scene.look()
    assert "| approvals | 0 of 1; 1 missing |" in scene.ours(number)
