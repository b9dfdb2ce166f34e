"""The host itself: its storage restored, its API server killed, its etcd paused, under a running controller (faults-found.md 1, 2, 13)."""

import time
from pathlib import Path

import pytest

from devhost import faults
from tests.faults.lab import Lab
from tests.faults.test_lab_host import bounded, change, entries, quota_of, standing
from tests.host.test_input_repository import deletes
from tests.host.test_process_life import greeting

pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.timeout(400)]

RESTORED = 120.0  # seconds until everything that Git wants is there again


def test_the_host_is_restored_to_an_earlier_snapshot(lone_lab: Lab, tmp_path: Path) -> None:
    """What was made since is there again within two minutes, what was changed too, nothing is deleted, the next commit is applied."""
    lab = lone_lab
    first, second = standing(lab, "a", "b")
    lab.quiet()
    snapshot = faults.snapshot(lab.account.hosted.host, tmp_path / "snapshot")
    later = bounded(lab, "c")
    commit = change(lab, "two", "a", "b", "c")
    for name in (first, second, later):
        lab.until(f"{name} is applied", lambda name=name: lab.applied(name, commit), 120)
        lab.wait(name)
    lab.quiet()
    gone, before = quota_of(lab, later), uid_of_home(lab, later)
    faults.restore(lab.account.hosted.host, snapshot)
    assert uid_of_home(lab, later) != before  # not there, or made anew already

    def there() -> bool:
        names = (first, second, later)
        return (
            lab.admin.get("v1", "ResourceQuota", gone, f"vcluster-{later}") is not None
            and all(lab.word(name) == "Ready" and lab.applied(name, commit) for name in names)
            and all(lab.record(name) for name in names)
        )

    lab.heal("1, 2: the host restored to an earlier snapshot", there, RESTORED)
    assert lab.lives
    commit = change(lab, "three", "a", "b", "c")
    for name in (first, second, later):
        lab.heal(f"the next commit on {name}", lambda name=name: lab.applied(name, commit), 60)
        assert greeting(lab, name) == "three"
    assert deletes(lab) == []


def uid_of_home(lab: Lab, name: str) -> str:
    found = lab.admin.get("v1", "Namespace", f"vcluster-{name}")
    return str(found["metadata"]["uid"]) if found else ""


def test_the_storage_hangs_and_the_server_is_killed(lone_lab: Lab) -> None:
    """Lab 13: with a Lease of 30 s neither etcd paused for 8 s nor a killed server ends the process; the next commit is applied."""
    lab = lone_lab
    (name,) = standing(lab, "a")
    before = entries(lab, name)
    host = lab.account.hosted.host
    with faults.paused(host, faults.STORE):
        time.sleep(8)  # the fault
    commit = change(lab, "two")
    lab.heal("13: etcd paused for 8 s", lambda: lab.applied(name, commit))
    faults.kill(host, faults.SERVER)
    faults.restart(host, faults.SERVER)
    commit = change(lab, "three")
    lab.heal("13: API server killed and back", lambda: lab.applied(name, commit))
    assert lab.lives
    assert entries(lab, name) == before
    assert greeting(lab, name) == "three"
    assert deletes(lab) == []
