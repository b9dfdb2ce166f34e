"""A cluster that expired and is born again: what is on record of the life before counts only where its data is still there (O6)."""

from __future__ import annotations

import pytest

from reconciler.model import Location, Ran, Restore, Restored, Restores, Tombstone, replace
from reconciler.operations import expiry
from tests.fleets import record
from tests.object_store import ObjectStore
from tests.test_hooks import GONE_AT_ONCE, Cluster, hook
from tests.test_restore import Copy, Story

HOUR = 3600.0
LAST = Restored("r0", "s0", 1.0, True)
STORE = Location("s3", "backups", "https://s3.example")
UNDER_WAY = Restore("r1", "s1", STORE, "s1.tar.gz", "keys", "its file", 1.0, 1.0, phase="restoring")
RAN = {"web/app": Ran("one", "install", "r")}
BEFORE = replace(record("a"), hooks=RAN, restores=Restores(running=UNDER_WAY, last=LAST, problem="waits"))


@pytest.mark.parametrize(
    ("policy", "hooks", "restores"),
    [
        ("Delete", {}, None),
        ("Retain", RAN, BEFORE.restores),
        ("Orphan", RAN, Restores(last=LAST)),
    ],
)
def test_what_is_on_record_goes_with_the_data(policy: str, hooks: object, restores: object) -> None:
    """A restore goes on in a volume that is still ours, and in no other."""
    stored = replace(BEFORE, tombstone=Tombstone(5.0, 5.0, policy, protect=False, expired=True, done=True))
    again = expiry.reborn(replace(stored, tombstone=None), stored, 9.0)
    assert (again.hooks, again.restores) == (hooks, restores)


def test_its_hooks_of_an_install_run_again() -> None:
    job = hook("in", "pre-install")
    one = Cluster(job, deletion={**GONE_AT_ONCE, "ttl": "1h"})
    one.end("in")
    assert one.fleet.word("a") == "Ready"
    for hours in (2, 3):
        one.fleet.now = hours * HOUR
        one.fleet.run(seconds=5.0)
    assert (one.fleet.word("a"), one.fleet.host.get("", "Namespace", "", "vcluster-a")) == ("Expired", None)
    one.push(job, deletion={**GONE_AT_ONCE, "ttl": "100h"})
    assert (one.names(), one.layer.state) == (["in"], "InProgress"), one.layer.message
    one.end("in")
    assert (one.fleet.word("a"), one.names()) == ("Ready", ["app", "in", "next"])
    one.fleet.close()


def test_it_begins_with_its_snapshot_again(store: ObjectStore) -> None:
    story = Story(store)
    fleet = story.scene.fleet
    copy = Copy(story, cluster="a", id=story.id)
    copy.push(deletion={**GONE_AT_ONCE, "ttl": "100h"})
    for number in (1, 2):
        copy.go(2)
        copy.keys()
        fleet.now += 60.0
        copy.go()
        assert (fleet.word("b"), copy.disk.ran) == ("Ready", ["snapshot"] * number)
        fleet.now += number * 150 * HOUR
        copy.go(3)
        assert (fleet.word("b"), fleet.host.get("", "Namespace", "", "vcluster-b")) == ("Expired", None)
        copy.push(deletion={**GONE_AT_ONCE, "ttl": "200h"})
    fleet.close()
