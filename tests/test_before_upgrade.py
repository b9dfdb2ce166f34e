"""A change of versions waits for a snapshot, or for somebody who goes on without one (O8)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.model import Versions
from tests.backups import HOME_A, HOUR, Scene
from tests.object_store import ObjectStore

OLD, NEW = "v1.35.0", "v1.36.0"


@pytest.fixture
def scene(store: ObjectStore) -> Iterator[Scene]:
    made = Scene(store, {"kubernetes": {"version": OLD}})
    yield made
    made.fleet.close()


def upgrade(scene: Scene, **more: object) -> None:
    scene.push(**{"kubernetes": {"version": NEW}, **more})
    scene.fleet.run(seconds=3.0)
    scene.look()


def stands(scene: Scene) -> str:
    """The version of Kubernetes that the engine on the host is of."""
    said = str(scene.fleet.host.get("apps", "StatefulSet", HOME_A, "a"))
    (found,) = [one for one in (OLD, NEW) if one in said]
    return found


def runs(scene: Scene) -> Versions:
    state = scene.fleet.state("a")
    assert state is not None
    return state.record.versions


def held(scene: Scene) -> tuple[str, str]:
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None
    return found.reason, found.message


def test_it_waits_for_a_snapshot_of_what_runs(scene: Scene) -> None:
    upgrade(scene)
    assert (stands(scene), scene.fleet.word("a")) == (OLD, "Waiting")
    assert "by the change to engine 0.36.1, Kubernetes v1.36.0" in scene.told["running"]
    scene.engine.completes()
    scene.look(10.0)
    scene.settle()
    scene.look(10.0)
    assert (stands(scene), runs(scene).kubernetes, scene.fleet.word("a")) == (NEW, NEW, "Ready")
    assert [one.kubernetes for one in scene.known.archives] == [OLD]
    assert (scene.known.tried, scene.known.cleared) == ("", "")


def test_one_that_is_younger_than_an_hour_is_enough(scene: Scene) -> None:
    scene.made()
    upgrade(scene)
    scene.look(10.0)
    assert (stands(scene), scene.fleet.word("a"), len(scene.known.archives)) == (NEW, "Ready", 1)


def test_a_snapshot_that_was_read_back_meanwhile_is_not_read_again(scene: Scene) -> None:
    scene.made()
    scene.fleet.now += 61.0
    scene.ask()
    scene.engine.completes()
    scene.look(10.0)
    scene.ended.get(timeout=60)  # its answer lies ready in the pass that lets the change go on
    with scene.store.fault(status="503 Slow Down"):
        upgrade(scene)
        scene.look(10.0)
    assert [one.completed for one in scene.known.archives] == [True, True]
    assert (stands(scene), scene.fleet.word("a")) == (NEW, "Ready")


def test_an_older_one_is_not(scene: Scene) -> None:
    scene.made()
    scene.fleet.now += HOUR + 60
    upgrade(scene)
    assert (stands(scene), "running" in scene.told) == (OLD, True)


def test_what_fails_holds_it_until_somebody_goes_on_without(scene: Scene) -> None:
    upgrade(scene)
    scene.engine.says("Failed", "the store cannot be listed")
    scene.look(10.0)
    scene.look(10.0)
    assert (stands(scene), scene.fleet.word("a")) == (OLD, "Held")
    assert held(scene) == (
        "BackupFailed",
        "no snapshot could be made before the change to engine 0.36.1, Kubernetes v1.36.0: the store cannot be listed",
    )
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None
    scene.fleet.ask("approve", "a", found.consent, found.items)
    scene.fleet.run()
    assert (stands(scene), scene.fleet.word("a")) == (NEW, "Ready")


def test_a_snapshot_by_hand_after_that_lets_it_go_on(scene: Scene) -> None:
    upgrade(scene)
    scene.engine.says("Failed", "no")
    scene.look(10.0)
    scene.made()
    scene.look(10.0)
    assert (stands(scene), scene.fleet.word("a")) == (NEW, "Ready")


def test_without_credentials_it_is_held(scene: Scene) -> None:
    scene.fleet.host.delete("", "Secret", HOME_A, "keys")
    upgrade(scene)
    assert (stands(scene), held(scene)[0]) == (OLD, "BackupFailed")
    assert "has no AWS_ACCESS_KEY_ID" in held(scene)[1]


def test_a_control_plane_that_does_not_answer_is_held_too(scene: Scene) -> None:
    scene.fleet.down.add("a")
    upgrade(scene)
    assert (stands(scene), held(scene)[0]) == (OLD, "BackupFailed")
    assert "does not answer" in held(scene)[1]


def test_it_can_be_switched_off(store: ObjectStore) -> None:
    scene = Scene(store, {"kubernetes": {"version": OLD}}, beforeUpgrade=False)
    upgrade(scene)
    scene.look(10.0)
    assert (stands(scene), scene.fleet.word("a"), scene.known.archives) == (NEW, "Ready", ())
    scene.fleet.close()


def test_a_cluster_that_slept_wakes_as_it_was_first(scene: Scene) -> None:
    asleep = {"sleep": {"state": "Asleep"}}
    scene.push(kubernetes={"version": OLD}, **asleep)
    scene.fleet.run()
    upgrade(scene, **asleep)
    assert (stands(scene), scene.fleet.word("a")) == (OLD, "Asleep")
    upgrade(scene)
    scene.look(10.0)
    assert (stands(scene), "running" in scene.told) == (OLD, True)
    scene.engine.completes()
    scene.look(10.0)
    scene.settle()
    scene.look(10.0)
    assert (stands(scene), scene.fleet.word("a")) == (NEW, "Ready")


def test_the_plan_shows_the_change_that_waits(scene: Scene) -> None:
    scene.push(kubernetes={"version": NEW})
    shown = scene.fleet.plans()["a"]
    assert any(change.ref.kind == "StatefulSet" and change.action == "configure" for change in shown.changes)


def test_a_restart_begins_no_second_snapshot(scene: Scene) -> None:
    upgrade(scene)
    first = scene.known.running
    scene.fleet.restart()
    scene.look()
    assert first is not None and scene.known.running is not None and scene.known.running.id == first.id
