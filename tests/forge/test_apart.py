"""One change request that the forge cannot answer for, one stranger, one round that ends early: what others do goes on (B9)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.controller import failing, planning
from reconciler.controller.pace import Share
from reconciler.errors import NidusError, Unavailable
from reconciler.forges import transport
from tests.forge import githublike
from tests.forge.scene import Scene
from tests.forge.server import SPEAKS
from tests.forge.test_merges import FILES, LESS, gone, held, planned, settled

COMMENTS = {"github": "issues/{}/comments", "gitea": "issues/{}/comments", "gitlab": "merge_requests/{}/notes"}
FAILS = [(504, b"<html>"), (408, b""), (409, b"{}"), (403, b"{}"), (422, b"{}"), (200, b"[["), (200, b'[{"id": "x"}]')]


class Below(Scene):
    path = "fleet"


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
    asked = sum(f"/{number}/" in one.path for one in scene.forge.asked)
    assert 9 <= asked <= 21  # each time three pages of other sizes


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


# Texts without a limit

LARGE = 700_000  # bytes of one text; of an answer SIZE are kept


@pytest.fixture(params=[transport.READ, 600_000])
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of at most 600,000 bytes without such texts; or also with them, so that one with such a text is never read."""
    monkeypatch.setattr(transport, "SIZE", 600_000)
    monkeypatch.setattr(transport, "READ", request.param)


