"""The whole product on an embedded host for one benchmark: nested clusters in `shared` mode, a pushed repository, the controller.

Everything is real: API servers, etcd, the garbage collector, git, the hook, the webhook, the shipped account. Made up are the
nodes, and that one API server stands behind all nested clusters.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import documents
from bench.report import ROOT
from devhost import account, audit, lifecycle
from devhost import stage as staging
from devhost.api import Access, Client
from devhost.nested import run
from devhost.nested.shared import TITLE
from devhost.state import Host

USER: Final = f"system:serviceaccount:{account.SYSTEM}:nidus"
STAND_UP: Final = 900.0
"""Seconds all nested clusters together may take to become Ready."""
ENGINES_A_NODE: Final = 100
"""Pods a node takes (110 by default), some spared for what is inside."""


@dataclass(slots=True)
class Scene:
    """A host, a repository, and one controller process at a time."""

    host: Host
    admin: Client
    inside: Client
    """An administrator's client of the plane behind all nested clusters, straight to it."""
    stage: staging.Stage
    kubeconfig: Path
    running: int
    """Nested clusters that are to stand; the repository may hold more, suspended."""
    controllers: list[staging.Controller] = field(default_factory=list)

    @property
    def controller(self) -> staging.Controller:
        return self.controllers[-1]

    def start(self, **environment: str) -> staging.Controller:
        """Start the controller; returns at once."""
        self.controllers.append(staging.start(self.stage, self.kubeconfig, **environment))
        return self.controller

    def write(self, path: str, text: str) -> None:
        (self.stage.repository.work / path).write_text(text)

    def push(self, message: str) -> str:
        """Commit and push everything; returns the commit."""
        commit = self.stage.repository.commit(message)
        self.stage.repository.push()
        return commit

    def pushed_at(self) -> float:
        """When the hook of the last push began, in epoch seconds."""
        return float(self.stage.stamp.read_text())

    def source(self) -> dict[str, Any]:
        """The source's status on the home cluster."""
        found = self.admin.get(documents.API, "Source", "platform", account.SYSTEM) or {}
        return dict(found.get("status", {}))

    def await_ready(self, seconds: float = STAND_UP) -> None:
        """Until every cluster is Ready and nothing waits in the queue."""
        self.until(f"{self.running} clusters Ready", self._all_ready, seconds, pause=0.2)

    def until(self, what: str, check: Callable[[], Any], seconds: float = 60.0, pause: float = 0.01) -> Any:
        """What `check` returns once that is true; ends the run with the controller's last lines otherwise."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := check():
                return found
            if self.controller.process.poll() is not None:
                break
            time.sleep(pause)
        ended = self.controller.process.poll()
        how = f"the controller ended with {ended} before" if ended is not None else f"not within {seconds:.0f} s"
        raise SystemExit(f"{how}: {what}\n{self.controller.tail(60)}")

    def audit(self) -> audit.Audit:
        """The audit log of the host from now on."""
        return audit.log_of(self.host).now()

    def _all_ready(self) -> bool:
        try:
            found = self.controller.get("/api/v1/clusters")
        except OSError:
            return False
        ready = sum(one["status"] == "Ready" for one in found["clusters"])
        return bool(ready == self.running and found["queue"] == {"waiting": 0, "busy": 0})


@contextmanager
def opened(
    clusters: int,
    objects: int,
    *,
    running: int | None = None,
    audited: bool = False,
    spec: Mapping[str, Any] | None = None,
) -> Iterator[Scene]:
    """A scene with the repository pushed and no controller yet; everything ends with the block. `spec`: more of the configuration's."""
    folder = Path(tempfile.mkdtemp(prefix="nidus-bench-"))
    made: Scene | None = None
    try:
        content = folder / "content"
        documents.fill(content, clusters, objects, running)
        made = _made(folder, content, clusters if running is None else min(running, clusters), audited, spec or {})
        yield made
    finally:
        if made is not None:
            _end(made)
        lifecycle.down(folder / "host")
        shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path, content: Path, running: int, audited: bool, more: Mapping[str, Any]) -> Scene:
    watched = ("system:serviceaccount:*",) if audited else ()
    nodes = 2 + running // ENGINES_A_NODE
    host = lifecycle.up(folder / "host", nodes=nodes, nested="shared", tied=True, audit=watched)
    admin = run.client(host)
    staging.install(admin, ROOT / "deploy")
    kubeconfig = staging.sign_in(host, admin, folder / "controller.kubeconfig")
    spec = {"source": {"interval": "10m"}, "policy": {"profileVersions": "Mutable"}, **more}
    made = staging.set_up(folder / "stage", content, spec)
    return Scene(host, admin, _plane(host), made, kubeconfig, running)


def _plane(host: Host) -> Client:
    pki = host.folder / TITLE / "pki"
    server = f"https://127.0.0.1:{run.shared_port(host)}"
    return Client(Access(server, pki / "ca.crt", pki / "admin.crt", pki / "admin.key", agent="bench"))


def _end(made: Scene) -> None:
    for one in made.controllers:
        if one.process.poll() is None:
            one.kill()
    made.admin.close()
    made.inside.close()
