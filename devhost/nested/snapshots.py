"""The engine's snapshots of its store, as its contract has them (vCluster 0.36: pkg/snapshot/controller.go, api pkg/snapshot).

A ConfigMap asks for one, a Secret of its name holds the options. A file `nested/snapshots` in the host's folder makes what follows go
wrong: `fail`, `hang`, or `cut` (the upload ends early, and the engine says Completed all the same).
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from devhost.api import Client, Object
from devhost.errors import HostError
from devhost.following import Reflector, Workers, key_of
from devhost.nested.contract import Engine
from devhost.nested.keys import Pair

LABEL: Final = "vcluster.loft.sh/snapshot-request"
NAME: Final = "vcluster.loft.sh/vcluster-name"
FINALIZER: Final = "vcluster.loft.sh/snapshot-controller"
PATIENCE: Final = 10.0  # seconds for which the Secret is waited for
KEPT: Final = 86400.0  # seconds after which a request that ended goes
ENDED: Final = frozenset({"Completed", "Failed", "Canceled"})
KINDS: Final = (("configmaps", "ConfigMap"), ("secrets", "Secret"), ("services", "Service"))

Key = tuple[str, str]
Inside = Callable[[Engine], "tuple[Client, str] | None"]
"""A client of the nested cluster and what the names of its namespaces begin with; None while it does not run."""


class Snapshots:
    """Answers the requests of all engines that run. `keys`: those of an engine's store; without it some kinds of objects are told."""

    def __init__(
        self,
        host: Client,
        host_of: Callable[[Engine], Client],
        inside: Inside,
        faults: Path,
        stop: threading.Event,
        keys: Callable[[Engine], list[Pair]] | None = None,
    ) -> None:
        self._keys = keys
        self._host_of, self._inside, self._faults = host_of, inside, faults
        self._began: dict[Key, float] = {}
        self._workers: Workers[Key] = Workers("snapshot", self._answer, stop)
        self._requests = Reflector(host, "v1", "ConfigMap", self._seen, stop, labels=LABEL)

    def start(self) -> None:
        self._workers.start()
        self._requests.start()

    def _seen(self, _: str, item: Object) -> None:
        self._workers.add(key_of(item))

    def _answer(self, key: Key) -> float | None:
        live = self._requests.items.get(key)
        if live is None:
            self._began.pop(key, None)
            return None
        engine = Engine(key[0], str(live["metadata"].get("labels", {}).get(NAME, "")))
        nested = self._inside(engine)
        if nested is None:
            return 2.0
        host, asked = self._host_of(engine), json.loads(live["data"]["snapshotRequest"])
        phase = asked.get("status", {}).get("phase", "")
        if live["metadata"].get("deletionTimestamp"):
            _write(host, live, None, [])
            return None
        if phase in ENDED:
            return self._expired(host, live)
        return self._made(host, engine, nested, live, asked)

    def _expired(self, host: Client, live: Object) -> float | None:
        made = datetime.fromisoformat(live["metadata"]["creationTimestamp"])
        left = KEPT - (datetime.now(UTC) - made).total_seconds()
        if left > 0:
            return left
        host.delete("v1", "ConfigMap", live["metadata"]["name"], live["metadata"]["namespace"])
        return None

    def _made(self, host: Client, engine: Engine, nested: tuple[Client, str], live: Object, asked: Any) -> float | None:
        namespace, name = key_of(live)
        secret = host.get("v1", "Secret", name, namespace)
        if secret is None:
            waited = time.monotonic() - self._began.setdefault((namespace, name), time.monotonic())
            return 0.5 if waited < PATIENCE else self._over(host, live, asked, "Failed", "no Secret of that name")
        fault = self._faults.read_text().strip() if self._faults.exists() else ""
        if asked.get("status", {}).get("phase") != "CreatingEtcdBackup":
            live = _write(host, live, {**asked, "status": {"phase": "CreatingEtcdBackup"}}, [FINALIZER])
        if fault == "hang":
            return 1.0
        if fault == "fail":
            return self._over(host, live, asked, "Failed", "the store cannot be listed")
        try:
            pairs = self._keys(engine) if self._keys is not None else _objects(*nested)
            data = _archive(pairs)
            _upload(json.loads(base64.b64decode(secret["data"]["snapshotOptions"])), data, cut=fault == "cut")
        except Exception as error:  # of the client of the object store: as the engine does, it says so
            return self._over(host, live, asked, "Failed", f"upload: {error}"[:500])
        return self._over(host, live, asked, "Completed", "")

    def _over(self, host: Client, live: Object, asked: Any, phase: str, message: str) -> float | None:
        namespace, name = key_of(live)
        status = {"phase": phase, **({"error": {"message": message}} if message else {})}
        _write(host, live, {**asked, "status": status}, [])
        host.delete("v1", "Secret", name, namespace)
        return None


def _write(host: Client, live: Object, asked: Any, finalizers: list[str]) -> Object:
    """What the engine writes into a request; the object as it is now. Raises HostError where it changed: it is seen again."""
    fresh = host.get("v1", "ConfigMap", live["metadata"]["name"], live["metadata"]["namespace"])
    if fresh is None:
        raise HostError("the request is gone")
    others = [one for one in fresh["metadata"].get("finalizers", []) if one != FINALIZER]
    metadata = {**fresh["metadata"], "finalizers": [*others, *finalizers]}
    data = {"snapshotRequest": json.dumps(asked)} if asked is not None else fresh["data"]
    return host.replace({**fresh, "metadata": metadata, "data": data})


def _objects(client: Client, prefix: str) -> list[Pair]:
    found: list[Pair] = []
    for plural, kind in KINDS:
        for item in client.list("v1", kind)["items"]:
            namespace, name = key_of(item)
            if namespace.startswith(prefix):
                found.append((f"/registry/{plural}/{namespace}/{name}".encode(), json.dumps(item).encode()))
    return found


def _archive(pairs: list[Pair]) -> bytes:
    made = io.BytesIO()
    files = {"/vcluster/snapshot/release": b"{}", "/vcluster/snapshot/request/v1beta1": b"{}"}
    files |= {key.decode(): value for key, value in pairs}
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.GNU_FORMAT) as opened:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return made.getvalue()


def fetched(options: Any) -> bytes:
    """The archive that options name."""
    import obstore

    return bytes(obstore.get(_store(options["s3"]), options["s3"]["key"]).bytes())


def _upload(options: Any, data: bytes, *, cut: bool) -> None:
    import obstore

    s3 = options["s3"]
    obstore.put(_store(s3), s3["key"], data[: len(data) // 2] if cut else data)


def _store(s3: Any) -> Any:
    from obstore.store import S3Store

    allowed: Any = {"allow_http": True}
    return S3Store(
        s3["bucket"],
        endpoint=s3["url"],
        region=s3["region"],
        access_key_id=s3["access-key-id"],
        secret_access_key=s3["secret-access-key"],
        virtual_hosted_style_request=not s3["force-path-style"],
        client_options=allowed,
    )
