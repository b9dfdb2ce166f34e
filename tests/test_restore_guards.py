"""What a restore is not misled by (O9): another archive under the same name, the data of another source; and hooks that ran already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from reconciler.model import Archive, Backups, Location, Record, RestoreFrom, replace
from reconciler.operations import restore
from tests.memory.failures import Call, Failure, answer
from tests.object_store import ObjectStore
from tests.passes import cluster, config_map, pack, profile
from tests.restoring import packed
from tests.test_hooks import files, hook
from tests.test_restore import Copy, Story, unharmed


@pytest.fixture
def story(store: ObjectStore) -> Iterator[Story]:
    made = Story(store)
    yield made
    made.scene.fleet.close()


def swap(story: Story) -> None:
    """Somebody writes another whole archive under the name of the snapshot."""
    nested = story.scene.fleet.nested["a"]
    story.put("evil", "x")
    story.scene.store.put(story.scene.known.archives[0].key, packed(nested))
    nested.delete("", "ConfigMap", "default", "evil")


def test_an_archive_that_changes_while_it_is_held_is_not_restored(story: Story) -> None:
    story.until_held()
    swap(story)
    story.approve()
    unharmed(story)
    assert story.disk.ran == [] and "SHA-256" in story.last["why"]


def until_pod(story: Story) -> None:
    """Approved, and read again; the pod is made and has not run."""
    fault, story.disk.fault = story.disk.fault, "hang"
    story.approve()
    assert "restoring" in story.told["running"]
    story.disk.fault = fault


def test_an_archive_that_changes_before_the_pod_reads_it_is_taken_back(story: Story) -> None:
    story.until_held()
    until_pod(story)
    swap(story)
    story.go()
    unharmed(story)
    assert story.disk.ran == ["snapshot", "back"]
    assert "not proven" in story.last["why"] and "SHA-256" in story.last["why"]


def test_an_archive_that_cannot_be_read_again_is_taken_back(story: Story) -> None:
    story.until_held()
    until_pod(story)
    story.disk.kubelet()
    story.scene.store.remove(story.scene.known.archives[0].key)
    story.go(3)
    assert "proving" in story.told["running"] and story.told["problem"]
    story.scene.fleet.now += restore.PROVEN
    story.go()
    unharmed(story)


def test_an_address_is_bound_to_what_was_read_first(story: Story) -> None:
    copy = Copy(story, url=f"{story.scene.store.url}/backups/{story.scene.known.archives[0].key}")
    copy.go(2)
    copy.keys()
    copy.disk.fault = "killed"
    story.scene.fleet.now += 60.0
    copy.go(4)
    assert copy.disk.ran == ["snapshot"]
    swap(story)
    copy.disk.fault = ""
    story.scene.fleet.now += 300.0
    copy.go(4)
    assert copy.disk.ran == ["snapshot"] and "SHA-256" in copy.told["problem"]


@pytest.mark.parametrize("by", ["id", "url"])
def test_the_data_of_another_source_waits_for_who_may_approve_all(story: Story, by: str) -> None:
    fleet = story.scene.fleet
    archive, states = story.scene.known.archives[0], fleet.registry._clusters.states
    states["a"] = replace(states["a"], record=replace(states["a"].record, source="other"))
    url = f"{story.scene.store.url}/backups/{archive.key}"
    copy = Copy(story, **({"cluster": "a", "id": story.id} if by == "id" else {"url": url}))
    copy.go(2)
    copy.keys()
    fleet.now += 60.0
    copy.go(3)
    held = fleet.reporter.clusters["b"].held
    assert (
        held is not None
        and (held.reason, held.about[0], len(held.about)) == ("RestoreOthers", "b", 2)
        and copy.disk.ran == []
    )
    assert "the data of cluster a of source other" in held.message and fleet.word("b") == "Held"
    assert archive.sha256[:16] in held.items[0]
    fleet.ask("approve", "b", held.consent, held.items)
    for source in ("platform", "other"):
        fleet.ask("approve", "", held.consent, held.items, source)  # by a comment on its forge
    copy.go(3)
    assert copy.disk.ran == []
    fleet.ask("approve", "", held.consent, held.items)
    copy.go()
    assert (fleet.word("b"), copy.told["last"]["state"]) == ("Ready", "Completed")


def test_whose_data_an_archive_holds() -> None:
    one = Archive("1", "p/a/1.tar.gz", Location("s3", "b", "https://s3", "r"), 0.0, completed=True)
    record = msgspec.structs.replace(_record(), backups=Backups(archives=(one,)))
    for url in ("https://s3/b/p/a/1.tar.gz", "https://s3.other/b//p/%61/1.tar.gz"):
        assert restore.whose(RestoreFrom("k", url=url), "mine", [record]) == "cluster a of source theirs"
        assert restore.whose(RestoreFrom("k", url=url), "theirs", [record]) == ""
    assert restore.whose(RestoreFrom("k", url="https://s3/b/p/a/2.tar.gz"), "mine", [record]) == ""
    assert restore.whose(RestoreFrom("k", cluster="a", id="1"), "mine", [record]) == "cluster a of source theirs"


def _record() -> Record:
    return Record("theirs", "a", "h", "a.yaml", "main", "c", {}, "n", 0.0)


class Hooked(Story):
    """A cluster one of whose charts has a hook, which ran."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        made = files(hook("once", "post-install,post-upgrade", kind="ConfigMap"))
        base = pack("base", config_map("greeting", text="one"))
        chart = {"name": "app", "namespace": "web", "helm": {"chart": {"path": "chart"}}}
        location = {"type": "s3", "bucket": "backups", "endpoint": store.url, "prefix": "teams"}
        asks = {"location": location, "credentials": "keys"}
        made |= {"p.yaml": profile(base, chart), "a.yaml": cluster("a", backup=asks)}
        self.scene.fleet.push(made)
        self.go(3)
        self.ran, self.uid = self.hooks(), self.made()
        assert self.ran and self.uid

    def hooks(self) -> Any:
        state = self.scene.fleet.state("a")
        assert state is not None
        return state.record.hooks

    def made(self) -> str:
        live = self.scene.fleet.nested["a"].get("", "ConfigMap", "web", "once")
        return str(live["metadata"]["uid"]) if live is not None else ""


