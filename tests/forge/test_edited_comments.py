"""Our comment, edited by somebody who may edit comments: who approved what it said then has approved nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.forge.scene import Scene
from tests.forge.server import SPEAKS
from tests.forge.state import Note
from tests.forge.test_commands import asked, shown
from tests.forge.test_merges import FILES, LESS, gone, never, planned, settled

LIE = "### `Nothing changes`\n"


@pytest.fixture(params=["github"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES, request.param)
    yield made
    made.close()


def ours(scene: Scene, number: int) -> Note:
    (note,) = [one for one in scene.forge.state.notes[number] if one.author == scene.forge.state.bot]
    return note


def edit(scene: Scene, number: int, body: str) -> None:
    note = ours(scene, number)
    note.body, note.edited = body, scene.forge.state.touch(number)


def forged(body: str, lie: str = LIE) -> str:
    """With the digest that the marker had before: of the text alone, which anybody can make."""
    digest = hashlib.sha256(lie.strip().encode()).hexdigest()
    return re.sub("text=[0-9a-f]{64}", f"text={digest}", body.partition("\n")[0]) + "\n" + lie


@pytest.mark.parametrize("scene", sorted(SPEAKS), indirect=True)
@pytest.mark.parametrize("seen", [True, False])
def test_what_somebody_else_made_our_comment_say_counts_for_nothing(scene: Scene, seen: bool) -> None:
    number = planned(scene)
    edit(scene, number, forged(ours(scene, number).body))
    scene.forge.state.review(number, "bob")
    if seen:
        scene.look()
        scene.look()
        assert "Nothing changes" not in scene.ours(number)
    scene.merge(number)
    never(scene)


def restored(scene: Scene, number: int) -> None:
    """A lie that somebody reads, and that is gone when the controller looks."""
    body = ours(scene, number).body
    edit(scene, number, LIE)
    scene.forge.state.review(number, "bob")
    edit(scene, number, body)


def with_another_plan(scene: Scene, number: int) -> None:
    """A comment that was ours once, of a plan that destroys nothing, as that of the plan of today."""
    scene.push(number, {"web.yaml": FILES["web.yaml"]})
    scene.look()
    old = ours(scene, number).body
    scene.push(number, LESS)
    scene.look()
    marker = re.findall("plan=[0-9a-f]{64}", ours(scene, number).body)[0]
    edit(scene, number, re.sub("plan=[0-9a-f]{64}", marker, old, count=1))
    scene.forge.state.review(number, "bob")


def of_another_change(scene: Scene, number: int) -> None:
    """One that is ours, of another change request."""
    other = scene.open({"README.md": "words"})
    scene.look()
    edit(scene, number, ours(scene, other).body)
    scene.forge.state.review(number, "bob")


LIES: list[Callable[[Scene, int], None]] = [restored, with_another_plan, of_another_change]


@pytest.mark.parametrize("scene", sorted(SPEAKS), indirect=True)
@pytest.mark.parametrize("lied", LIES)
def test_words_of_ours_at_another_time_or_place_count_for_nothing(
    scene: Scene, lied: Callable[[Scene, int], None]
) -> None:
    number = planned(scene)
    lied(scene, number)
    scene.merge(number)
    never(scene)


def test_a_lie_while_no_controller_runs_counts_for_nothing(scene: Scene) -> None:
    number = planned(scene)
    restored(scene, number)
    scene.restart()
    scene.admit()
    scene.look()
    scene.merge(number)
    never(scene)


def test_a_lie_that_is_gone_before_our_comment_is_written_over_counts_for_nothing(scene: Scene) -> None:
    """A plan that moved is written between two looks at what the forge says."""
    number = planned(scene)
    restored(scene, number)
    scene.fleet.nested["a"].delete("", "ConfigMap", "web", "one")
    scene.changes.moved("a")
    before = scene.ours(number)
    scene.changes.look()
    assert scene.ours(number) != before
    scene.merge(number)
    never(scene)


def test_a_command_of_who_read_a_lie_counts_for_nothing(scene: Scene) -> None:
    number = planned(scene)
    body = ours(scene, number).body
    edit(scene, number, LIE)
    scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    edit(scene, number, body)
    scene.look()
    assert asked(scene) == []


def test_a_lie_without_our_marker_does_not_stay_beside_our_comment(scene: Scene) -> None:
    """It would stand there in our name, as long as the change request is open."""
    number = planned(scene)
    edit(scene, number, LIE)
    scene.restart()
    scene.admit()
    scene.look()
    assert "Nothing changes" not in scene.ours(number)


def test_who_reads_it_after_it_is_ours_again_approves_it(scene: Scene) -> None:
    number = planned(scene)
    edit(scene, number, forged(ours(scene, number).body))
    scene.look()
    scene.look()
    scene.restart()
    scene.admit()
    scene.look()
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    assert gone(scene)


def test_a_comment_of_the_version_before_is_written_anew_once(scene: Scene) -> None:
    number = planned(scene)
    body = ours(scene, number).body
    edit(scene, number, forged(body, body.partition("\n")[2]))
    scene.look()
    assert scene.wrote().count(f"PATCH issues/comments/{ours(scene, number).id}") == 1
    assert ours(scene, number).body == body
    scene.look()
    assert not [one for one in scene.wrote() if "comments" in one]


@pytest.mark.parametrize("scene", sorted(SPEAKS), indirect=True)
def test_our_own_words_over_ours_leave_an_approval_in_force(scene: Scene) -> None:
    """Who approved stands in the comment, which is written again for that."""
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    for _ in range(3):
        scene.look()
    assert "| approvals | 1 of 1, by `bob` |" in scene.ours(number)
    scene.restart()
    scene.admit()
    scene.look()
    scene.merge(number)
    settled(scene)
    assert gone(scene)
