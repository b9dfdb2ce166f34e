"""Nobody approves what is not theirs to approve: another source's deletions, or their own by a way around."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.model import Budget, Limits, ReviewerRule, Revision, replace
from reconciler.spec import load
from tests.forge.scene import Scene
from tests.forge.test_commands import asked
from tests.forge.test_merges import LESS, MANY, gone, held, never, planned, settled
from tests.passes import FACTS, RULES, SOURCE, START, cluster, config_map, pack, profile
from tests.spec_cases import tree

FILES = {"a.yaml": cluster("a"), "b.yaml": cluster("b", profiles=[]), "web.yaml": profile(pack("base", *MANY))}
THEIRS = {"prod.yaml": cluster("prod"), "web.yaml": FILES["web.yaml"]}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES)
    yield made
    made.close()


def pushed(scene: Scene, files: Mapping[str, str], number: int) -> None:
    """A commit of another source is read and admitted."""
    fleet, (whole, blobs) = scene.fleet, tree(files)
    fleet.git.blobs |= blobs
    whole, at = replace(whole, oid=f"o{number}"), Revision("main", f"{number:040x}")
    found, _ = load.load("other", at, whole, dict(blobs), load.NOTHING, fleet.rules, FACTS, Limits())
    for key in fleet.registry.revise(found, START + fleet.now)[1]:
        fleet.queue.add(key)
    fleet.run()


# Of another source


def test_who_writes_to_one_repository_approves_nothing_of_a_cluster_of_another(scene: Scene) -> None:
    """Their change names that cluster too, so that its plan speaks of it."""
    fleet = scene.fleet
    pushed(scene, THEIRS, 1)
    pushed(scene, {**THEIRS, **LESS}, 2)
    theirs = fleet.reporter.clusters["prod"].held
    assert theirs is not None and theirs.reason == "ObjectBudget"
    number = planned(scene, {"prod.yaml": cluster("prod"), "b.yaml": cluster("b")})
    assert "belongs to source other" in scene.ours(number)
    fleet.down.add("b")  # so that the merge is not Ready, and commands on it are followed
    scene.merge(number)
    settled(scene)
    scene.forge.state.say(number, "bob", f"/nidus approve {theirs.consent}")
    settled(scene)
    settled(scene)
    assert asked(scene) == [] and theirs.consent not in scene.ours(number)
    fleet.ask("approve", "", theirs.consent, theirs.items, SOURCE)  # as a comment is stored
    fleet.run()
    assert "eight" in fleet.names("prod")
    fleet.ask("approve", "", theirs.consent, theirs.items, "other")
    fleet.run()
    assert "eight" not in fleet.names("prod")


# By the author's own commits


@pytest.mark.parametrize("how", ["merge", "squash", "forward"])
def test_a_trailer_in_what_is_merged_approves_nothing(scene: Scene, how: str) -> None:
    """Whoever writes the commits of a change request writes their messages, strangers too, and a squash takes them over."""
    number = planned(scene)
    (one,) = scene.changes.open()
    assert one.planned is not None
    said = f"web: less\n\nNidus-Approve: {one.planned.consent.digest}"
    git = scene.work.git
    git("checkout", "-q", f"feature-{number}")
    git("commit", "-q", "--amend", "-m", said)
    head = git("rev-parse", "HEAD")
    git("checkout", "-q", "main")
    scene.place(number, head)
    scene.forge.state.pushed(number, head)
    scene.look()
    scene.merge(number, how, admitted=False)
    if how == "squash":
        git("commit", "-q", "--amend", "-m", said)
        scene.forge.state.merge(number, git("rev-parse", "main"))
    scene.admit()
    never(scene)


def test_a_trailer_approves_where_no_forge_does(scene: Scene) -> None:
    scene.fleet.rules = RULES
    scene.fleet.registry.govern(RULES)
    scene.commit(LESS)
    digest = held(scene) and scene.fleet.reporter.clusters["a"].held
    assert digest
    scene.work.git("commit", "-q", "--allow-empty", "-m", f"go\n\nNidus-Approve: {digest.consent}")
    scene.admit()
    assert gone(scene)


# Their own, by somebody else's change


EXTRA = {"web.yaml": profile(pack("base", MANY[0], config_map("extra")))}


def waits(scene: Scene) -> str:
    """The digest that approves what is held of cluster a."""
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None and not gone(scene)
    return found.consent


def two_changes(scene: Scene) -> int:
    """ada's change is held after its merge, and bob's of the same cluster is merged too; the number of his."""
    scene.merge(planned(scene))
    settled(scene)
    number = planned(scene, EXTRA, author="bob")
    scene.merge(number)
    settled(scene)
    return number


@pytest.mark.parametrize("restarted", [False, True])
def test_who_wrote_what_is_held_does_not_approve_it_on_somebody_elses_change(scene: Scene, restarted: bool) -> None:
    number = two_changes(scene)
    if restarted:
        scene.restart()
        scene.admit()
        settled(scene)
    for who in ("ada", "bob"):
        scene.forge.state.say(number, who, f"/nidus approve {waits(scene)}")
        settled(scene)
        settled(scene)
    assert asked(scene) == [] and not gone(scene)
    scene.forge.state.say(number, "carl", f"/nidus approve {waits(scene)}")
    settled(scene)
    assert gone(scene)


@pytest.mark.parametrize("by", ["review", "comment"])
def test_nor_before_that_is_merged(scene: Scene, by: str) -> None:
    scene.merge(planned(scene))
    settled(scene)
    number = planned(scene, EXTRA, author="bob")
    (one,) = scene.changes.open()
    assert one.planned is not None and one.planned.consent.items  # what is held is in it
    if by == "review":
        scene.forge.state.review(number, "ada")
    else:
        scene.forge.state.say(number, "ada", f"/nidus approve {one.planned.consent.digest}")
        scene.look()
    scene.merge(number)
    never(scene)
    assert asked(scene) == []


def test_what_two_have_to_approve_takes_two_on_another_change_too(scene: Scene) -> None:
    rules = replace(scene.fleet.rules, reviewers=(ReviewerRule(paths=("web.yaml",), approvals=2),))
    scene.fleet.registry.govern(rules)
    scene.merge(planned(scene))
    settled(scene)
    number = planned(scene, {"a.yaml": cluster("a", description="x")}, author="bob")
    (one,) = scene.changes.open()
    assert one.planned is not None and one.planned.needed < 2
    scene.merge(number)
    settled(scene)
    scene.forge.state.say(number, "carl", f"/nidus approve {waits(scene)}")
    settled(scene)
    settled(scene)
    assert asked(scene) == [] and not gone(scene)


@pytest.mark.parametrize("together", [False, True])
def test_what_was_pushed_without_a_change_request_is_approved_on_none(scene: Scene, together: bool) -> None:
    """Nobody knows who pushed it, read by itself or together with the merge, which was planned on it."""
    scene.work.commit(LESS)
    if not together:
        scene.admit()
    number = planned(scene, EXTRA, author="bob")
    scene.merge(number)
    settled(scene)
    told = scene.ours(number).partition("result end")[0]
    assert f"`nidus approve {waits(scene)}` alone" in told and "/nidus approve" not in told
    scene.forge.state.say(number, "ada", f"/nidus approve {waits(scene)}")
    settled(scene)
    settled(scene)
    assert asked(scene) == [] and not gone(scene)
    scene.fleet.ask("approve", "a", waits(scene))
    scene.fleet.run()
    assert gone(scene)


def test_a_removal_that_was_pushed_is_approved_on_no_change(scene: Scene) -> None:
    """Also where somebody's change of another cluster is not Ready yet, whose comments are followed."""
    scene.fleet.rules = replace(scene.fleet.rules, budget=Budget(clusters=0))
    scene.fleet.registry.govern(scene.fleet.rules)
    number = planned(scene, {"b.yaml": cluster("b")}, author="bob")
    scene.fleet.down.add("b")
    scene.merge(number)
    settled(scene)
    scene.commit({}, gone=("a.yaml",))
    settled(scene)
    scene.forge.state.say(number, "ada", f"/nidus approve {scene.fleet.held['a'].consent}")
    settled(scene)
    settled(scene)
    assert asked(scene) == [] and scene.fleet.held["a"].reason == "RemovalBudget"


def test_a_removal_is_approved_on_the_change_that_brought_it(scene: Scene) -> None:
    scene.fleet.rules = replace(scene.fleet.rules, budget=Budget(clusters=0))
    scene.fleet.registry.govern(scene.fleet.rules)
    number = scene.open({}, gone=("a.yaml",))
    scene.look()
    scene.look()
    scene.fleet.down.add("b")
    scene.merge(number)
    settled(scene)
    digest = scene.fleet.held["a"].consent
    for who in ("ada", "bob"):
        assert set(scene.fleet.held) == {"a"}
        scene.forge.state.say(number, who, f"/nidus approve {digest}")
        settled(scene)
        settled(scene)
    assert scene.fleet.held == {}
