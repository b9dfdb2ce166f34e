"""One change request that the forge cannot answer for, one stranger, one round that ends early: what others do goes on (B9)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.errors import NidusError, Unavailable
from tests.forge.scene import Scene
from tests.forge.server import SPEAKS
from tests.forge.test_merges import FILES, LESS, gone, held, planned, settled

COMMENTS = {"github": "issues/{}/comments", "gitea": "issues/{}/comments", "gitlab": "merge_requests/{}/notes"}
FAILS = [(504, b"<html>"), (408, b""), (409, b"{}"), (403, b"{}"), (422, b"{}"), (200, b"[["), (200, b'[{"id": "x"}]')]


@pytest.fixture(params=["github"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES, request.param)
    made.forge.state.person("eve", "read")
    yield made
    made.close()


def strangers(scene: Scene, number: int) -> list[int]:
    """Eve opens so many change requests."""
    return [scene.open({f"{count}.md": "words"}, author="eve", fork_of="eve") for count in range(number)]


def where(scene: Scene, number: int) -> str:
    return COMMENTS[scene.forge.provider].format(number)


@pytest.mark.parametrize("scene", sorted(SPEAKS), indirect=True)
def test_whatever_fails_for_one_change_is_its_own_failure(scene: Scene) -> None:
    for number, (status, body) in zip(strangers(scene, len(FAILS)), FAILS, strict=True):
        scene.forge.fail(status, body=body, where=where(scene, number))
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    assert gone(scene) and scene.fleet.word("a") == "Ready"
    scene.look()
    assert scene.synced(scene.forge.state.changes[number].merged)[-1].startswith("success")


def test_what_fails_is_asked_for_after_pauses_that_grow(scene: Scene) -> None:
    (number,) = strangers(scene, 1)
    scene.forge.fail(504, where=where(scene, number))
    for _ in range(40):  # ten minutes
        scene.look()
        scene.fleet.now += 15.0
    assert 3 <= sum(f"/{number}/" in one.path for one in scene.forge.asked) <= 7


def test_comments_that_the_forge_cannot_give_keep_no_plan_back(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.fail(504, where=where(scene, number))
    head = scene.push(number, {"web.yaml": FILES["web.yaml"].replace("two", "2")})
    scene.look()
    assert head[:12] in scene.ours(number)


def test_a_head_whose_status_is_not_taken_is_in_nobodys_way(scene: Scene) -> None:
    """Also where it is over the limit."""
    number = scene.open(LESS)
    for other in strangers(scene, 2):
        scene.forge.fail(502, where=f"statuses/{scene.forge.state.changes[other].head}")
    scene.made(limit=1)
    scene.look()
    assert scene.shown(number).startswith("success")


def test_what_was_shown_counts_however_the_round_ends(scene: Scene) -> None:
    """The forge asks to wait after our comment is written, and it is merged meanwhile."""
    strangers(scene, 1)
    number = scene.open(LESS)
    scene.forge.fail(429, where=where(scene, 1), times=1, headers={"Retry-After": "600"})
    with pytest.raises(Unavailable):
        scene.look()
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    assert scene.fleet.registry.brought(("a",)) == {number}
    scene.fleet.now += 700.0
    settled(scene)
    assert gone(scene)


def test_an_approved_merge_is_handed_over_while_the_forge_asks_to_wait(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    strangers(scene, 1)
    scene.forge.fail(429, where=where(scene, 2), times=1, headers={"Retry-After": "600"})
    with pytest.raises(Unavailable):
        scene.look()
    scene.admit()
    assert held(scene)
    scene.changes.look()
    scene.fleet.look()
    scene.fleet.run()
    assert gone(scene)


def test_what_became_of_a_merge_is_told_once_the_forge_takes_it(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    commit = scene.merge(number)
    refused = scene.forge.fail(502, where=f"statuses/{commit}")
    for _ in range(3):
        with suppress(NidusError):
            settled(scene)
    assert gone(scene) and scene.synced(commit) == []
    refused.times = 0
    scene.fleet.now += 1000.0
    scene.look()
    assert scene.synced(commit)[-1].startswith("success")
