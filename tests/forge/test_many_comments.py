"""Comments of strangers, thousands of them or long ones, on somebody else's change request: it is planned, shown, approved and merged, and
the forge is asked for no more than for another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.forges import transport
from tests.forge.scene import Scene
from tests.forge.server import SPEAKS
from tests.forge.state import Note
from tests.forge.test_commands import asked, reacted, shown
from tests.forge.test_merges import FILES, MANY, gone, planned, settled
from tests.passes import pack, profile

LONG = {"github": 60_000, "gitlab": 60_000, "gitea": 700_000}  # of which the last has no limit


@pytest.fixture(params=sorted(SPEAKS))
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(transport, "SIZE", 600_000)
    made = Scene(tmp_path, FILES, request.param)
    yield made
    made.close()


def flooded(scene: Scene, number: int, times: int = 5_001) -> None:
    """All at one moment, then one that is long."""
    state = scene.forge.state
    eve, now = state.person("eve", "read"), state.tick()
    state.notes[number] += [Note(next(state.ids), eve, "x", now) for _ in range(times)]
    state.say(number, "eve", "x" * LONG[scene.forge.provider])


def test_a_flood_of_comments_is_in_nobodys_way(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    number = planned(scene)
    flooded(scene, number)
    head = scene.push(number, {"web.yaml": profile(pack("base", *MANY[:2]))})
    scene.forge.asked.clear()
    scene.look()
    assert head[:12] in scene.ours(number)
    scene.look()
    assert len(scene.forge.asked) < 50
    for _ in range(3):
        scene.fleet.now += 15.0
        scene.look()
    assert len(scene.forge.asked) < 60
    lines = [line for line in capsys.readouterr().err.splitlines() if "not all were read" in line]
    assert len(lines) == 1
    state = scene.forge.state
    said = state.say(number, "bob", "/nidus plan")
    scene.fleet.now += 60.0
    scene.look()
    assert said in reacted(scene)
    state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    assert gone(scene)


def test_a_flood_after_the_merge_hides_no_approval_that_follows(scene: Scene) -> None:
    number = planned(scene)
    scene.merge(number)
    settled(scene)
    flooded(scene, number)
    settled(scene)
    digest = scene.fleet.reporter.clusters["a"].held
    assert digest is not None
    scene.fleet.now += 60.0
    scene.forge.state.say(number, "bob", f"/nidus approve {digest.consent}")
    settled(scene)
    assert len(asked(scene)) == 1 and gone(scene)


def test_a_change_with_a_flood_is_closed_as_any_other(scene: Scene) -> None:
    number = planned(scene)
    flooded(scene, number)
    scene.forge.state.merge(number, scene.commit({"more.md": "words"}))
    scene.look()
    scene.fleet.now += 15.0
    scene.forge.asked.clear()
    scene.changes.look()
    assert scene.changes._closing == {} and scene.forge.asked == []


def test_a_flood_that_goes_on_costs_pauses_that_grow(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.asked.clear()
    for _ in range(12):
        flooded(scene, number, 400)
        scene.look()
        scene.fleet.now += 15.0
    lists = [one for one in scene.forge.asked if one.path.endswith(("/comments", "/notes"))]
    assert 3 <= len(lists) <= 16 * 5
    scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    scene.fleet.now += 600.0
    scene.look()
    assert len(asked(scene)) == 1
