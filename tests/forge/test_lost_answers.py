"""A write to the forge that took effect and whose answer was lost: there is one comment all the same, and it says what is so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.errors import NidusError
from tests.documents import cluster, config_map, pack, profile
from tests.forge.scene import Scene
from tests.forge.server import Failure

FILES = {"a.yaml": cluster(), "web.yaml": profile(pack("base", config_map("one", colour="red")))}

PLACES = {
    "github": {"status": "/statuses/", "comment": "/comments"},
    "gitlab": {"status": "/statuses/", "comment": "/notes"},
}


def coloured(colour: str) -> dict[str, str]:
    return {"web.yaml": profile(pack("base", config_map("one", colour=colour)))}


@pytest.fixture(params=["github", "gitlab"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES, request.param)
    yield made
    made.close()


def looked(scene: Scene, times: int = 3) -> None:
    """Rounds as the loop makes them: a failure ends one, and the next goes on."""
    for _ in range(times):
        with suppress(NidusError):
            scene.changes.look()
        scene.fleet.now += 20.0


def lose(scene: Scene, where: str) -> Failure:
    """The answer of the next write there."""
    made = Failure(502, body=b"<html>", where=where, times=1, late=True)
    scene.forge.failures.append(made)
    return made


@pytest.mark.parametrize("what", ["status", "comment"])
@pytest.mark.parametrize("killed", [False, True])
def test_one_comment_whatever_answer_is_lost(scene: Scene, what: str, killed: bool) -> None:
    number = scene.open(coloured("blue"))
    lost = lose(scene, PLACES[scene.forge.provider][what])
    looked(scene, 1)
    if killed:
        scene.restart()
        scene.admit()
    looked(scene)
    assert lost.times == 0
    assert "red -> blue" in scene.ours(number)
    lost.times = 1
    scene.push(number, coloured("green"))
    scene.changes.asked()
    looked(scene)
    assert "red -> green" in scene.ours(number) and scene.shown(number).startswith("success: Plan: ")


def test_one_comment_where_somebody_deleted_ours_between_two_looks(scene: Scene) -> None:
    number = scene.open(coloured("blue"))
    looked(scene)
    notes = scene.forge.state.notes[number]
    notes.remove(next(one for one in notes if one.author == scene.forge.state.bot and not one.system))
    server = scene.fleet.nested["a"]
    server.put(
        {**config_map("one", colour="grey"), "metadata": {"name": "one", "namespace": "web"}}, manager="kubectl-edit"
    )
    scene.changes.moved("a")
    lost = lose(scene, f"{number}{PLACES[scene.forge.provider]['comment']}")
    looked(scene)
    assert lost.times == 0
    assert "grey -> blue" in scene.ours(number)


def test_a_status_that_was_refused_for_a_moment_is_set_later(scene: Scene) -> None:
    """It never took effect, so that the forge would show the one before for ever."""
    number = scene.open(coloured("blue"))
    for count in (1, 2):
        scene.forge.failures.append(Failure(503, where="/statuses/", times=1))
        looked(scene, count)
    looked(scene)
    assert scene.shown(number).startswith("success: Plan: ")
