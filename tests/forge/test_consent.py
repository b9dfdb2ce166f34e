"""Nobody approves what is not theirs to approve: another source's deletions, or their own by a way around."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.model import Limits, Revision, replace
from reconciler.spec import load
from tests.forge.scene import Scene
from tests.forge.test_commands import asked
from tests.forge.test_merges import LESS, MANY, gone, held, never, planned, settled
from tests.passes import FACTS, RULES, SOURCE, START, cluster, pack, profile
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
