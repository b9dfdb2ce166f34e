"""Writes whose answer is lost (A6), and objects that appear while they are created (A2): on a server in memory."""

import copy
from typing import Any

import pytest

from reconciler.plan.fields import managed
from tests import shell
from tests.memory.failures import CUT, HANG, LOST, REFUSED, TIMEOUT, Call, Failure, on
from tests.memory.server import Server
from tests.one_pass import Done, Entries, live, run

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
Obj = dict[str, Any]


def config_map(data: Obj | None = None, **more: Any) -> Obj:
    metadata = {"name": "conf", "namespace": "web", **more}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"a": "1"}}


def fixed(value: str) -> Obj:
    """An object that cannot change in place, and may be replaced."""
    more: Obj = {"annotations": {"nidus.dev/replace": "true"}}
    return {**config_map({"a": value}, **more), "immutable": True}


class Scene:
    def __init__(self, *objects: Obj) -> None:
        self.server = Server()
        self.server.put(NAMESPACE)
        self.client = shell.client(self.server)
        self.entries: Entries = ()
        if objects:
            self.run(*objects)

    def run(self, *objects: Obj, **more: Any) -> Done:
        done = run(self.client, objects, self.entries, **more)
        self.entries = done.entries
        return done

    def writes(self) -> list[str]:
        return [call.verb for call in self.server.log if call.writes]

    def quiet(self, *objects: Obj) -> None:
        self.server.log.clear()
        done = self.run(*objects)
        assert {outcome for _, outcome in done.outcomes} <= {"unchanged"} and not self.writes()


def write(call: Call) -> bool:
    return call.writes and call.kind == "ConfigMap"


DONE = [LOST, HANG, CUT]  # the write took effect
UNDONE = [REFUSED, TIMEOUT]


@pytest.mark.parametrize("failure", DONE, ids=lambda one: one.form)
def test_a_create_that_took_effect_is_confirmed(failure: Failure) -> None:
    scene = Scene()
    scene.server.fail(failure, write)
    done = scene.run(config_map())
    assert done.outcomes == [("ConfigMap/web/conf", "created")]
    assert scene.entries[0].uid == live(scene.client, config_map())["metadata"]["uid"] and scene.writes() == ["apply"]
    scene.quiet(config_map())


@pytest.mark.parametrize("failure", UNDONE, ids=lambda one: one.form)
def test_a_create_that_did_not_is_tried_again(failure: Failure) -> None:
    scene = Scene()
    scene.server.fail(failure, write)
    assert scene.run(config_map()).outcomes == [("ConfigMap/web/conf", "failed")]
    assert scene.entries[0].state == "intended"
    assert scene.run(config_map()).outcomes == [("ConfigMap/web/conf", "created")]


@pytest.mark.parametrize("failure", DONE, ids=lambda one: one.form)
@pytest.mark.parametrize("replaced", [False, True], ids=["created", "replaced"])
def test_an_object_made_again_is_ours_even_if_it_could_not_be_read_back(failure: Failure, replaced: bool) -> None:
    """The inventory has the UID of the object before."""
    scene = Scene(fixed("1"))
    old = scene.entries[0].uid
    if not replaced:
        scene.server.delete("", "ConfigMap", "web", "conf")
    wanted = fixed("2" if replaced else "1")
    scene.server.fail(failure, lambda call: write(call) and call.verb == "apply")
    scene.server.fail(REFUSED, on("get", kind="ConfigMap"), nth=2)  # the first look is for the plan
    assert scene.run(wanted).outcomes == [("ConfigMap/web/conf", "failed")]
    assert live(scene.client, wanted)["metadata"]["uid"] != old == scene.entries[0].uid
    scene.quiet(wanted)
    assert (scene.entries[0].uid, scene.entries[0].state) == (live(scene.client, wanted)["metadata"]["uid"], "owned")


@pytest.mark.parametrize("failure", [*DONE, *UNDONE], ids=lambda one: one.form)
@pytest.mark.parametrize("data", [{"a": "2"}, {"b": "1"}, {"a": "1", "b": "2"}], ids=["changed", "removed", "added"])
def test_a_change_is_confirmed_only_if_it_took_effect(failure: Failure, data: Obj) -> None:
    scene = Scene(config_map())
    scene.server.fail(failure, write)
    done = scene.run(config_map(data))
    assert done.outcomes == [("ConfigMap/web/conf", "configured" if failure in DONE else "failed")]
    assert (live(scene.client, config_map())["data"] == data) == (failure in DONE)
    scene.run(config_map(data))
    assert live(scene.client, config_map())["data"] == data
    assert {f"data.{key}" for key in data} <= set(scene.entries[0].fields)
    scene.quiet(config_map(data))


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("failure", [*DONE, *UNDONE], ids=lambda one: one.form)
def test_a_correction_of_an_edited_key_survives_lost_answers(failure: Failure, nth: int) -> None:
    def service(port: int) -> Obj:
        spec = {"selector": {"a": "b"}, "ports": [{"name": "http", "port": port}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "conf", "namespace": "web"}, "spec": spec}

    scene = Scene(service(80))
    there = copy.deepcopy(live(scene.client, service(80)))
    there["spec"]["ports"][0]["port"] = 81
    scene.server.put(there, manager="kubectl-edit")
    scene.server.fail(failure, lambda call: call.writes, nth=nth)
    scene.run(service(80))
    scene.run(service(80))
    assert [one["port"] for one in live(scene.client, service(80))["spec"]["ports"]] == [80]
    scene.quiet(service(80))


