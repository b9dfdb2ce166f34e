"""Snapshots in whole passes: asked of the engine as it expects, read back from a real object store, kept and removed (O7, O10)."""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from reconciler import archives
from reconciler.controller.errands import Errands
from reconciler.model import Answer, Errand
from tests.backups import DAY, FINALIZER, HOME_A, HOUR, LABEL, SECRET, WHOLE, Scene, labels
from tests.histories.failing import in_background
from tests.memory.failures import Call, Failure, answer
from tests.object_store import ObjectStore, archive
from tests.passes import START, cluster, config_map, pack, profile


@pytest.fixture
def scene(store: ObjectStore) -> Iterator[Scene]:
    made = Scene(store)
    yield made
    made.fleet.close()


def test_it_is_asked_as_the_engine_expects(scene: Scene) -> None:
    scene.ask()
    asked, options = scene.engine.request(), scene.engine.options()
    name = asked["metadata"]["name"]
    assert name.startswith("a-snapshot-request-")
    expected = {LABEL: "", "vcluster.loft.sh/vcluster-namespace": HOME_A, "vcluster.loft.sh/vcluster-name": "a"}
    assert labels(asked) == expected
    secret = scene.fleet.host.get("", "Secret", HOME_A, name)
    assert secret is not None and labels(secret) == expected
    assert int(secret["metadata"]["resourceVersion"]) < int(asked["metadata"]["resourceVersion"])
    body = msgspec.json.decode(asked["data"]["snapshotRequest"])
    assert body["metadata"]["name"] == name and body["status"] == {}
    assert body["spec"]["url"] == f"s3://backups/{options['s3']['key']}"
    assert options["s3"]["key"].startswith("teams/a/")
    assert (options["type"], options["s3"]["secret-access-key"], options["s3"]["force-path-style"]) == (
        "s3",
        SECRET,
        True,
    )
    assert (options["release"]["releaseName"], options["release"]["releaseNamespace"]) == ("a", HOME_A)
    assert msgspec.json.decode(base64.b64decode(options["release"]["values"]))["controlPlane"]


def test_completed_counts_once_it_was_read_back(scene: Scene) -> None:
    scene.ask()
    assert scene.told["running"].endswith("sent, by request of ann")
    scene.engine.completes()
    scene.look(10.0)
    assert "list" in scene.told and scene.told["list"] == []
    assert scene.requests() == []
    scene.settle()
    (one,) = scene.known.archives
    assert (one.completed, one.keys, one.engine, one.kubernetes) == (True, 12, "0.36.1", "v1.36.0")
    assert scene.store.names() == [one.key] and len(one.sha256) == 64
    shown = scene.told["list"][0]
    assert (shown["state"], shown["keys"], shown["id"]) == ("Completed", 12, one.id)
    assert one.commit and one.commit[:7] in one.id
    assert "nidus_backup_completed_timestamp{" in scene.fleet.reporter.metrics.text().decode()


def test_one_under_way_is_read_where_it_was_sent(scene: Scene) -> None:
    """A commit moves the bucket meanwhile: the one under way was promised to the old one."""
    scene.ask()
    scene.backup["location"] = {"type": "s3", "bucket": "elsewhere", "endpoint": scene.store.url}
    scene.push()
    scene.fleet.run()
    scene.engine.completes()
    scene.look(10.0)
    scene.settle()
    (one,) = scene.known.archives
    assert (one.completed, one.location.bucket) == (True, "backups")


@pytest.mark.parametrize("left", [0, 100])
def test_completed_by_its_word_and_cut_at_the_store_failed(scene: Scene, left: int) -> None:
    scene.made(archive(WHOLE)[:left] if left else b"")
    (one,) = scene.known.archives
    assert (one.completed, one.keys) == (False, 0) and one.why
    assert scene.told["list"][0]["state"] == "Failed"


@pytest.mark.parametrize("phase", ["Failed", "PartiallyFailed", "Canceled"])
def test_what_the_engine_could_not_make_failed(scene: Scene, phase: str) -> None:
    scene.ask()
    scene.engine.says(phase, f"denied for {SECRET}")
    scene.look(10.0)
    (one,) = scene.known.archives
    assert (one.completed, one.why) == (False, "denied for (credential)")
    assert scene.requests() == []


def test_what_is_asked_for_in_the_second_of_one_that_ended_is_another(scene: Scene) -> None:
    """The API server tells whole seconds."""
    scene.fleet.now = 100.2
    for count in (1, 2, 3):
        scene.ask()
        assert scene.known.running is not None
        scene.engine.says("Failed", "no space")
        scene.look(0.1)
        assert (len(scene.known.archives), scene.known.running) == (count, None)
        scene.fleet.now += 0.3
    assert len({one.id for one in scene.known.archives}) == len({one.key for one in scene.known.archives}) == 3
    scene.fleet.restart()
    scene.look()
    assert (len(scene.known.archives), scene.known.running) == (3, None)