def large(scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each answer of the forge about a thing that eve made has a text without a limit; `name` is how it makes one of them."""
    known = getattr(githublike, name)

    def made(one: Any, *more: Any) -> Any:
        author = next(getattr(one, each) for each in ("author", "by") if hasattr(one, each))
        return {**known(one, *more), **({"body": "x" * LARGE} if author.name == "eve" else {})}

    monkeypatch.setattr(githublike, name, made)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("scene", ["gitea"], indirect=True)
def test_a_text_without_a_limit_is_in_nobodys_way(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    large(scene, monkeypatch, "_pull")
    number = scene.open(LESS)
    scene.look()
    strangers(scene, 1)
    scene.look()
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    settled(scene)
    assert gone(scene) and scene.fleet.word("a") == "Ready"


@pytest.mark.parametrize("scene", ["gitea"], indirect=True)
@pytest.mark.parametrize("read", [True, False])
def test_a_text_without_a_limit_in_a_review(scene: Scene, monkeypatch: pytest.MonkeyPatch, read: bool) -> None:
    """Where it cannot be read at all, it may take back what was approved before; not what is approved after it."""
    monkeypatch.setattr(transport, "SIZE", 600_000)
    monkeypatch.setattr(transport, "READ", transport.READ if read else 600_000)
    large(scene, monkeypatch, "_review")
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.forge.state.review(number, "eve", "COMMENTED")
    scene.look()
    (one,) = scene.changes.open()
    assert one.approved == (("bob",) if read else ())
    if not read:
        scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    assert gone(scene)


@pytest.mark.parametrize("scene", sorted(SPEAKS), indirect=True)
def test_what_the_forge_tells_of_one_in_another_form_leaves_that_one_out(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.open({"x.md": "words"}, author="e" * 301, fork_of="eve")
    number = planned(scene)
    lines = [line for line in capsys.readouterr().err.splitlines() if "open change requests: 1 not read" in line]
    assert len(lines) == 1
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    assert gone(scene)


@pytest.mark.parametrize("scene", ["gitea"], indirect=True)
def test_one_that_cannot_be_listed_any_more_is_not_taken_for_closed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = planned(scene)
    monkeypatch.setattr(transport, "SIZE", 600_000)
    monkeypatch.setattr(transport, "READ", 600_000)
    scene.forge.state.changes[number].body = "x" * LARGE
    scene.look()
    scene.forge.state.review(number, "bob")
    scene.forge.state.changes[number].body = ""
    scene.fleet.now += 1000.0
    scene.look()
    assert [one.change.number for one in scene.changes.open()] == [number]
    scene.merge(number)
    settled(scene)
    assert gone(scene)


@pytest.mark.parametrize("scene", ["gitea"], indirect=True)
def test_long_comments_within_a_minute_hide_no_command(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them too long by itself; where the forge has no pages, they are asked for by times."""
    number, state = planned(scene), scene.forge.state
    scene.merge(number)
    settled(scene)
    settled(scene)
    monkeypatch.setattr(transport, "SIZE", 600_000)
    digest = scene.fleet.reporter.clusters["a"].held.consent  # type: ignore[union-attr]
    state.now += 10.0
    for who, body in (("eve", "x" * 400_000), ("bob", f"/nidus approve {digest}"), ("eve", "x" * 400_000)):
        state.say(number, who, body)
        note = state.notes[number][-1]
        state.now = note.at = state.changes[number].updated = note.at - 59.0
    settled(scene)
    settled(scene)
    assert gone(scene)


# Heads of strangers


def fetched(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The refs of heads that are asked for from now on."""
    mirror, asked = scene.mirrors[-1], list[str]()
    known = mirror._change
    monkeypatch.setattr(mirror, "_change", lambda ours, ref: asked.append(ref) or known(ours, ref))
    return asked


def test_heads_of_strangers_have_their_turns_and_nobody_waits_for_them(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "STRANGERS", 2)
    scene.made()
    asked, numbers = fetched(scene, monkeypatch), strangers(scene, 5)
    number = scene.open(LESS)
    strangers(scene, 1)
    scene.look()
    assert scene.shown(number).startswith("success") and len(asked) == 3
    for _ in range(2):
        scene.changes.look()
    assert len(asked) == len(set(asked)) == 7
    assert all(scene.forge.state.ours(each) for each in numbers)
    del asked[:]
    scene.fleet.now += 1.0
    scene.commit({"b.yaml": FILES["b.yaml"] + "\n"})
    for _ in range(4):
        scene.changes.look()
    assert sorted(asked) == sorted({f"refs/pull/{each}/head" for each in (*numbers, 7)})


def test_a_verdict_of_another_head_is_not_shown_of_one_whose_turn_comes(scene: Scene) -> None:
    (number,) = strangers(scene, 1)
    scene.look()
    scene.changes._planning._strangers = Share(0, 60.0)
    head = scene.push(number, {"more.md": "words"})
    scene.look()
    assert scene.forge.state.shown(head) == []
    scene.changes._planning._strangers = Share(1, 60.0)
    scene.look()
    assert scene.forge.state.shown(head) == ["pending"]


def test_what_was_compared_with_a_strangers_head_is_kept_until_it_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits of the branch that are of nothing which the source reads fetch no head of a stranger again."""
    made = Below(tmp_path, {f"fleet/{name}": text for name, text in FILES.items()})
    try:
        made.forge.state.person("eve", "read")
        asked = fetched(made, monkeypatch)
        number = made.open({"fleet/x.md": "words"}, author="eve", fork_of="eve")
        made.look()
        assert len(asked) == 1 and made.forge.state.ours(number)
        made.work.commit({"elsewhere.md": "words"})
        made.look()
        assert len(asked) == 1
        made.work.commit({"fleet/more.md": "words"})
        made.look()
        assert len(asked) == 2
    finally:
        made.close()


def test_failures_take_their_share_of_a_round(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once they took it, those that failed before, and those from elsewhere, wait for the next round; each has its turn."""
    monkeypatch.setattr(failing, "LOST", 0.0)
    scene.made()
    numbers = strangers(scene, 3)
    for number in numbers:
        scene.forge.fail(504, where=where(scene, number))
    mine = scene.open(LESS)
    scene.look()
    assert scene.shown(mine).startswith("success")
    assert failures(scene) == numbers[-1:]
    for _ in range(2):
        scene.look()
    assert failures(scene) == numbers[::-1]


def failures(scene: Scene) -> list[int]:
    """The change requests whose comments were asked for in vain, in this order."""
    found = (int(one.path.split("/")[-2]) for one in scene.forge.asked if one.path.endswith("/comments"))
    return [each for each in dict.fromkeys(found) if not scene.forge.state.ours(each)]
