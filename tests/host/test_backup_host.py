"""Snapshots on a real host: as the accounts of controller and engine, past the admission policies, to a real object store (O7)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from tests.host.field import Field
from tests.host.promises import nidus, standing
from tests.host.stores import SECRET, backed, backup, credentials, fault
from tests.object_store import ObjectStore

pytestmark = [pytest.mark.host, pytest.mark.long]


@pytest.fixture
def field(shared_host: TestHost, account: Account, tmp_path: Path, store: ObjectStore) -> Iterator[Field]:
    with backed(account, tmp_path / "stage", store) as made:
        yield made


def listed(field: Field, name: str) -> list[dict[str, Any]]:
    return list(field.status(name).get("backups", {}).get("list", []))


def test_snapshots_of_a_cluster(field: Field, store: ObjectStore) -> None:
    name, _ = standing(field, "kept", backup=backup(store))
    home = f"vcluster-{name}"
    credentials(field, home)

    nidus(field, "backup", name)
    field.until("a whole snapshot", lambda: [one["state"] for one in listed(field, name)] == ["Completed"], 60)
    (one,) = listed(field, name)
    assert one["keys"] > 1 and len(store.names()) == 1
    assert one["id"] in nidus(field, "backups", name)
    field.until("the request is gone", lambda: requests(field, home) == [])

    for what, why in (("cut", "cut short"), ("fail", "cannot be listed")):
        before = len(listed(field, name))
        fault(field, "snapshots", what)
        nidus(field, "backup", name)
        field.until(f"one that failed: {what}", lambda before=before: len(listed(field, name)) > before, 60)
        newest = listed(field, name)[0]
        assert newest["state"] == "Failed" and why in newest["why"]
    assert requests(field, home) == []
    assert field.controller is not None
    assert SECRET not in str(field.status(name)) + field.controller.tail(10_000)

    fault(field, "snapshots", "hang")
    nidus(field, "backup", name)
    field.until("the engine holds a request", lambda: held(field, home), 60)


def requests(field: Field, namespace: str) -> list[str]:
    found = field.admin.list("v1", "ConfigMap", namespace, labels="vcluster.loft.sh/snapshot-request")["items"]
    return [one["metadata"]["name"] for one in found]


def held(field: Field, namespace: str) -> bool:
    found = field.admin.list("v1", "ConfigMap", namespace, labels="vcluster.loft.sh/snapshot-request")["items"]
    return any(one["metadata"].get("finalizers") for one in found)
