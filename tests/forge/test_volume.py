"""What the heads of change requests take of the volume that all sources share, whoever opens them, and over restarts; and what one that
ends at a deadline costs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import Unavailable
from reconciler.model import Limits
from reconciler.source import changes as mirrored
from tests.forge.scene import Scene
from tests.forge.test_changes import BLUE, FILES, LESS

KIB = 1 << 10
BITS = random.Random(1)


class Small(Scene):
    limits = Limits(total="1Mi", file="1Mi")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Small(tmp_path, FILES)
    yield made
    made.close()


def size(folder: Path) -> int:
    """Of all that begins with its name: what is beside a mirror counts as well."""
    found = (path for each in folder.parent.glob(f"{folder.name}*") for path in (each, *each.rglob("*")))
    return sum(path.stat().st_size for path in found if path.is_file())


def large(scene: Scene, kib: int, *, author: str = "ada", fork_of: str = "") -> int:
    """Somebody opens a change request that brings so much, in bytes that no compression makes less."""
    number, git = len(scene.forge.state.changes) + 1, scene.work.git
    git("checkout", "-q", "-B", f"feature-{number}", "main")
    (scene.work.folder / f"{number}.bin").write_bytes(BITS.randbytes(kib * KIB))
    git("add", "-A")
    git("commit", "-q", "-m", "large")
    head = git("rev-parse", "HEAD")
    git("checkout", "-q", "main")
    assert scene.forge.state.open(head, author=author, fork_of=fork_of) == number
    scene.place(number, head)
    return number


def again(scene: Scene) -> None:
    scene.restart()
    scene.admit()
    scene.look()
    scene.look()


def test_strangers_take_nothing_of_the_volume(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    scene.look()
    folder = scene.mirrors[-1]._place.folder
    before = size(folder)
    fits = [large(scene, 200, author="eve", fork_of="eve") for _ in range(5)]
    over = large(scene, 300, author="eve", fork_of="eve")
    for _ in range(2):
        scene.look()
        assert size(folder) - before < 16 * KIB
        assert {scene.shown(number).partition(",")[0] for number in fits} == {"pending: Only documents are compared"}
        told = (
            "failure: Nothing is planned: its files are too large: what a change request of somebody who may not write"
        )
        assert scene.shown(over).startswith(told) and "its files are too large" in scene.ours(over)
        again(scene)
    head = scene.forge.state.changes[over].head
    scene.forge.state.say(over, "ada", f"/nidus plan {head}")
    scene.look()
    assert scene.shown(over) == "success: Nothing changes"  # and now it counts among all heads
    assert 300 * KIB < size(folder) - before < 330 * KIB


def test_heads_of_people_who_may_write_have_a_budget_together(scene: Scene) -> None:
    scene.look()
    folder = scene.mirrors[-1]._place.folder
    before = size(folder)
    fork = large(scene, 700, author="bob", fork_of="bob")
    inside = [large(scene, 700) for _ in range(2)]
    small = scene.open({"web.yaml": BLUE})
    for _ in range(2):
        scene.look()
        assert size(folder) - before < 2 * KIB * KIB
        assert [scene.shown(number) for number in inside] == ["success: Nothing changes"] * 2
        assert scene.shown(fork).startswith("failure: Nothing is planned: its files are too large")
        assert scene.shown(small).startswith("success: Plan: ")
        again(scene)
    scene.forge.state.close(inside[0])
    scene.look()
    scene.fleet.now += 3600.0
    scene.look()
    assert scene.shown(fork) == "success: Nothing changes" and size(folder) - before < 2 * KIB * KIB


def test_one_who_pushes_by_force_again_and_again_keeps_the_room_of_one_head(scene: Scene) -> None:
    number = large(scene, 600)
    scene.look()
    folder = scene.mirrors[-1]._place.folder
    for _ in range(6):
        other = large(scene, 600)
        head = scene.forge.state.changes.pop(other).head
        scene.place(number, head)
        scene.forge.state.pushed(number, head)
        scene.look()
        assert scene.shown(number) == "success: Nothing changes"
        assert size(folder) < 3 * KIB * KIB


def test_a_mirror_of_the_version_before_is_emptied_of_heads(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    mirror = scene.mirrors[-1]
    mirror.fetch()
    before = size(mirror._place.folder)
    for _ in range(3):
        number = large(scene, 900, author="eve", fork_of="eve")
        mirror._change(f"{mirrored.HEADS}{number}", f"refs/pull/{number}/head")
    (mirror._place.folder / mirrored.BRANCH).unlink()
    assert size(mirror._place.folder) > before + 2700 * KIB
    again(scene)
    assert size(scene.mirrors[-1]._place.folder) < before + 64 * KIB


def test_a_branch_that_grows_takes_nothing_of_what_heads_may_have(scene: Scene) -> None:
    number = large(scene, 600)
    scene.look()
    for count in range(12):
        scene.work.git("checkout", "-q", "main")
        (scene.work.folder / "grows.bin").write_bytes(BITS.randbytes(200 * KIB))
        scene.work.commit({f"{count}.md": "words"})
        scene.look()
    other = large(scene, 600)
    scene.look()
    assert [scene.shown(one) for one in (number, other)] == ["success: Nothing changes"] * 2


def test_a_head_that_does_not_end_in_time_costs_a_pause_that_grows(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, asked = scene.open({"web.yaml": BLUE}), []
    other = scene.open({"README.md": "words"})
    scene.look()
    known = scene.mirrors[-1].merged

    def slow(base: str, head: str) -> mirrored.Merged:
        if head == scene.forge.state.changes[other].head:
            return known(base, head)
        asked.append(head)
        raise Unavailable("git merge-tree did not end within 120 s", reason="Timeout")

    monkeypatch.setattr(scene.mirrors[-1], "merged", slow)
    scene.push(number, {"web.yaml": LESS})
    for _ in range(40):  # ten minutes
        scene.look()
        scene.fleet.now += 15.0
    assert 3 <= len(asked) <= 7
    assert scene.shown(number).startswith("failure: Nothing is planned: git merge-tree did not end")
    head, before = scene.push(number, {"web.yaml": BLUE}), len(asked)
    scene.look()
    assert asked[before:] == [head]
    monkeypatch.undo()
    scene.look()
    assert scene.shown(number).startswith("success: Plan: ")