def test_one_that_hangs_is_given_up_and_the_next_is_another(scene: Scene) -> None:
    scene.ask()
    scene.engine.says("CreatingEtcdBackup")
    scene.fleet.now += HOUR + 60
    scene.look(10.0)
    assert "took longer" in scene.known.archives[0].why
    scene.made()
    assert [one.completed for one in scene.known.archives] == [False, True]
    assert len({one.key for one in scene.known.archives}) == 2


def test_no_secret_is_told_anywhere(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.made()
    scene.fleet.close()
    kept = [one for kind in ("ConfigMap",) for one in scene.fleet.host.objects("", kind)]
    kept += scene.fleet.host.objects("nidus.dev", "NestedCluster") + scene.fleet.host.objects("events.k8s.io", "Event")
    assert SECRET not in str(kept)
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err


def test_a_second_look_makes_no_second_snapshot(scene: Scene) -> None:
    scene.made()
    before = scene.known
    for _ in range(3):
        scene.look()
    scene.fleet.restart()
    scene.look()
    assert (scene.known, scene.requests()) == (before, [])


def test_a_process_that_ends_in_between_goes_on(scene: Scene) -> None:
    scene.ask()
    scene.fleet.restart()
    scene.look()
    scene.engine.completes()
    scene.look(10.0)
    scene.ended.get(timeout=60)  # its answer dies with the process
    scene.fleet.errands = Errands(scene.ended.put)
    scene.fleet.restart()
    scene.look(10.0)
    scene.settle()
    assert [one.completed for one in scene.known.archives] == [True]


MET: dict[str, Callable[[Call], bool]] = {
    "nothing can be read": lambda call: call.verb in ("get", "list"),
    "nothing can be saved": lambda call: call.writes and not in_background(call),
    "the keys cannot be read": lambda call: (call.kind, call.name) == ("Secret", "keys"),
}


@pytest.mark.parametrize("met", MET)
def test_an_archive_is_read_once_whatever_the_pass_after_it_met(store: ObjectStore, met: str) -> None:
    """Its answer is not lost where a pass fails, or ends before it comes to the snapshot: an archive may be large."""
    scene, ran = Scene(store), list[str]()

    def run(one: Errand) -> Answer:
        ran.append(one.does)
        return archives.run(one)

    scene.fleet.errands = Errands(scene.ended.put, run)
    scene.fleet.restart()
    scene.ask()
    scene.engine.completes()
    scene.look(10.0)
    rule = scene.fleet.host.fail(answer(503), MET[met], times=None)
    scene.settle()
    scene.fleet.host.heal(rule)
    scene.fleet.now += 600.0
    scene.look(10.0)
    assert [one.completed for one in scene.known.archives] == [True] and ran == ["read"]
    assert scene.fleet.errands.answers("a") == {}
    scene.fleet.close()


def test_retention_removes_what_the_record_lists_and_nothing_else(store: ObjectStore) -> None:
    scene = Scene(store, retention={"keep": 2})
    store.put("teams/a/20200101T000000-foreign.tar.gz", b"of somebody else")
    for _ in range(3):
        scene.made()
    first = scene.known.archives[0]
    scene.settle()
    assert [one.id for one in scene.known.archives if one.completed] == [one.id for one in scene.known.archives]
    assert len(scene.known.archives) == 2
    assert first.key not in store.names() and "teams/a/20200101T000000-foreign.tar.gz" in store.names()
    scene.fleet.close()


def test_old_ones_go_and_the_newest_whole_one_stays(store: ObjectStore) -> None:
    scene = Scene(store, retention={"keep": 9, "period": "2d"})
    scene.made()
    scene.made()
    scene.fleet.now += 5 * DAY
    scene.look(10.0)
    scene.settle()
    assert len(scene.known.archives) == 1
    assert store.names() == [scene.known.archives[0].key]
    scene.fleet.close()


def at_schedule(store: ObjectStore) -> Scene:
    when = datetime.fromtimestamp(START + 2 * HOUR + 60, UTC)
    return Scene(store, schedule=f"{when.minute} {when.hour} * * *")


def test_its_schedule_makes_one(store: ObjectStore) -> None:
    scene = at_schedule(store)
    assert scene.known.running is None
    scene.fleet.now = 2 * HOUR + 120
    scene.look()
    assert scene.told["running"].endswith("by schedule")
    scene.engine.completes()
    scene.look(10.0)
    scene.settle()
    assert [one.completed for one in scene.known.archives] == [True]
    scene.fleet.close()


def test_one_missed_by_sleep_is_made_once_after_waking(store: ObjectStore) -> None:
    scene = at_schedule(store)
    scene.push(sleep={"state": "Asleep"})
    scene.fleet.run()
    scene.fleet.now = 3 * HOUR
    scene.look()
    assert (scene.fleet.word("a"), scene.known.running, scene.requests()) == ("Asleep", None, [])
    scene.push()
    scene.fleet.run()
    scene.look()
    assert scene.told["running"].endswith("by schedule")
    scene.engine.completes()
    scene.look(10.0)
    scene.settle()
    scene.look()
    assert len(scene.known.archives) == 1
    scene.fleet.close()


def test_without_credentials_it_is_said(scene: Scene) -> None:
    scene.fleet.host.delete("", "Secret", HOME_A, "keys")
    scene.ask()
    assert scene.told["problem"] == ("Secret keys in vcluster-a has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    assert scene.fleet.word("a") == "Ready"


def test_wrong_credentials_are_said_without_them(scene: Scene) -> None:
    """An engine may have other rights than they give us: what nobody could read back is no snapshot."""
    scene.keys("wrong-secret-0123456789")
    scene.made()
    (one,) = scene.known.archives
    told = "the object store refuses the credentials (403 SignatureDoesNotMatch): they are wrong, have ended, or lack a right"
    assert (one.completed, one.why) == (False, told)
    assert "wrong-secret" not in str(scene.told) and told in str(scene.told)
    assert scene.fleet.word("a") == "Ready"


def test_an_object_store_that_the_operator_does_not_list_is_a_mistake(scene: Scene) -> None:
    scene.backup["location"] = {"type": "s3", "bucket": "backups", "endpoint": "http://169.254.169.254"}
    scene.push()
    scene.fleet.run()
    assert scene.fleet.word("a") == "Invalid"
    assert "NID183" in scene.fleet.condition("a", "Stalled").message


def test_store_etcd_has_no_snapshots(scene: Scene) -> None:
    scene.push(controlPlane={"store": {"type": "etcd"}})
    scene.fleet.run()
    assert "no snapshots of store etcd" in str(scene.fleet.condition("a", "Stalled").message)


def test_before_a_removed_engine_goes_its_snapshot_is_taken_back(scene: Scene) -> None:
    """Else the engine's own finalizer would keep the namespace for ever (D2, D5)."""
    scene.push(deletion={"policy": "Delete", "grace": "0s"})
    scene.fleet.run()
    scene.ask()
    scene.engine.says("CreatingEtcdBackup", holds=True)
    packs = profile(pack("base", config_map("greeting", text="one")))
    scene.fleet.push({"p.yaml": packs, "b.yaml": cluster("b")})
    scene.fleet.run(seconds=1.0)
    assert scene.fleet.host.get("apps", "StatefulSet", HOME_A, "a") is not None
    assert "deletionTimestamp" in scene.engine.request()["metadata"]
    scene.engine.says("Canceled")
    scene.fleet.run()
    assert scene.fleet.host.get("", "Namespace", "", HOME_A) is None


def test_what_an_engine_held_and_left_does_not_keep_the_namespace(scene: Scene) -> None:
    """It ended, or is hostile: its finalizer goes once none of its pods is left, and no other finalizer does (D5)."""
    scene.push(deletion={"policy": "Delete", "grace": "0s"})
    scene.fleet.run()
    for name, holds in (("theirs", FINALIZER), ("other", "example.com/mine")):
        meta = {"name": name, "namespace": HOME_A, "labels": {LABEL: ""}, "finalizers": [holds]}
        scene.fleet.host.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}, manager="vcluster")
    pod = {"name": "a-0", "namespace": HOME_A, "labels": {"app": "vcluster", "release": "a"}}
    spec = {"containers": [{"name": "c", "image": "c"}]}
    scene.fleet.host.put({"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec})
    packs = profile(pack("base", config_map("greeting", text="one")))
    scene.fleet.push({"p.yaml": packs, "b.yaml": cluster("b")})
    scene.fleet.run(seconds=5.0)
    assert held(scene) == {"theirs", "other"}
    scene.fleet.host.delete("", "Pod", HOME_A, "a-0")
    scene.fleet.run()
    assert held(scene) == {"other"}


def test_nothing_is_asked_of_its_namespace_once_our_rights_there_are_gone(scene: Scene) -> None:
    """They go with the policies, before the namespace."""
    host = scene.fleet.host

    def denies(call: Call) -> Failure | None:
        asks = (call.verb, call.kind, call.namespace) == ("list", "ConfigMap", HOME_A)
        bound = host.get("rbac.authorization.k8s.io", "RoleBinding", HOME_A, "nidus-tenant")
        return answer(403) if asks and bound is None else None

    scene.push(deletion={"policy": "Delete", "grace": "0s"})
    scene.fleet.run()
    host.choosers.append(denies)
    packs = profile(pack("base", config_map("greeting", text="one")))
    scene.fleet.push({"p.yaml": packs, "b.yaml": cluster("b")})
    scene.fleet.run()
    assert host.get("", "Namespace", "", HOME_A) is None


def held(scene: Scene) -> set[str]:
    found = scene.fleet.host.objects("", "ConfigMap", HOME_A)
    return {one["metadata"]["name"] for one in found if one["metadata"].get("finalizers")}
