"""Snapshots on a real host: as the accounts of controller and engine, past the admission policies, to a real object store (O7)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost import stage
from devhost.account import Account
from devhost.hosting import TestHost
from tests.host.field import Field, opened
from tests.host.promises import nidus, standing
from tests.object_store import ObjectStore

pytestmark = [pytest.mark.host, pytest.mark.long]
SECRET = "secret-of-the-store-0123456789"


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    made = ObjectStore("backups")
    yield made
    made.close()


@pytest.fixture
def field(shared_host: TestHost, account: Account, tmp_path: Path, store: ObjectStore) -> Iterator[Field]:
    ceilings = {**stage.CEILINGS, "backupEndpoints": [store.url]}
    made = opened(account, tmp_path / "stage", {"ceilings": ceilings})
    yield made
    fault(made, "")
    made.end()


def fault(field: Field, what: str) -> None:
    """What goes wrong at the engine from now on."""
    (field.account.hosted.folder / "nested" / "snapshots").write_text(what)


def listed(field: Field, name: str) -> list[dict[str, Any]]:
    return list(field.status(name).get("backups", {}).get("list", []))


def test_snapshots_of_a_cluster(field: Field, store: ObjectStore) -> None:
    location = {"type": "s3", "bucket": "backups", "endpoint": store.url}
    name, _ = standing(field, "kept", backup={"location": location, "credentials": "keys"})
    home = f"vcluster-{name}"
    data = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": SECRET}
    meta = {"name": "keys", "namespace": home}
    field.admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})

    nidus(field, "backup", name)
    field.until("a whole snapshot", lambda: [one["state"] for one in listed(field, name)] == ["Completed"], 60)
    (one,) = listed(field, name)
    assert one["keys"] > 1 and len(store.names()) == 1
    assert one["id"] in nidus(field, "backups", name)
    field.until("the request is gone", lambda: requests(field, home) == [])

    for what, why in (("cut", "cut short"), ("fail", "cannot be listed")):
        before = len(listed(field, name))
        fault(field, what)
        nidus(field, "backup", name)
        field.until(f"one that failed: {what}", lambda before=before: len(listed(field, name)) > before, 60)
        newest = listed(field, name)[0]
        assert newest["state"] == "Failed" and why in newest["why"]
    assert requests(field, home) == []
    assert field.controller is not None
    assert SECRET not in str(field.status(name)) + field.controller.tail(10_000)

    fault(field, "hang")
    nidus(field, "backup", name)
    field.until("the engine holds a request", lambda: held(field, home), 60)


def requests(field: Field, namespace: str) -> list[str]:
    found = field.admin.list("v1", "ConfigMap", namespace, labels="vcluster.loft.sh/snapshot-request")["items"]
    return [one["metadata"]["name"] for one in found]


def held(field: Field, namespace: str) -> bool:
    found = field.admin.list("v1", "ConfigMap", namespace, labels="vcluster.loft.sh/snapshot-request")["items"]
    return any(one["metadata"].get("finalizers") for one in found)
