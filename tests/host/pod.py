"""A pod of the controller's Deployment, as a kubelet would start it: the container's own arguments and environment, its files at their own
paths, and the token of its ServiceAccount as the only credential. The image is this work tree; no other part of it is stood in for.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devhost import lifecycle, reins
from devhost.api import Client, Object
from devhost.hosting import TestHost

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
SECONDS = 60.0
_PIVOT = 'set -e; mount --bind "$1" "$1"; cd "$1"; pivot_root . host; cd "$2"; shift 2; exec "$@"'
_OWN = ("etc", "etc/ssl", "var", "var/lib", "var/run", "tmp", "charts")
"""Folders of the pod's root that are its own; everything else of the machine is seen through links into /host."""


class Services:
    """What DNS and kube-proxy give a pod: the API servers of nested clusters at port 443 of an address, by the name in /etc/hosts."""

    ADDRESS = "127.44.3.1"

    def __init__(self, hosted: TestHost) -> None:
        self._hosted = hosted
        self._listening = socket.create_server((self.ADDRESS, 443))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                with contextlib.suppress(OSError, StopIteration):
                    far = socket.create_connection(self._plane(), timeout=60)
                    far.settimeout(None)
                    for source, sink in ((near, far), (far, near)):
                        threading.Thread(target=_carry, args=(source, sink), daemon=True).start()

    def _plane(self) -> tuple[str, int]:
        running = lifecycle.status(self._hosted.folder)
        address = next(one.address for one in running if one.component == "nested/shared/kube-apiserver")
        host, _, port = address.removeprefix("https://").partition(":")
        return host, int(port)


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError), source:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@dataclass
class Pod:
    """`root` is what the process sees as /: the mounts of the Deployment, the charts of the image, and the machine's programs."""

    hosted: TestHost
    root: Path
    namespace: str
    deployment: Object
    log: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.log = self.root.parent / f"{self.root.name}.log"
        self.root.mkdir()
        (self.root / "host").mkdir()
        for name in ("", *_OWN):
            self._linked(name)
        (self.root / "etc/hosts").unlink(missing_ok=True)
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{Services.ADDRESS} dev.vcluster-dev\n")
        shutil.copytree(ROOT / "devhost" / "chart", self.root / "charts" / "vcluster-0.36.1")
        self._mounted()
        self._signed_in()

    @property
    def container(self) -> Object:
        (found,) = self.deployment["spec"]["template"]["spec"]["containers"]
        return dict(found)

    def start(self) -> None:
        env = {one["name"]: one["value"] for one in self.container["env"]}
        host, _, port = self.hosted.host.server.removeprefix("https://").partition(":")
        env |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "PATH": os.environ["PATH"]}
        entrypoint = [sys.executable, "-m", "reconciler"]
        words = [
            *reins.tied(),
            str(shutil.which("unshare")),
            "--mount",
            "--map-root-user",
            "/bin/sh",
            "-c",
            _PIVOT,
            "pod",
        ]
        words += [str(self.root), self.container["workingDir"], *entrypoint, *self.container["args"]]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.until("it is ready", lambda: self.probed("readinessProbe") == 200)

    def probed(self, probe: str) -> int:
        """What the kubelet's probe is answered; 0 where nothing is."""
        asked = self.container[probe]["httpGet"]
        try:
            with urllib.request.urlopen(f"http://{self.listens[asked['port']]}{asked['path']}", timeout=30) as answer:
                return int(answer.status)
        except OSError:
            return 0

    @property
    def listens(self) -> dict[str, str]:
        """Name of a port -> where the configuration lets the process listen."""
        import yaml

        config = yaml.safe_load((self.root / "etc/nidus/config/nidus.yaml").read_text())
        return dict(config["spec"]["server"])

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def until(self, what: str, check: Any, seconds: float = SECONDS) -> None:
        ends = time.monotonic() + seconds
        while not check():
            assert self.process is None or self.process.poll() is None, f"it ended: {self.tail()}"
            assert time.monotonic() < ends, f"not within {seconds:.0f} s: {what}\n{self.tail()}"
            time.sleep(0.05)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def _linked(self, name: str) -> None:
        """A folder of the pod whose entries are the machine's, but for those that are the pod's own."""
        (self.root / name).mkdir(exist_ok=True)
        machine = Path(f"/{name}")
        for entry in sorted(one.name for one in machine.iterdir()) if machine.is_dir() else ():
            path = f"{name}/{entry}".lstrip("/")
            if path not in (*_OWN, "host", "etc/nidus", "var/lib/nidus"):
                (self.root / path).symlink_to(f"/host/{path}")

    def _mounted(self) -> None:
        pod = self.deployment["spec"]["template"]["spec"]
        volumes = {one["name"]: one for one in pod["volumes"]}
        for mount in self.container["volumeMounts"]:
            where = self.root / mount["mountPath"].lstrip("/")
            if where.is_symlink():
                where.unlink()
            where.mkdir(parents=True, exist_ok=True)
            volume = volumes[mount["name"]]
            for name, data in self._contents(volume).items():
                (where / name).write_bytes(data)

    def _contents(self, volume: Object) -> dict[str, bytes]:
        admin = self.hosted.client
        if "configMap" in volume:
            found = admin.get("v1", "ConfigMap", volume["configMap"]["name"], self.namespace)
            return {name: text.encode() for name, text in (found or {}).get("data", {}).items()}
        if "secret" in volume:
            found = admin.get("v1", "Secret", volume["secret"]["secretName"], self.namespace)
            assert found or volume["secret"]["optional"]
            return {name: base64.b64decode(text) for name, text in (found or {}).get("data", {}).items()}
        assert "emptyDir" in volume
        return {}

    def _signed_in(self) -> None:
        name = self.deployment["spec"]["template"]["spec"]["serviceAccountName"]
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{name}/token"
        token = self.hosted.client.request("POST", path, asked)["status"]["token"]
        folder = self.root / ACCOUNT
        folder.mkdir(parents=True)
        (folder / "token").write_text(token)
        (folder / "namespace").write_text(self.namespace)
        shutil.copy(self.hosted.host.pki / "ca.crt", folder / "ca.crt")


def read(admin: Client, namespace: str) -> Object:
    """The Deployment as it was applied."""
    found = admin.get("apps/v1", "Deployment", "nidus", namespace)
    assert found
    return found
