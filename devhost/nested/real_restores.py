"""Runs the pod of a restore beside the real engine: each container as a process that sees what the pod would mount.

What the product writes into the pod is what runs: its commands, its environment, its volume.
"""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Final

from devhost.api import Client, Object
from devhost.errors import HostError
from devhost.nested import real
from devhost.nested.contract import Engine, config_of
from devhost.state import Host

SECONDS: Final = 300.0
TOLD: Final = 2000
"""Characters of its log that a container which failed ends with (terminationMessagePolicy FallbackToLogsOnError)."""
GIVEN: Final = "kubernetes"
"""The container of the chart that copies the programs of Kubernetes: they lie there already."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Official:
    """What the containers of such a pod do (restores.Run)."""

    def __init__(self, host: Host, admin: Client, vcluster: Path) -> None:
        self._host, self._admin, self._vcluster = host, admin, vcluster

    def __call__(self, pod: Object, container: Object, folder: Path) -> None:
        """Run it to its end, with the pod's data in `folder`."""
        if container["name"] == GIVEN:
            return
        engine = Engine(pod["metadata"]["namespace"], pod["metadata"]["labels"]["release"])
        secret = self._admin.get("v1", "Secret", f"vc-config-{engine.name}", engine.namespace)
        if secret is None:
            raise HostError(f"Secret vc-config-{engine.name} is not there")
        place = self._host.folder / "nested" / engine.namespace / f"{engine.name}-restore"
        real.furnish(place / "pod", self._host, self._admin, engine, config_of(secret))
        for each in (place / "root", folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = real.isolated(place / "root", place / "pod", folder, self._command(container))
        environment = {"PATH": PATH, **self._environment(pod, container)}
        done = subprocess.run(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False
        )
        if done.returncode != 0:
            raise HostError(done.stdout.decode(errors="replace")[-TOLD:])

    def _command(self, container: Object) -> list[str]:
        words = [str(one) for one in (*container["command"], *container.get("args", ()))]
        return [str(self._vcluster) if one == "/vcluster" else one for one in words]

    def _environment(self, pod: Object, container: Object) -> dict[str, str]:
        server = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self._host.ports["kube-apiserver"]),
        }
        return server | {one["name"]: self._value(pod, one) for one in container.get("env", ())}

    def _value(self, pod: Object, one: Object) -> str:
        given = one.get("valueFrom", {})
        if "secretKeyRef" in given:
            ref, namespace = given["secretKeyRef"], pod["metadata"]["namespace"]
            secret = self._admin.get("v1", "Secret", ref["name"], namespace)
            if secret is None:
                raise HostError(f"Secret {ref['name']} is not there")
            return base64.b64decode(secret["data"][ref["key"]]).decode()
        if "fieldRef" in given:
            fields = {"metadata.name": pod["metadata"]["name"], "spec.nodeName": pod["spec"].get("nodeName", "")}
            return str(fields.get(given["fieldRef"]["fieldPath"], "127.0.0.1"))
        return str(one.get("value", ""))