@pytest.mark.parametrize("failure", [*DONE, *UNDONE], ids=lambda one: one.form)
def test_a_deletion_is_over_only_on_proof(failure: Failure) -> None:
    scene = Scene(config_map())
    scene.server.fail(failure, write)
    done = scene.run()
    assert done.outcomes == [("ConfigMap/web/conf", "deleted" if failure in DONE else "failed")]
    assert bool(scene.entries) == (failure not in DONE)
    scene.run()
    assert not scene.entries and scene.server.get("", "ConfigMap", "web", "conf") is None


@pytest.mark.parametrize("drift", ["correct", "report"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("failure", [*DONE, *UNDONE], ids=lambda one: one.form)
def test_a_replacement_ends_whatever_is_lost(failure: Failure, nth: int, drift: str) -> None:
    scene = Scene(fixed("1"))
    old = scene.entries[0].uid
    scene.server.fail(failure, write, nth=nth)
    for _ in range(3):
        scene.run(fixed("2"), drift=drift)
    there = live(scene.client, config_map())
    assert there["data"] == {"a": "2"} and there["metadata"]["uid"] != old
    assert [(one.uid, one.state) for one in scene.entries] == [(there["metadata"]["uid"], "owned")]


# Created meanwhile


class Meanwhile:
    """Somebody creates the object after it was found absent, just before our own create arrives."""

    def __init__(self, server: Server, obj: Obj, before: str = "apply") -> None:
        self.server, self.obj, self.before, self.done = server, obj, before, False

    def __call__(self, call: Call) -> Failure | None:
        if not self.done and call.verb == self.before and not call.dry_run and call.name == "conf":
            self.done = True
            self.server.put(self.obj, manager="somebody")
        return None


def test_what_appears_while_it_is_created_is_reported_and_left() -> None:
    scene = Scene()
    scene.server.choosers.append(Meanwhile(scene.server, config_map({"theirs": "x"})))
    done = scene.run(config_map())
    assert [(one.outcome, one.reason) for one in done.results] == [("failed", "CreatedMeanwhile")]
    there = live(scene.client, config_map())
    assert there["data"] == {"theirs": "x"} and not managed(there)
    assert "annotations" not in there["metadata"] and "labels" not in there["metadata"]
    again = scene.run(config_map())
    assert [(one.action, one.reason) for one in again.plan.changes] == [("hold", "NotOwner")]
    assert not scene.entries and not scene.run().outcomes
    assert live(scene.client, config_map())["data"] == {"theirs": "x"}


def test_what_appears_while_it_is_replaced_is_reported_and_left() -> None:
    scene = Scene(fixed("1"))
    scene.server.choosers.append(Meanwhile(scene.server, config_map({"theirs": "x"})))
    done = scene.run(fixed("2"))
    assert [(one.outcome, one.reason) for one in done.results] == [("failed", "CreatedMeanwhile")]
    assert "could not be taken back" in done.results[0].error  # it made the object immutable
    again = scene.run(fixed("3"))
    assert [(one.action, one.reason) for one in again.plan.changes] == [("hold", "NotOwner")]
    assert live(scene.client, config_map())["data"]["theirs"] == "x"


def test_a_create_that_a_proxy_sent_twice_is_ours() -> None:
    scene = Scene()

    class Twice:
        done = False

        def __call__(self, call: Call) -> Failure | None:
            if not self.done and on("apply", kind="ConfigMap")(call) and not call.dry_run:
                self.done = True
                scene.client.apply(wanted_of(scene))
            return None

    def wanted_of(scene: Scene) -> Obj:
        from tests.server_model import HOST, layer, wanted

        return dict(wanted(layer("web/base", HOST), config_map()).objects[0])

    scene.server.choosers.append(Twice())
    done = scene.run(config_map())
    assert done.outcomes == [("ConfigMap/web/conf", "created")]
