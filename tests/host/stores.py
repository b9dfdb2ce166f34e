"""What the tests of snapshots and restores on a real host share: an object store that the operator lists, credentials, faults."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from devhost import stage
from devhost.account import Account
from tests.host.field import Field, opened
from tests.object_store import KEYS, ObjectStore

SECRET = KEYS["access"]
Errand = Literal["snapshots", "restores"]


@contextmanager
def backed(account: Account, folder: Path, store: ObjectStore) -> Iterator[Field]:
    """A field whose operator lists the store; at its end the engines of the host do as they should again."""
    ceilings = {**stage.CEILINGS, "backupEndpoints": [store.url]}
    made = opened(account, folder, {"ceilings": ceilings})
    try:
        yield made
    finally:
        fault(made, "snapshots", "")
        fault(made, "restores", "")
        made.end()


def backup(store: ObjectStore) -> Mapping[str, Any]:
    """What a cluster's file says of its snapshots."""
    return {"location": {"type": "s3", "bucket": "backups", "endpoint": store.url}, "credentials": "keys"}


def credentials(field: Field, namespace: str) -> None:
    data = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": SECRET}
    meta = {"name": "keys", "namespace": namespace}
    field.admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})


def fault(field: Field, errand: Errand, what: str) -> None:
    """What goes wrong at the engines' snapshots or restores from now on; "": nothing."""
    (field.account.hosted.folder / "nested" / errand).write_text(what)
