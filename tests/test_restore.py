"""Restores in whole passes: in place after an approval, into a new cluster, and what happens where a step of one fails (O9)."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from reconciler.controller.errands import Errands
from reconciler.inventory import requests
from reconciler.model import Ceilings, Request, Restores, Seen, replace
from reconciler.operations import restore
from tests.backups import DAY, HOME_A, SECRET, Scene
from tests.histories.failing import Killed, in_background
from tests.memory.failures import Call, Failure, answer
from tests.memory.server import Server
from tests.object_store import ObjectStore
from tests.passes import HOME, START, cluster, config_map, pack, profile
from tests.restoring import CLAIM, Disk, listed, packed, pod


class Story:
    """A cluster with a whole snapshot, and something that was lost since: ConfigMap `precious`, while `later` is new."""

    def __init__(self, store: ObjectStore, *, fault: str = "", spec: Mapping[str, Any] | None = None) -> None:
        self.scene = scene = Scene(store, spec)
        self.disk = Disk(scene)
        self.disk.claim()
        self.put("precious", "kept")
        scene.made(packed(scene.fleet.nested["a"]))
        self.id = scene.known.archives[0].id
        self.before = listed(scene.fleet.nested["a"])
        scene.fleet.nested["a"].delete("", "ConfigMap", "default", "precious")
        self.put("later", "new")
        self.disk.fault = fault

    def put(self, name: str, text: str) -> None:
        meta = {"name": name, "namespace": "default"}
        self.scene.fleet.nested["a"].put(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": text}}
        )

    def ask(self, snapshot: str = "") -> None:
        """`nidus restore a ID`."""
        end = datetime.fromtimestamp(START + self.scene.fleet.now + DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        spec = {"kind": "restore", "who": "ann", "cluster": "a", "items": [snapshot or self.id], "expires": end}
        meta = {"name": f"restore-{self.scene.fleet.now}", "namespace": HOME}
        self.scene.fleet.host.put({"apiVersion": requests.API, "kind": "Request", "metadata": meta, "spec": spec})
        self.scene.fleet.unheard = True
        self.scene.look()

    def approve(self) -> None:
        held = self.scene.fleet.reporter.clusters["a"].held
        assert held is not None and held.reason == "Restore"
        self.scene.fleet.ask("approve", "a", held.consent, held.items)
        self.go()

    def until_held(self) -> None:
        self.scene.fleet.now += 1.0
        self.ask()
        self.scene.settle()

    def go(self, turns: int = 12, seconds: float = 6.0) -> None:
        """Time passes: the controller looks, the host runs pods."""
        for _ in range(turns):
            self.scene.fleet.queue.add("a")
            self.scene.fleet.run(seconds=seconds)
            self.beside()
            self.scene.fleet.now += seconds
            self.disk.kubelet()

    def beside(self) -> None:
        """What is done beside the passes ends."""
        errands = self.scene.fleet.errands
        assert errands is not None
        while errands._under_way:
            self.scene.fleet.queue.add(self.scene.ended.get(timeout=60))

    def restored(self) -> None:
        self.until_held()
        self.approve()

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(
            msgspec.json.encode(self.scene.fleet.reporter.clusters["a"].life.restore)
        )
        return found

    @property
    def last(self) -> dict[str, Any]:
        return dict(self.told["last"])

    def names(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.scene.fleet.nested["a"].objects("", "ConfigMap", "default")}

    def left(self) -> list[str]:
        """What a restore made on the host and is still there."""
        host = self.scene.fleet.host
        found = [one["metadata"]["name"] for kind in ("Pod", "Secret") for one in host.objects("", kind, HOME_A)]
        return [name for name in found if "-restore-" in name]


@pytest.fixture
def story(store: ObjectStore) -> Iterator[Story]:
    made = Story(store)
    yield made
    made.scene.fleet.close()


def test_every_object_is_back_once_it_was_approved(story: Story) -> None:
    story.until_held()
    fleet = story.scene.fleet
    assert (fleet.word("a"), fleet.condition("a", "Ready").status) == ("Held", "True")
    assert story.names() == {"later"} and story.disk.ran == []
    story.approve()
    assert (fleet.word("a"), story.last["state"], story.last["snapshot"]) == ("Ready", "Completed", story.id)
    after = listed(fleet.nested["a"])
    assert {key: after.get(key) for key in story.before} == story.before
    assert story.names() == {"precious"}
    assert story.left() == [] and "running" not in story.told
    engine = fleet.host.get("apps", "StatefulSet", HOME_A, "a")
    assert engine is not None and engine["spec"]["replicas"] == 1
    assert not [one for one in engine["metadata"].get("annotations") or {} if one.startswith("loft.sh/")]


def test_a_second_look_restores_nothing_again(story: Story) -> None:
    story.restored()
    story.put("after", "later")
    before = story.scene.fleet.state("a")
    story.scene.fleet.restart()
    story.go(4)
    assert "after" in story.names()
    after = story.scene.fleet.state("a")
    assert before is not None and after is not None and before.record == after.record


def test_a_volume_that_was_lost_is_made_again(story: Story) -> None:
    fleet = story.scene.fleet
    fleet.host.delete("", "PersistentVolumeClaim", HOME_A, CLAIM.format("a"))
    nested = fleet.nested["a"]
    for one in [*nested.objects("", "ConfigMap"), *nested.objects("", "Secret")]:
        nested.delete("", one["kind"], one["metadata"]["namespace"], one["metadata"]["name"])
    story.restored()
    assert story.last["state"] == "Completed"
    after = listed(nested)
    assert {key: after.get(key) for key in story.before} == story.before
    claim = fleet.host.get("", "PersistentVolumeClaim", HOME_A, CLAIM.format("a"))
    assert claim is not None and claim["spec"]["resources"]["requests"]["storage"] == "5Gi"


def test_the_engine_is_told_that_it_is_restored_and_stands_still_meanwhile(story: Story) -> None:
    story.disk.fault = "hang"
    story.restored()
    fleet = story.scene.fleet
    engine = fleet.host.get("apps", "StatefulSet", HOME_A, "a")
    assert engine is not None and engine["spec"]["replicas"] == 0
    assert engine["metadata"]["annotations"]["loft.sh/restoring"] == "true"
    assert (fleet.word("a"), fleet.condition("a").reason) == ("Progressing", "Restoring")
    assert fleet.condition("a", "Stalled").status == "False"
    assert story.told["running"] == f"{story.id}, restoring, by request of ann"


def test_its_pod_is_the_engines_and_holds_no_credentials(story: Story) -> None:
    story.disk.fault = "hang"
    story.restored()
    made, engine = pod(story.scene), story.scene.fleet.host.get("apps", "StatefulSet", HOME_A, "a")
    assert engine is not None
    (syncer,) = engine["spec"]["template"]["spec"]["containers"]
    (ours,) = made["spec"]["containers"]
    assert (ours["name"], ours["command"]) == ("snapshot", ["/vcluster", "restore"])
    assert (ours["image"], ours["volumeMounts"]) == (syncer["image"], syncer["volumeMounts"])
    assert ours["securityContext"] == syncer["securityContext"] and ours["resources"] == syncer["resources"]
    assert {"name": "POD_NAME", "value": "a-0"} in ours["env"]
    assert made["spec"]["initContainers"][0]["name"] == "keep"
    data = {"name": "data", "persistentVolumeClaim": {"claimName": CLAIM.format("a")}}
    assert data in made["spec"]["volumes"] and SECRET not in str(made)


def test_no_secret_is_told_anywhere(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    story.restored()
    story.scene.fleet.close()
    host = story.scene.fleet.host
    kept = [*host.objects("", "ConfigMap"), *host.objects("nidus.dev", "NestedCluster")]
    kept += [*host.objects("events.k8s.io", "Event"), *host.objects("nidus.dev", "Request")]
    assert SECRET not in str(kept)
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err


def unharmed(story: Story) -> None:
    """The data of before is there, and the cluster says how its restore ended."""
    assert story.names() == {"later"}
    assert story.last["state"] == "Failed" and "running" not in story.told
    assert story.scene.fleet.word("a") == "Ready" and story.left() == []


@pytest.mark.parametrize("fault", ["fail", "killed"])
def test_a_pod_that_fails_leaves_the_data_of_before(story: Story, fault: str) -> None:
    story.disk.fault = fault
    story.restored()
    story.go()
    unharmed(story)
    assert story.disk.ran == ["snapshot", "back"]
    assert "container snapshot ended with 1" in story.last["why"]


def test_the_way_back_is_tried_until_it_is_done(story: Story) -> None:
    story.disk.fault, story.disk.full = "killed", 2
    story.until_held()
    story.scene.fleet.ask("approve", "a", *_consent(story))
    while "problem" not in story.told:
        story.go(1)
    assert "no space left on device" in story.told["problem"]
    story.go(20, 30.0)
    unharmed(story)


def _consent(story: Story) -> tuple[str, tuple[str, ...]]:
    held = story.scene.fleet.reporter.clusters["a"].held
    assert held is not None
    return held.consent, held.items


def test_a_pod_that_never_ends_is_given_up(story: Story) -> None:
    story.disk.fault = "hang"
    story.restored()
    story.scene.fleet.now += 3700.0
    story.disk.fault = ""
    story.go(20)
    assert "took longer" in story.last["why"]
    assert story.names() == {"later"} and story.scene.fleet.word("a") == "Ready"


def test_a_host_that_refuses_the_pod_gets_its_cluster_back(story: Story) -> None:
    """As one whose rights are of an older release."""

    def refuses(call: Call) -> Failure | None:
        return answer(403) if (call.verb, call.kind) == ("create", "Pod") else None

    story.scene.fleet.host.choosers.append(refuses)
    story.until_held()
    story.scene.fleet.ask("approve", "a", *_consent(story))
    story.go(20, 30.0)
    unharmed(story)
    assert "its pod could not be made" in story.last["why"] and story.disk.ran == []


def test_a_control_plane_that_does_not_come_up_gets_its_data_of_before(story: Story) -> None:
    story.until_held()
    story.scene.fleet.ask("approve", "a", *_consent(story))
    while "snapshot" not in story.disk.ran:
        story.go(1)
    story.scene.fleet.down.add("a")
    while not story.disk.ran.count("back"):
        story.scene.fleet.now += 60.0
        story.go(1)
    story.scene.fleet.down.clear()
    story.go()
    unharmed(story)
    assert "did not come up" in story.last["why"]


def test_a_change_of_versions_waits_beside_it(store: ObjectStore) -> None:
    """It could not be saved before, so it is held; what is restored runs as before."""
    story = Story(store, spec={"kubernetes": {"version": "v1.35.0"}})
    story.scene.fleet.now += 3700.0
    story.scene.push(kubernetes={"version": "v1.36.0"})
    story.scene.fleet.run(seconds=3.0)
    story.scene.look()
    story.scene.engine.says("Failed", "broken")
    story.scene.look(10.0)
    story.restored()
    assert (story.last["state"], story.names()) == ("Completed", {"precious"})
    story.go(3)
    engine = story.scene.fleet.host.get("apps", "StatefulSet", HOME_A, "a")
    assert "v1.35.0" in str(engine) and story.scene.fleet.word("a") == "Held"
    story.scene.fleet.close()


def test_an_archive_that_was_cut_since_is_found_before_anything_stops(story: Story) -> None:
    key = story.scene.known.archives[0].key
    story.scene.store.put(key, story.scene.store.get(key)[:-200])
    story.until_held()
    story.scene.look()
    unharmed(story)
    assert story.disk.ran == [] and "cut short" in story.last["why"]


def test_another_archive_under_its_name_is_not_restored(story: Story) -> None:
    story.put("evil", "x")
    story.scene.store.put(story.scene.known.archives[0].key, packed(story.scene.fleet.nested["a"]))
    story.scene.fleet.nested["a"].delete("", "ConfigMap", "default", "evil")
    story.until_held()
    story.scene.look()
    unharmed(story)
    assert "SHA-256" in story.last["why"]


def test_without_credentials_or_a_store_nothing_stops(story: Story) -> None:
    story.scene.fleet.host.delete("", "Secret", HOME_A, "keys")
    story.ask()
    story.scene.look()
    unharmed(story)
    assert "has no AWS_ACCESS_KEY_ID" in story.last["why"]


def test_wrong_credentials_stop_nothing_and_are_said_without_them(story: Story) -> None:
    story.scene.keys("wrong-secret-0123456789")
    story.until_held()
    story.scene.look()
    unharmed(story)
    assert "refuses the credentials (403 SignatureDoesNotMatch)" in story.last["why"]
    assert "wrong-secret" not in str(story.told)


def test_an_archive_is_not_read_from_a_store_that_the_operator_took_back(story: Story) -> None:
    """It was made when the ceilings allowed its store."""
    story.scene.fleet.registry.govern(replace(story.scene.fleet.rules, ceilings=Ceilings()))
    story.ask()
    story.scene.look()
    unharmed(story)
    told = f"its store {story.scene.store.url} is not one that the operator allows now (ceilings.backupEndpoints)"
    assert story.last["why"] == told and story.disk.ran == []


def test_nor_once_it_was_approved(story: Story) -> None:
    story.until_held()
    story.scene.fleet.registry.govern(replace(story.scene.fleet.rules, ceilings=Ceilings()))
    story.approve()
    unharmed(story)
    assert "is not one that the operator allows now" in story.last["why"] and story.disk.ran == []


def test_a_store_that_is_down_stops_nothing() -> None:
    store = ObjectStore("backups")
    story = Story(store)
    store.close()
    story.until_held()
    story.scene.look()
    unharmed(story)
    assert story.disk.ran == [] and SECRET not in story.last["why"]
    story.scene.fleet.close()


def test_an_archive_that_is_gone_is_told(story: Story) -> None:
    story.scene.store.remove(story.scene.known.archives[0].key)
    story.until_held()
    story.scene.look()
    unharmed(story)


def test_what_is_not_on_record_is_not_restored(story: Story) -> None:
    story.ask("20200101T000000-none")
    story.scene.look()
    assert "there is no whole snapshot" in story.last["why"]
    assert story.names() == {"later"}


def test_a_request_that_is_answered_concerns_nothing(story: Story) -> None:
    """Where a restore is on record and where none is: a step that has nothing to do would be made in every pass."""
    state = story.scene.fleet.state("a")
    assert state is not None
    new = Request("restore", "", "a", "ann", state.record.born + 1.0, items=(story.id,))
    for known in (
        None,
        Restores(),
        Restores(problem="no"),
        Restores(handled=new.created - 1.0),
        Restores(seen=Seen(0.0, ())),
    ):
        assert restore.asked([new], replace(state.record, restores=known)) == new
    for known in (Restores(handled=new.created), Restores(seen=Seen(new.created, (new.uid,)))):
        assert restore.asked([new], replace(state.record, restores=known)) is None


def test_nobody_approves_and_it_ends(story: Story) -> None:
    story.until_held()
    story.scene.fleet.now += DAY + 60
    story.scene.look()
    unharmed(story)
    assert "nobody approved" in story.last["why"]


def test_an_approval_of_one_restore_is_none_of_another(story: Story) -> None:
    story.until_held()
    old = _consent(story)
    story.scene.fleet.now += DAY + 60
    story.scene.look()
    story.until_held()
    story.scene.fleet.ask("approve", "a", *old)
    story.go(3)
    assert story.scene.fleet.word("a") == "Held" and story.names() == {"later"}


def test_what_was_made_anew_since_is_ours_as_it_was(story: Story) -> None:
    """An object of ours that was made anew since the snapshot has another UID in it: it is ours all the same."""
    nested = story.scene.fleet.nested["a"]
    nested.delete("", "ConfigMap", "web", "greeting")
    story.scene.look(400.0)
    made = nested.get("", "ConfigMap", "web", "greeting")
    assert made is not None
    story.restored()
    live = nested.get("", "ConfigMap", "web", "greeting")
    assert live is not None and live["metadata"]["uid"] != made["metadata"]["uid"]
    assert story.scene.fleet.word("a") == "Ready"


class Copy:
    """Cluster `b`, which begins with what `restoreFrom` of its file says."""

    def __init__(self, story: Story, **asks: str) -> None:
        self.story, self.scene = story, story.scene
        self.disk = Disk(self.scene, "b")
        self.asks = {"credentials": "keys", **asks}
        self.push()

    def push(self, **more: Any) -> None:
        packs = profile(pack("base", config_map("greeting", text="one")))
        backup = {
            "location": {"type": "s3", "bucket": "backups", "endpoint": self.scene.store.url},
            "credentials": "keys",
        }
        documents = {"p.yaml": packs, "a.yaml": cluster("a", backup=backup)}
        self.scene.fleet.push(documents | {"b.yaml": cluster("b", **{"restoreFrom": self.asks, **more})})

    def keys(self) -> None:
        data = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": SECRET}
        meta = {"name": "keys", "namespace": "vcluster-b"}
        self.scene.fleet.host.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})

    def go(self, turns: int = 12) -> None:
        errands = self.scene.fleet.errands
        assert errands is not None
        for _ in range(turns):
            self.scene.fleet.queue.add("b")
            self.scene.fleet.run(seconds=6.0)
            while errands._under_way:
                self.scene.fleet.queue.add(self.scene.ended.get(timeout=60))
            self.disk.kubelet()

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(
            msgspec.json.encode(self.scene.fleet.reporter.clusters["b"].life.restore)
        )
        return found


def test_a_copy_begins_with_every_object_of_the_other(story: Story) -> None:
    copy = Copy(story, cluster="a", id=story.id)
    copy.go(3)
    fleet = story.scene.fleet
    assert "has no AWS_ACCESS_KEY_ID" in copy.told["problem"]
    engine = fleet.host.get("apps", "StatefulSet", "vcluster-b", "b")
    assert engine is not None and engine["spec"]["replicas"] == 0
    copy.keys()
    fleet.now += 60.0
    copy.go()
    assert (fleet.word("b"), copy.told["last"]["state"], copy.disk.ran) == ("Ready", "Completed", ["snapshot"])
    assert story.disk.ran == [] and story.names() == {"later"}
    after = listed(fleet.nested["b"])
    ours = {
        ("ConfigMap", "web", "greeting"),
        ("Namespace", "", "web"),
        ("configmaps", "web", "greeting"),
        ("namespaces", "", "web"),
    }
    assert {key: after.get(key) for key in story.before if key not in ours} == {
        key: item for key, item in story.before.items() if key not in ours
    }
    live = fleet.nested["b"].get("", "ConfigMap", "web", "greeting")
    assert live is not None and live["metadata"]["labels"]["inside.nidus.dev/cluster"] == "b"


def test_it_is_acted_on_once(story: Story) -> None:
    copy = Copy(story, cluster="a", id=story.id)
    copy.go(2)
    copy.keys()
    story.scene.fleet.now += 60.0
    copy.go()
    story.scene.fleet.nested["b"].delete("", "ConfigMap", "default", "precious")
    story.scene.fleet.restart()
    copy.push(description="changed")
    copy.go(4)
    assert copy.disk.ran == ["snapshot"]
    assert story.scene.fleet.nested["b"].get("", "ConfigMap", "default", "precious") is None


def test_a_cluster_that_has_data_keeps_it(story: Story) -> None:
    copy = Copy(story, cluster="a", id=story.id)
    packs = profile(pack("base", config_map("greeting", text="one")))
    asks = {"cluster": "a", "id": story.id, "credentials": "keys"}
    story.scene.fleet.push({"p.yaml": packs, "a.yaml": cluster("a", restoreFrom=asks)})
    story.go(3)
    assert "without data" in story.last["why"]
    assert (story.disk.ran, story.names(), copy.disk.ran) == ([], {"later"}, [])


def test_an_address_names_a_snapshot_too(story: Story) -> None:
    copy = Copy(story, url=f"{story.scene.store.url}/backups/{story.scene.known.archives[0].key}")
    copy.go(2)
    copy.keys()
    story.scene.fleet.now += 60.0
    copy.go()
    assert (story.scene.fleet.word("b"), copy.told["last"]["state"]) == ("Ready", "Completed")


def test_a_copy_that_failed_is_tried_again(story: Story) -> None:
    copy = Copy(story, cluster="a", id=story.id)
    copy.go(2)
    copy.keys()
    copy.disk.fault = "killed"
    story.scene.fleet.now += 60.0
    copy.go(6)
    assert "ended with 1" in copy.told["problem"] and story.scene.fleet.condition("b").reason == "Restoring"
    copy.disk.fault = ""
    story.scene.fleet.now += 300.0
    copy.go()
    assert (story.scene.fleet.word("b"), copy.disk.ran[-1]) == ("Ready", "snapshot")


def test_without_it_in_the_file_the_cluster_begins_empty(story: Story) -> None:
    copy = Copy(story, cluster="a", id="20200101T000000-0000000")
    copy.go(3)
    assert "has no whole snapshot" in copy.told["problem"]
    story.scene.fleet.restart()
    copy.go(3)
    engine = story.scene.fleet.host.get("apps", "StatefulSet", "vcluster-b", "b")
    assert engine is not None and engine["spec"]["replicas"] == 0  # it never begins empty by itself
    story.scene.fleet.push(
        {"p.yaml": profile(pack("base", config_map("greeting", text="one"))), "b.yaml": cluster("b")}
    )
    copy.go(3)
    assert story.scene.fleet.word("b") == "Ready"


def test_what_a_pod_half_wrote_goes_when_it_leaves_the_file(story: Story) -> None:
    copy = Copy(story, cluster="a", id=story.id)
    copy.go(2)
    copy.keys()
    copy.disk.fault = "killed"
    story.scene.fleet.now += 60.0
    copy.go(6)
    assert copy.disk.ran
    story.scene.fleet.push(
        {"p.yaml": profile(pack("base", config_map("greeting", text="one"))), "b.yaml": cluster("b")}
    )
    story.scene.fleet.nested["b"] = Server("b", lambda: START + story.scene.fleet.now)  # what a new volume is
    copy.go(6)
    assert story.scene.fleet.host.get("", "PersistentVolumeClaim", "vcluster-b", CLAIM.format("b")) is None
    assert story.scene.fleet.word("b") == "Ready"


def test_a_store_that_the_operator_does_not_list_is_a_mistake(story: Story) -> None:
    Copy(story, url="http://169.254.169.254/backups/a.tar.gz")
    assert "NID183" in str(story.scene.fleet.git.read(story.scene.fleet.git.newest, story.scene.fleet.rules).violations)


class Mortal(Story):
    """A story during which the process ends before its `until`th write."""

    until = 0

    def _again(self) -> None:
        self.scene.ended = queue.SimpleQueue()
        self.scene.fleet.errands = Errands(self.scene.ended.put)
        self.scene.fleet.restart()

    def _kill(self, call: Call) -> Failure | None:
        if call.writes and not in_background(call):
            self.until -= 1
            if self.until == 0:
                raise Killed
        return None


@pytest.mark.parametrize(
    ("fault", "every"),
    [("", 3), pytest.param("", 1, marks=pytest.mark.long), pytest.param("killed", 1, marks=pytest.mark.long)],
)
def test_killed_at_any_write_it_comes_to_one_of_both(store: ObjectStore, fault: str, every: int) -> None:
    life = Life(store, fault)
    for deadly in range(1, 60, every):
        life.live(deadly)
        if life.until > 0:
            assert deadly > 8
            return
    raise AssertionError("the story does not end")


@pytest.mark.long
@pytest.mark.parametrize("fault", ["", "killed"])
def test_a_copy_killed_at_any_write_becomes_one(store: ObjectStore, fault: str) -> None:
    life = CopyLife(store)
    for deadly in range(1, 60):
        life.live(deadly, fault)
        if life.until > 0:
            assert deadly > 6
            return
    raise AssertionError("the story does not end")


class CopyLife(Mortal):
    """The beginning of a copy, lived again and again; each time the process ends before its `deadly`th write."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self.copy = Copy(self, cluster="a", id=self.id)
        self.copy.go(2)
        self.copy.keys()
        fleet = self.scene.fleet
        fleet.now += 60.0
        self.began = fleet.host.snapshot(), fleet.now
        fleet.host.choosers.append(self._kill)

    def live(self, deadly: int, fault: str) -> None:
        fleet, disk = self.scene.fleet, self.copy.disk
        self.until, disk.fault, disk.ran = 0, fault, []
        fleet.host.restore(self.began[0])
        fleet.nested["b"] = Server("b", lambda: START + fleet.now)
        fleet.now = self.began[1]
        self._again()
        self.until = deadly
        for _ in range(60):
            try:
                self.copy.go(1)
            except Killed:
                self._again()
            if disk.ran:
                disk.fault = ""
            fleet.now += 30.0 if disk.ran else 0.0
            if "b" in fleet.reporter.clusters and fleet.word("b") == "Ready":
                break
        assert fleet.word("b") == "Ready", deadly
        assert fleet.nested["b"].get("", "ConfigMap", "default", "precious") is not None, deadly
        assert self.names() == {"later"}


