"""The pod of a restore, as the product makes it, with the official engine's own command: what it leaves on the volume."""

import base64
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost.nested import real
from devhost.nested.real_restores import PATH
from reconciler.model import Bundle, Keys, Location, Restore, Revision, replace
from reconciler.operations import restore_pod
from tests.object_store import KEYS, ObjectStore, archive

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not os.environ.get("NIDUS_VCLUSTER"), reason="needs the official engine: NIDUS_VCLUSTER"),
]

BUNDLE = Bundle("a", "vcluster-a", Revision("main", "1"), (), "d")
SYNCER = {
    "name": "syncer",
    "image": "vcluster",
    "env": [{"name": "VCLUSTER_NAME", "value": "a"}],
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}
CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
ENGINE = restore_pod.engine({"spec": {"template": {"spec": {"containers": [SYNCER]}}, "volumeClaimTemplates": [CLAIM]}})
MAPS = [f"/registry/configmaps/default/one-{number}" for number in range(50)]


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    made = ObjectStore("backups")
    made.put("a", archive(dict.fromkeys(MAPS, b"{}")))
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with what the pod mounts in `pod`, and an empty volume in `data`."""
    for part in ("root", "data", *(f"pod/{part}" for part in real.MOUNTS)):
        (tmp_path / part).mkdir(parents=True)
    real.put_programs(tmp_path / "pod")
    (tmp_path / "pod/var/lib/vcluster/config.yaml").write_text(yaml.safe_dump({}))
    return tmp_path


def run(place: Path, store: ObjectStore, **how: Any) -> int:
    """Run the containers of the pod one after the other until one fails; returns how the last one ended."""
    location = Location("s3", "backups", store.url)
    wanted = replace(Restore("r1", "s", location, "a", "keys", "ann", 0.0, 0.0), **how)
    secret = restore_pod.secret(wanted, BUNDLE, Keys("access", KEYS["access"]))
    options = base64.b64decode(secret["data"][restore_pod.OPTIONS]).decode()
    assert not isinstance(ENGINE, str)
    spec = restore_pod.pod(wanted, BUNDLE, ENGINE)["spec"]
    for one in [*spec.get("initContainers", ()), *spec["containers"]]:
        values = {each["name"]: each.get("value", options) for each in one.get("env", ())}
        command = [os.environ["NIDUS_VCLUSTER"] if word == "/vcluster" else word for word in one["command"]]
        argv = real.isolated(place / "root", place / "pod", place / "data", command)
        done = subprocess.run(argv, env={"PATH": PATH, **values}, capture_output=True, timeout=120, check=False)
        if done.returncode:
            break
    return done.returncode


def keys(place: Path) -> list[str]:
    """The keys of ConfigMaps in the store on the volume."""
    with sqlite3.connect(place / "data/state.db") as opened:
        return [
            row[0]
            for row in opened.execute("select distinct name from kine where name like '/registry/config%' order by id")
        ]


def test_the_command_fills_an_empty_volume_and_replaces_what_is_there(place: Path, store: ObjectStore) -> None:
    assert run(place, store, fresh=True) == 0
    assert keys(place) == MAPS
    store.put(
        "a",
        archive({"/registry/configmaps/default/other": b"{}", "/registry/configmaps/default/kube-root-ca.crt": b"{}"}),
    )
    assert run(place, store, clone=True) == 0
    assert keys(place) == ["/registry/configmaps/default/other"]
    assert (place / "data/.nidus-restore/r1/whole").exists()


def test_an_archive_that_is_cut_changes_nothing_after_the_way_back(place: Path, store: ObjectStore) -> None:
    assert run(place, store, fresh=True) == 0
    whole = archive(dict.fromkeys(MAPS, os.urandom(100)))
    store.put("a", whole[: len(whole) // 2])
    assert run(place, store) != 0
    assert run(place, store, back=True) == 0
    assert keys(place) == MAPS
