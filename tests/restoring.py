"""What a host and an engine do for a restore, on servers in memory: the kubelet's part of its pods, and what their containers do (O9)."""

from __future__ import annotations

import base64
import io
import tarfile
from typing import Any

import msgspec

from reconciler import archives
from reconciler.operations.restore_pod import BACK, KEEP
from tests.backups import HOME_A, Scene
from tests.memory.server import Server
from tests.memory.storage import Snapshot
from tests.object_store import archive

CLAIM = "data-{}-0"
ROOT_CA = "kube-root-ca.crt"


class Disk:
    """A volume of an engine: what lies beside the live store, which is the nested server itself. `fault`: what goes wrong with the pods
    of a restore from now on: fail (the engine says so and takes its own copy back), killed (in the middle: it cannot), hang. `full`: how
    often the way back fails."""

    def __init__(self, scene: Scene, cluster: str = "a") -> None:
        self.scene, self.cluster, self.home = scene, cluster, f"vcluster-{cluster}"
        self.kept: dict[str, Snapshot] = {}
        self.fault, self.full = "", 0
        self.ran: list[str] = []

    @property
    def live(self) -> Server:
        return self.scene.fleet.nested[self.cluster]

    def claim(self) -> None:
        """The claim that the StatefulSet made of its template."""
        meta = {"name": CLAIM.format(self.cluster), "namespace": self.home}
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
        self.scene.fleet.host.put(body)

    def kubelet(self) -> None:
        """Pods of a restore are run to their end."""
        host = self.scene.fleet.host
        for pod in host.objects("", "Pod", self.home):
            if pod["metadata"]["labels"].get("app") != "vcluster-snapshot" or pod.get("status", {}).get("phase") in (
                "Succeeded",
                "Failed",
            ):
                continue
            engine = host.get("apps", "StatefulSet", self.home, self.cluster)
            assert engine is not None and engine["spec"]["replicas"] == 0, "two would write one store"
            assert host.get("", "PersistentVolumeClaim", self.home, CLAIM.format(self.cluster)) is not None
            if self.fault != "hang":
                self._status(pod, self._run(pod))

    def _run(self, pod: Any) -> tuple[str, str, str]:
        """(phase, container, why it failed)."""
        spec = pod["spec"]
        for one in [*spec.get("initContainers", ()), *spec["containers"]]:
            command = one.get("command") or []
            if KEEP in command and command[-1] not in self.kept:
                self.kept = {command[-1]: self.live.snapshot()}
            elif BACK in command:
                self.ran.append("back")
                self.full -= 1
                if self.full >= 0:
                    return "Failed", one["name"], "no space left on device"
                if command[-1] in self.kept:
                    self.live.restore(self.kept[command[-1]])
            elif one["name"] == "snapshot":
                self.ran.append("snapshot")
                return self._restored(one)
        return "Succeeded", "", ""

    def _restored(self, container: Any) -> tuple[str, str, str]:
        before = self.live.snapshot()
        blank = Snapshot(before.version + 1000, Server("empty").snapshot().objects)
        self.live.restore(blank)
        if self.fault == "killed":
            return "Failed", "snapshot", "OOMKilled"
        try:
            if self.fault == "fail":
                raise ValueError("the store cannot be written")
            self._written(container)
        except ValueError as error:
            self.live.restore(before)
            return "Failed", "snapshot", str(error)
        return "Succeeded", "", ""

    def _written(self, container: Any) -> None:
        (env,) = [one for one in container["env"] if one["name"] == "VCLUSTER_STORAGE_OPTIONS"]
        ref = env["valueFrom"]["secretKeyRef"]
        secret = self.scene.fleet.host.get("", "Secret", self.home, ref["name"])
        assert secret is not None
        options = msgspec.json.decode(base64.b64decode(base64.b64decode(secret["data"][ref["key"]])))
        data = self.scene.store.get(options["s3"]["key"])
        archives.counted([data])
        into = self.live.core
        with into.lock, tarfile.open(fileobj=io.BytesIO(data)) as opened:
            for member in opened:
                file = opened.extractfile(member)
                if not member.name.lstrip("/").startswith("registry/") or file is None:
                    continue
                resource, item = msgspec.json.decode(file.read())
                if not ("--new-vcluster" in container["command"] and item["metadata"]["name"] == ROOT_CA):
                    into.storage.put(tuple(resource), item)
            into.serve()

    def _status(self, pod: Any, ended: tuple[str, str, str]) -> None:
        phase, container, why = ended
        done = {"terminated": {"exitCode": 0}}
        failed = {"terminated": {"exitCode": 1, "message": why}}
        names = {
            "initContainerStatuses": [one["name"] for one in pod["spec"].get("initContainers", ())],
            "containerStatuses": [one["name"] for one in pod["spec"]["containers"]],
        }
        status: dict[str, Any] = {"phase": phase}
        for key, all_of_it in names.items():
            status[key] = [{"name": one, "state": failed if one == container else done} for one in all_of_it]
        self.scene.fleet.host.put({**pod, "status": status}, manager="kubelet", subresource="status")


def packed(server: Server) -> bytes:
    """A snapshot of a nested cluster: every object of its store."""
    held = server.snapshot().objects
    keys = {
        f"/registry/{resource[1]}/{namespace}/{name}": msgspec.json.encode([resource, item])
        for resource, place in held.items()
        for (namespace, name), item in place.items()
    }
    return archive(keys)


def listed(server: Server) -> dict[tuple[str, str, str], Any]:
    """Every object of a nested cluster, without the version at which the store holds it."""
    held = server.snapshot().objects
    return {
        (resource[1], namespace, name): {
            **item,
            "metadata": {key: value for key, value in item["metadata"].items() if key != "resourceVersion"},
        }
        for resource, place in held.items()
        for (namespace, name), item in place.items()
    }


def pod(scene: Scene) -> Any:
    """The pod of the restore under way."""
    (found,) = [
        one
        for one in scene.fleet.host.objects("", "Pod", HOME_A)
        if one["metadata"]["labels"].get("app") == "vcluster-snapshot"
    ]
    return found
