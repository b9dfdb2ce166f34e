"""The real engine behind the engine's pod: `vcluster start` as a process, in mount and process namespaces of its own.

Used in mode `own` when NIDUS_VCLUSTER names a vcluster binary (NIDUS_VCLUSTER_CHART then names the official chart, see
nested.chart()). It needs root, and kine (`nidus host build` builds it when asked). The engine's API server always listens
on port 6443, so one nested cluster at a time can run this way.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from devhost import layout, stages, tools
from devhost.api import Access, Client, Object, path_of
from devhost.errors import HostError
from devhost.following import LOG
from devhost.nested import contract, kubelet
from devhost.nested.contract import Engine
from devhost.nested.engines import Engines
from devhost.nested.translate import Tenancy
from devhost.ports import free_port
from devhost.programs import Program, Programs
from devhost.state import Host, replace

START_SECONDS: Final = 180.0
TOKEN_SECONDS: Final = 86400
_BINARIES: Final = ("kube-apiserver", "kube-controller-manager", "kine")
_OPTIONAL: Final = ("helm",)
"""The engine runs helm only for charts named in its own values, which Nidus never sets."""
ACCOUNT: Final = "run/secrets/kubernetes.io/serviceaccount"
MOUNTS: Final = ("binaries", "data", "pki", "var/lib/vcluster", ACCOUNT)

# The engine's paths are fixed, and the machine's root must not get them: a root of its own, the machine's folders bound
# into it, over it what the pod would have mounted. All of it ends with the namespace.
_SCRIPT: Final = """
set -e
root=$1; parts=$2; data=$3; shift 3
mount -t tmpfs -o mode=755 nested "$root"
for entry in /*; do
  if [ -L "$entry" ]; then cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ]; then mkdir -p "$root$entry"; mount --rbind "$entry" "$root$entry"; fi
done
mount -t tmpfs nested "$root/run"; mount -t tmpfs nested "$root/var/lib"; mount -t proc nested "$root/proc"
for part in {mounts}; do
  mkdir -p "$root/$part"; mount --bind "$parts/$part" "$root/$part"
done
mount --bind "$data" "$root/data"
exec chroot "$root" "$@"
"""


def binary() -> Path | None:
    """The vcluster binary to run ($NIDUS_VCLUSTER); None without."""
    chosen = os.environ.get("NIDUS_VCLUSTER")
    return Path(chosen).absolute() if chosen else None


@dataclass(frozen=True, slots=True)
class _Engine:
    """A running engine: its program's name, the port of its proxy, a client once its Secret is there."""

    program: str
    port: int
    folder: Path


class Real:
    """The engines that run (engines.Backing)."""

    probed = True

    def __init__(self, host: Host, programs: Programs, engines: Engines, admin: Client, vcluster: Path) -> None:
        self._host, self._programs, self._engines = host, programs, engines
        self._admin, self._vcluster = admin, vcluster
        self._running: dict[Engine, _Engine] = {}

    def start(self, tenancy: Tenancy, pods: list[Object]) -> None:
        """Start the engine as its pod would, and wait until it answers; it leaves on the host what it likes."""
        engine, port = tenancy.engine, free_port()
        name = f"nested/{engine.namespace}/{engine.name}/vcluster"
        folder = self._host.folder / "nested" / engine.namespace / engine.name
        storage = layout.claims(self._host.folder) / self._engines.data_uid(tenancy, pods)
        storage.mkdir(mode=0o700, parents=True, exist_ok=True)
        furnish(folder / "pod", self._host, self._admin, engine, adjusted(tenancy.config, port))
        (folder / "root").mkdir(mode=0o700, exist_ok=True)
        argv = isolated(folder / "root", folder / "pod", storage, [str(self._vcluster), "start"])
        log, env = layout.log(self._host.folder, name), self._environment(tenancy, pods[0])
        self._programs.start(Program(name, tuple(argv), log, f"https://127.0.0.1:{port}", "", env))
        self._running[engine] = _Engine(name, port, folder)
        LOG.info("%s: the real engine starts", engine)
        self._await_ready(tenancy)

    def stop(self, engine: Engine, pods: list[str]) -> None:
        """End the engine and, with its process namespace, everything it started."""
        for pod in pods:
            self._admin.delete(kubelet.FORWARDS_API, kubelet.FORWARDS, f"{engine.namespace}.{pod}")
        ended = self._running.pop(engine, None)
        if ended is not None:
            self._programs.stop(ended.program)

    def alive(self, engine: Engine) -> bool:
        """Tell whether the engine runs."""
        running = self._running.get(engine)
        return running is not None and self._programs.pid(running.program) is not None

    def ready(self, tenancy: Tenancy) -> bool:
        """Ask /readyz of its proxy, trusting the authority of its Secret."""
        engine, running = tenancy.engine, self._running[tenancy.engine]
        secret = self._admin.get("v1", "Secret", f"vc-{engine.name}", engine.namespace)
        if secret is None:
            return False
        authority = running.folder / "authority.crt"
        replace(authority, contract.decoded(secret, "certificate-authority"))
        access = Access(f"https://127.0.0.1:{running.port}", authority, tls_name=f"{engine.name}.{engine.namespace}")
        with Client(access, connections=1) as client:
            return client.ready()

    def reach(self, engine: Engine, pod: Object) -> None:
        """Let port-forwards to the pod end at the engine's proxy."""
        self._admin.apply(kubelet.forward(pod, self._running[engine].port))

    def port(self, engine: Engine) -> int:
        """The port of the engine's proxy."""
        return self._running[engine].port

    def _await_ready(self, tenancy: Tenancy) -> None:
        end = time.monotonic() + START_SECONDS
        while not self.ready(tenancy):
            if not self.alive(tenancy.engine):
                raise HostError(f"the engine of {tenancy.engine} ended while starting; see its log")
            if time.monotonic() > end:
                raise HostError(f"the engine of {tenancy.engine} was not ready within {START_SECONDS:.0f} s")
            time.sleep(0.2)

    def _environment(self, tenancy: Tenancy, pod: Object) -> dict[str, str]:
        return {
            "VCLUSTER_NAME": tenancy.engine.name,
            "POD_NAME": pod["metadata"]["name"],
            "POD_IP": "127.0.0.1",
            "NODE_NAME": pod["spec"]["nodeName"],
            "NODE_IP": "127.0.0.1",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self._host.ports["kube-apiserver"]),
        }


def furnish(pod: Path, host: Host, admin: Client, engine: Engine, config: Object) -> None:
    """Make in `pod` the folders that the engine's pod would mount: its programs, its values, its account."""
    for part in MOUNTS:
        (pod / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    put_programs(pod)
    replace(pod / "var/lib/vcluster/config.yaml", yaml.safe_dump(config).encode())
    account = pod / ACCOUNT
    replace(account / "token", _token(admin, engine).encode())
    replace(account / "namespace", engine.namespace.encode())
    replace(account / "ca.crt", (host.pki / "ca.crt").read_bytes())


def put_programs(pod: Path) -> None:
    """Put the programs of Kubernetes where the engine's pod has them."""
    for name in (*_BINARIES, *_OPTIONAL):
        _link(pod / "binaries" / name, name)


def _token(admin: Client, engine: Engine) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    path = f"/api/v1/namespaces/{engine.namespace}/serviceaccounts/vc-{engine.name}/token"
    asked = admin.request("POST", path, body | {"spec": {"expirationSeconds": TOKEN_SECONDS}})
    return str(asked["status"]["token"])


def isolated(root: Path, pod: Path, storage: Path, command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` where it sees the folders of `pod` and, as /data, `storage`.

    `root` is an empty folder. The mounts are the command's alone; when the outer process ends, everything inside does.
    """
    script = _SCRIPT.replace("{mounts}", " ".join(map(shlex.quote, MOUNTS)))
    apart = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "/bin/sh", "-c", script, "engine"]
    return [*apart, str(root), str(pod), str(storage), *command]


def readiness_policy() -> list[Object]:
    """Objects that leave the readiness of engine pods to us, since the official chart does not ask for it."""
    api, name = "admissionregistration.k8s.io/v1", "devhost-engine-readiness"
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    engines = {"resourceRules": [pods], "objectSelector": {"matchLabels": {"app": "vcluster"}}}
    marked = f'Object{{metadata: Object.metadata{{annotations: {{"{stages.READINESS}": "external"}}}}}}'
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": marked}}
    spec = {
        "matchConstraints": engines,
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [mutation],
    }
    policy = {"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}
    binding = policy | {"kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": name}}
    return [policy, binding]


def policy_in_force(client: Client) -> bool:
    """Tell whether readiness_policy() marks pods already: it takes the API server seconds after it was applied."""
    container = {"name": "engine", "image": "engine"}
    meta = {"name": "devhost-engine-readiness", "labels": {"app": "vcluster"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}
    tried = client.request("POST", path_of("v1", "Pod", "default"), pod, query={"dryRun": "All"})
    return bool(tried["metadata"].get("annotations", {}).get(stages.READINESS) == "external")


def adjusted(config: Object, port: int) -> Object:
    """The engine's values with its proxy on loopback, on a port of its own, and telemetry off."""
    plane: dict[str, Any] = config.get("controlPlane") or {}
    proxy = (plane.get("proxy") or {}) | {"bindAddress": "127.0.0.1", "port": port}
    return config | {"controlPlane": plane | {"proxy": proxy}, "telemetry": {"enabled": False}}


def _link(link: Path, name: str) -> None:
    try:
        found = tools.find(name)
    except HostError:
        if name in _OPTIONAL:
            return
        raise
    link.unlink(missing_ok=True)
    link.symlink_to(found)
