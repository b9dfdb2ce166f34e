"""The engine's restores, as its contract has them (vCluster 0.36: pkg/snapshot/pod, restoreclient.go): the pod with label
`app: vcluster-snapshot`, whose container `snapshot` runs `/vcluster restore` on the claim of an engine that has no pods.

A file `nested/restores` in the host's folder makes what follows go wrong: `fail` (the engine's own copy is taken back), `hang`, `killed`
(the store is left half written), or `cut` (the archive ends early). Containers `keep` and `back` copy the store on its volume.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import tarfile
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from devhost.api import Client, Object
from devhost.errors import HostError
from devhost.following import Reflector, Workers, key_of
from devhost.nested.keys import Pair
from devhost.nested.plane import STORE
from devhost.nested.snapshots import fetched

LABEL: Final = "app=vcluster-snapshot"
ENDED: Final = frozenset({"Succeeded", "Failed"})
OPTIONS: Final = "VCLUSTER_STORAGE_OPTIONS"
KEPT: Final = "kept"
FILLED: Final = "filled"
"""A file beside a store that was just filled from an archive."""
OWN: Final = "vcluster/snapshot/"
ROOT_CA: Final = "/kube-root-ca.crt"

Key = tuple[str, str]
Fill = Callable[[Path, list[Pair]], None]
"""Makes a store in a folder, with these keys in it."""
Run = Callable[[Object, Object, Path], None]
"""Does what one container (the second) of a pod does, with the pod's data in a folder. Raises HostError as it would fail."""


class Restores:
    """Runs the pods of restores of all engines, each container by `run`. `data`: where each claim's data lies, under the claim's uid."""

    def __init__(self, admin: Client, data: Path, run: Run, faults: Path, stop: threading.Event) -> None:
        self._admin, self._data, self._does, self._faults = admin, data, run, faults
        self._workers: Workers[Key] = Workers("restore", self._run, stop)
        self._pods = Reflector(admin, "v1", "Pod", lambda _, item: self._workers.add(key_of(item)), stop, labels=LABEL)

    def start(self) -> None:
        self._workers.start()
        self._pods.start()

    def _run(self, key: Key) -> float | None:
        pod = self._pods.items.get(key)
        if pod is None or pod["metadata"].get("deletionTimestamp") or not pod["spec"].get("nodeName"):
            return None
        if pod.get("status", {}).get("phase") in ENDED:
            return None
        if fault(self._faults) == "hang":
            return 1.0
        name, why = "", ""
        folder = self._data / self._claim(pod)
        for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]:
            try:
                self._does(pod, container, folder)
            except Exception as error:  # as a container ends: with a message
                name, why = container["name"], str(error)[:500]
                break
        self._ended(pod, name, why)
        return None

    def _claim(self, pod: Object) -> str:
        name = next(one for one in pod["spec"]["volumes"] if one["name"] == "data")["persistentVolumeClaim"][
            "claimName"
        ]
        claim = self._admin.get("v1", "PersistentVolumeClaim", name, pod["metadata"]["namespace"])
        if claim is None:
            raise HostError(f"claim {name} is not there yet")
        return str(claim["metadata"]["uid"])

    def _ended(self, pod: Object, failed: str, why: str) -> None:
        now, spec, meta = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), pod["spec"], pod["metadata"]
        status = {
            "phase": "Failed" if failed else "Succeeded",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}],
            "initContainerStatuses": [_status(one, failed, why, now) for one in spec.get("initContainers", ())],
            "containerStatuses": [_status(one, failed, why, now) for one in spec["containers"]],
        }
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        self._admin.patch("v1", "Pod", meta["name"], meta["namespace"], body, subresource="status")


class StandIn:
    """What the containers of such a pod do beside the stand-in, whose store is not the engine's (Run)."""

    def __init__(self, admin: Client, fill: Fill, faults: Path) -> None:
        self._admin, self._fill, self._faults = admin, fill, faults

    def __call__(self, pod: Object, container: Object, folder: Path) -> None:
        """Copy the store, or fill it from the archive."""
        store, command = folder / STORE, container.get("command") or [""]
        if container["name"] == "keep":
            kept = folder / KEPT / command[-1]
            if not kept.exists():
                shutil.rmtree(folder / KEPT, ignore_errors=True)
                shutil.copytree(store, kept) if store.exists() else kept.mkdir(parents=True)
        elif container["name"] == "back" and (folder / KEPT / command[-1]).exists():
            (folder / FILLED).unlink(missing_ok=True)
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(folder / KEPT / command[-1], store)
        elif container["name"] == "snapshot":
            self._restored(container, store, pod["metadata"]["namespace"])

    def _restored(self, container: Object, store: Path, namespace: str) -> None:
        given = next(one for one in container["env"] if one["name"] == OPTIONS)["valueFrom"]["secretKeyRef"]
        secret = self._admin.get("v1", "Secret", given["name"], namespace)
        if secret is None:
            raise HostError(f"Secret {given['name']} is not there")
        options, wrong = (
            json.loads(base64.b64decode(base64.b64decode(secret["data"][given["key"]]))),
            fault(self._faults),
        )
        data = fetched(options)
        pairs = _pairs(
            data[: len(data) // 2] if wrong == "cut" else data, clone="--new-vcluster" in container["command"]
        )
        if wrong == "fail":
            raise HostError("the store cannot be written")
        shutil.rmtree(store, ignore_errors=True)
        if wrong == "killed":
            raise HostError("killed")
        self._fill(store.parent, pairs)
        (store.parent / FILLED).touch()


def begin_anew(client: Client, storage: Path) -> None:
    """Let the pods of a store that was just filled run again, those too that had ended: the engine's command takes their status and
    their node away (transformPod), and its syncer makes anew what has no status."""
    mark = storage / FILLED
    if not mark.exists():
        return
    for pod in client.list("v1", "Pod")["items"]:
        namespace, name = key_of(pod)
        if not pod["metadata"].get("deletionTimestamp"):
            change = [{"op": "replace", "path": "/status", "value": {}}]
            client.patch("v1", "Pod", name, namespace, change, subresource="status", form="json")
    mark.unlink()


def fault(file: Path) -> str:
    """What a test wants to go wrong, "" for nothing."""
    return file.read_text().strip() if file.exists() else ""


def _status(container: Object, failed: str, why: str, now: str) -> Object:
    bad = container["name"] == failed
    told = {"exitCode": 1, "reason": "Error", "message": why} if bad else {"exitCode": 0, "reason": "Completed"}
    head = {"name": container["name"], "image": container["image"], "imageID": container["image"]}
    state = {"terminated": {**told, "startedAt": now, "finishedAt": now}}
    return head | {"ready": False, "restartCount": 0, "started": False, "state": state}


def _pairs(data: bytes, *, clone: bool) -> list[Pair]:
    """The keys of an archive, without what the engine says of itself, and without what belongs to another cluster."""
    found: list[Pair] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as opened:
            for member in opened:
                file, name = opened.extractfile(member), f"/{member.name.lstrip('/')}"
                mine = not name.lstrip("/").startswith(OWN) and not (clone and name.endswith(ROOT_CA))
                if file is not None and mine:
                    found.append((name.encode(), file.read()))
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise HostError(f"read etcd key/value: {error}") from error
    return found
