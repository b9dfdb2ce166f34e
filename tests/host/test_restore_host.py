"""A restore on a real host, past the admission policies and quotas, with the keys of a real store (O9)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost.account import Account
from devhost.api import Client
from devhost.hosting import TestHost
from tests.host.field import Field
from tests.host.promises import digest, nidus, standing, write_cluster
from tests.host.stores import SECRET, backed, backup, credentials, fault
from tests.object_store import ObjectStore

pytestmark = [pytest.mark.host, pytest.mark.long]
MANY = 2000


@pytest.fixture
def field(host: TestHost, account: Account, tmp_path: Path, store: ObjectStore) -> Iterator[Field]:
    with backed(account, tmp_path / "stage", store) as made:
        yield made


def listed(inside: Client) -> dict[tuple[str, str], Any]:
    """ConfigMaps and Secrets of default by kind and name, each with its UID and data."""
    kinds = ("ConfigMap", "Secret")
    found = [(kind, one) for kind in kinds for one in inside.list("v1", kind, "default")["items"]]
    return {(kind, one["metadata"]["name"]): (one["metadata"]["uid"], one.get("data")) for kind, one in found}


def last(field: Field, name: str) -> dict[str, Any]:
    return dict(field.status(name).get("restore", {}).get("last", {}))


def restored(field: Field, name: str, snapshot: str, seconds: float = 240.0) -> dict[str, Any]:
    """`nidus restore`, approved, to its end."""
    before = last(field, name).get("time")
    nidus(field, "restore", name, snapshot)
    field.until("it is held", lambda: field.word(name) == "Held")
    nidus(field, "approve", digest(field, name))
    began = time.monotonic()
    field.until("it ended", lambda: last(field, name).get("time", before) != before, seconds)
    field.wait(name, seconds=120.0)
    print(f"restore of {MANY} objects: {time.monotonic() - began:.1f} s from the approval to Ready")
    return last(field, name)


def test_everything_is_back_and_a_copy_has_it_too(field: Field, store: ObjectStore) -> None:
    name, inside = standing(field, "kept", backup=backup(store))
    credentials(field, f"vcluster-{name}")
    for number in range(MANY):
        meta = {"name": f"one-{number}", "namespace": "default"}
        inside.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"number": str(number)}})
    before, began = listed(inside), time.monotonic()
    nidus(field, "backup", name)
    field.until(
        "a snapshot", lambda: [one["state"] for one in field.status(name)["backups"]["list"]] == ["Completed"], 120
    )
    print(f"snapshot of {MANY} objects: {time.monotonic() - began:.1f} s until it was read back")
    snapshot = field.status(name)["backups"]["list"][0]
    assert snapshot["keys"] > MANY
    for number in range(0, MANY, 7):
        inside.delete("v1", "ConfigMap", f"one-{number}", "default")
    inside.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later", "namespace": "default"}})

    fault(field, "restores", "killed")
    ended = restored(field, name, snapshot["id"])
    assert (ended["state"], "killed" in ended["why"]) == ("Failed", True)
    after = listed(field.inside(name))
    assert ("Secret", "later") in after and ("ConfigMap", "one-0") not in after

    fault(field, "restores", "")
    ended = restored(field, name, snapshot["id"])
    assert ended["state"] == "Completed", ended
    assert listed(field.inside(name)) == before
    assert field.controller is not None
    assert SECRET not in str(field.status(name)) + field.controller.tail(20_000)

    asks = {"cluster": name, "id": snapshot["id"], "credentials": "keys"}
    copy = write_cluster(field, "copy", restoreFrom=asks)
    field.push()
    field.until("its namespace", lambda: field.admin.get("v1", "Namespace", f"vcluster-{copy}"))
    credentials(field, f"vcluster-{copy}")
    field.until("the copy", lambda: last(field, copy).get("state") == "Completed", 300)
    field.wait(copy, seconds=120.0)
    theirs = listed(field.inside(copy))
    roots = ("ConfigMap", "kube-root-ca.crt")
    assert {key: one for key, one in theirs.items() if key != roots} == {
        key: one for key, one in before.items() if key != roots
    }