class Life(Mortal):
    """A restore, lived again and again from the same beginning; each time the process ends before its `deadly`th write."""

    def __init__(self, store: ObjectStore, fault: str) -> None:
        super().__init__(store)
        self.meant = fault
        fleet = self.scene.fleet
        self.began = fleet.host.snapshot(), fleet.nested["a"].snapshot(), fleet.now
        fleet.host.choosers.append(self._kill)

    def live(self, deadly: int) -> None:
        fleet = self.scene.fleet
        self.until, self.disk.fault, self.disk.ran, self.disk.kept = 0, self.meant, [], {}
        fleet.host.restore(self.began[0])
        fleet.nested["a"].restore(self.began[1])
        fleet.now = self.began[2]
        self._again()
        self.until = deadly
        self._alive(self.ask)
        for _ in range(60):
            self._alive(self._turn)
            if self.over():
                break
        assert self.names() == ({"later"} if "back" in self.disk.ran else {"precious"}), (deadly, self.disk.ran)
        assert self.left() == [], deadly

    def over(self) -> bool:
        seen = self.scene.fleet.reporter.clusters.get("a")
        told = seen.life.restore if seen is not None else None
        return (
            told is not None
            and told.last is not None
            and not told.running
            and seen is not None
            and seen.word == "Ready"
        )

    def _turn(self) -> None:
        seen = self.scene.fleet.reporter.clusters.get("a")
        if seen is not None and seen.held is not None and seen.held.reason == "Restore":
            self.scene.fleet.ask("approve", "a", seen.held.consent, seen.held.items)
        self.go(1)
        errands = self.scene.fleet.errands
        assert errands is not None
        while errands._under_way:
            self.scene.fleet.queue.add(self.scene.ended.get(timeout=60))

    def _alive(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Killed:
            self._again()