@pytest.fixture
def hooked(store: ObjectStore) -> Iterator[Hooked]:
    made = Hooked(store)
    yield made
    made.scene.fleet.close()


def test_hooks_run_again_in_data_that_took_its_place(hooked: Hooked) -> None:
    hooked.restored()
    hooked.go(3)
    assert hooked.last["state"] == "Completed" and hooked.made() not in ("", hooked.uid)


def test_no_hook_runs_again_where_the_pod_changed_nothing(hooked: Hooked) -> None:
    def refuses(call: Call) -> Failure | None:
        return answer(403) if (call.verb, call.kind) == ("create", "Pod") else None

    hooked.scene.fleet.host.choosers.append(refuses)
    hooked.until_held()
    hooked.approve()
    hooked.go(20, 30.0)
    assert "could not be made" in hooked.last["why"]
    hooked.go(3)
    assert (hooked.made(), hooked.hooks()) == (hooked.uid, hooked.ran)


def test_no_hook_runs_again_in_the_data_of_before(hooked: Hooked) -> None:
    hooked.until_held()
    until_pod(hooked)
    hooked.scene.fleet.down.add("a")
    while not hooked.disk.ran.count("back"):
        hooked.scene.fleet.now += 60.0
        hooked.go(1)
    hooked.scene.fleet.down.clear()
    hooked.go()
    assert hooked.last["state"] == "Failed"
    hooked.go(3)
    assert (hooked.made(), hooked.hooks()) == (hooked.uid, hooked.ran)


def test_retention_keeps_the_archive_that_a_held_restore_waits_for(store: ObjectStore) -> None:
    """A newer snapshot is made meanwhile, and one is kept: that of the restore goes only once it is over."""
    story = Story(store)
    scene = story.scene
    scene.backup["retention"] = {"keep": 1}
    scene.push()
    story.until_held()
    scene.made()
    scene.look(10.0)
    story.beside()
    assert scene.known.archives[0].id == story.id and len(scene.store.names()) == 2
    story.approve()
    assert story.last["state"] == "Completed"
    story.go(2)
    (left,) = scene.known.archives
    assert left.id != story.id and scene.store.names() == [left.key]
    scene.fleet.close()


def test_an_archive_that_is_surplus_from_the_pass_on_in_which_it_is_asked_for_is_restored(store: ObjectStore) -> None:
    """`nidus restore a X`, and fewer snapshots are kept from the same pass on: X goes once the restore is over."""
    story = Story(store)
    scene = story.scene
    scene.made()
    scene.backup["retention"] = {"keep": 1}
    scene.push()
    story.until_held()
    story.beside()
    assert scene.known.archives[0].id == story.id and len(scene.store.names()) == 2
    story.approve()
    assert story.last["state"] == "Completed"
    story.go(2)
    assert story.id not in [one.id for one in scene.known.archives] and len(scene.store.names()) == 1
    scene.fleet.close()
