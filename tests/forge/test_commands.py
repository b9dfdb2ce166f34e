"""What people ask for by comments: by whom it counts, and what it does."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from reconciler.errors import ApiError, ErrorClass
from reconciler.model import Request
from tests.forge.scene import Scene
from tests.forge.server import SPEAKS
from tests.forge.test_merges import FILES, LESS, MANY, gone, held, planned, settled
from tests.passes import START, pack, profile


@pytest.fixture(params=["github"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES, request.param)
    yield made
    made.close()


def shown(scene: Scene) -> str:
    """The consent that our comment shows."""
    (one,) = scene.changes.open()
    assert one.planned is not None
    return one.planned.consent.digest


def asked(scene: Scene) -> list[tuple[str, str]]:
    """Who asked for what, and for which reason."""
    found = scene.fleet.host.objects("nidus.dev", "Request")
    return [(one["spec"]["who"], one["spec"]["reason"]) for one in found]


def reacted(scene: Scene) -> list[int]:
    return [one for one, _ in scene.forge.state.reactions]


@pytest.mark.parametrize("scene", sorted(SPEAKS), indirect=True)
def test_what_the_comment_shows_is_approved_by_a_comment(scene: Scene) -> None:
    number = planned(scene)
    said = scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    scene.look()
    provider = scene.forge.provider
    assert asked(scene) == [(f"{provider}:bob", f"by a comment on change request #{number}")]
    assert reacted(scene) == [said]
    scene.merge(number)
    assert not gone(scene)  # who brought that commit is the forge's word alone
    settled(scene)
    assert gone(scene) and scene.fleet.word("a") == "Ready"


def never(scene: Scene, number: int, who: str, body: str) -> None:
    said = scene.forge.state.say(number, who, body)
    scene.look()
    assert asked(scene) == [] and said not in reacted(scene)


def test_the_author_of_a_change_approves_nothing_of_it(scene: Scene) -> None:
    number = planned(scene)
    never(scene, number, "ada", f"/nidus approve {shown(scene)}")


def test_who_may_not_write_approves_nothing(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    number = planned(scene)
    never(scene, number, "eve", f"/nidus approve {shown(scene)}")


@pytest.mark.parametrize(
    "body", ["/nidus approve", "/nidus approve {short}", "/nidus approve {other}", "please\n/nidus approve {digest}"]
)
def test_anything_else_approves_nothing(scene: Scene, body: str) -> None:
    """The beginning of a digest neither: its author can make two sets of objects whose digests begin alike."""
    number = planned(scene)
    digest = shown(scene)
    never(scene, number, "bob", body.format(digest=digest, short=digest[:12], other="0" * 64))


def test_a_comment_that_somebody_edited_approves_nothing(scene: Scene) -> None:
    """Whoever may edit comments of others would approve in their name."""
    number = planned(scene)
    said = scene.forge.state.say(number, "bob", "looks good")
    (note,) = [one for one in scene.forge.state.notes[number] if one.id == said]
    note.body, note.edited = f"/nidus approve {shown(scene)}", scene.forge.state.touch(number)
    scene.look()
    assert asked(scene) == [] and reacted(scene) == []


def test_what_is_held_after_the_merge_is_approved_on_the_merged_change(scene: Scene) -> None:
    number = planned(scene)
    scene.merge(number)
    settled(scene)
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None and not gone(scene)
    never(scene, number, "ada", f"/nidus approve {found.consent}")
    scene.forge.state.say(number, "bob", f"/nidus approve {found.consent}")
    settled(scene)
    assert gone(scene)


def test_a_deviation_is_approved_on_the_merged_change(scene: Scene) -> None:
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
    scene.fleet.nested["a"].delete("", "ConfigMap", "web", "eight")
    scene.fleet.queue.add("a")
    scene.fleet.run()
    scene.merge(number)
    settled(scene)
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None and held(scene).startswith("PlanChanged")
    scene.forge.state.say(number, "bob", f"/nidus approve {found.consent}")
    settled(scene)
    assert gone(scene)


def test_a_comment_is_one_request_however_often_it_is_read(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    (one,) = scene.changes.open()
    before = one.heard
    scene.look()
    one.heard, one.updated = before, -1.0  # as after a kill before that was stored
    scene.look()
    assert len(asked(scene)) == 1
    scene.look()
    scene.restart()
    scene.admit()
    scene.look()
    assert len(asked(scene)) == 1 and len(reacted(scene)) == 2


def test_a_comment_is_followed_once_though_its_change_is_closed_and_opened_again(scene: Scene) -> None:
    """Its author may do that at any time: an approval that somebody took back would come again."""
    number = planned(scene)
    scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    scene.look()
    [request] = scene.fleet.host.objects("nidus.dev", "Request")
    meta = request["metadata"]
    scene.fleet.host.delete("nidus.dev", "Request", meta["namespace"], meta["name"])
    scene.forge.state.close(number)
    scene.look()
    scene.forge.state.changes[number].state = "open"
    scene.forge.state.touch(number)
    scene.look()
    assert shown(scene) and asked(scene) == []


def test_an_approval_by_a_comment_ends_a_day_after_it_was_written(scene: Scene) -> None:
    """Whenever it is read: by a controller that was away, or that lost what it knew."""
    number = planned(scene)
    scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    scene.fleet.now += 20 * 3600.0
    scene.look()
    [request] = scene.fleet.host.objects("nidus.dev", "Request")
    assert datetime.fromisoformat(request["spec"]["expires"]).timestamp() < START + 25 * 3600.0
    meta = request["metadata"]
    scene.fleet.host.delete("nidus.dev", "Request", meta["namespace"], meta["name"])
    scene.fleet.now += 20 * 3600.0
    (one,) = scene.changes.open()
    one.heard, one.updated = 0, -1.0
    scene.look()
    assert asked(scene) == []


def test_a_request_that_cannot_be_stored_is_asked_for_again(scene: Scene) -> None:
    number = planned(scene)
    digest = shown(scene)

    def refused(request: Request) -> None:
        raise ApiError(ErrorClass.TRANSIENT, "the API server is down")

    scene.ask = refused  # type: ignore[method-assign]
    scene.restart()
    scene.admit()
    scene.forge.state.say(number, "bob", f"/nidus approve {digest}")
    scene.look()
    assert asked(scene) == [] and reacted(scene) == []
    del scene.ask  # type: ignore[method-assign]
    scene.restart()
    scene.admit()
    scene.look()
    assert len(asked(scene)) == 1 and len(reacted(scene)) == 1


def test_an_approval_by_a_comment_is_of_that_set_only(scene: Scene) -> None:
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:3]))})
    scene.forge.state.say(number, "bob", f"/nidus approve {shown(scene)}")
    scene.look()
    scene.push(number, LESS)
    scene.look()
    scene.merge(number)
    settled(scene)
    assert not gone(scene) and held(scene).startswith("ObjectBudget 7 held")
