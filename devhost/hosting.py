"""Hosts as tests see them: a running host with an administrator's client and its audit log."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devhost import lifecycle
from devhost.api import Access, Client
from devhost.audit import Audit, log_of
from devhost.errors import HostError
from devhost.state import Host

AUDITED: Final = ("system:serviceaccount:*",)
START_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class TestHost:
    """A host and its administrator."""

    __test__ = False

    host: Host
    client: Client

    @property
    def folder(self) -> Path:
        """The host's folder."""
        return self.host.folder

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.host.kubeconfig

    @property
    def kubectl(self) -> Path:
        """The kubectl of the host's version."""
        return self.host.tools["kubectl"]

    @property
    def audit(self) -> Audit:
        """The audit log from now on."""
        return log_of(self.host).now()

    @property
    def shares_plane(self) -> bool:
        """Whether one control plane is behind all engines: see fits_shared()."""
        return self.host.wish.nested == "shared"


def start(folder: Path, **wish: Any) -> TestHost:
    """Start a host in `folder` that ends with this process; `wish` as in lifecycle.up."""
    return _of(lifecycle.up(folder, tied=True, **wish))


def start_session(root: Path, nested: str) -> TestHost:
    """Start the session's host of this mode, unless it runs."""
    return start(root / nested, nodes=3, nested=nested, audit=AUDITED)


def found(folder: Path) -> TestHost:
    """Return the host that runs in `folder`. Raises HostError when none does."""
    host = lifecycle.find(folder)
    if host is None:
        raise HostError(f"no host runs in {folder}")
    return _of(host)


def ask(starter: Path, nested: str) -> None:
    """Ask the run's main process for the session's host of this mode; return once it is ready."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(START_SECONDS)
        line.connect(str(starter))
        line.sendall(f"{nested}\n".encode())
        refusal = line.makefile("rb").readline().decode().strip()
    if refusal:
        raise HostError(refusal)


def fits_shared(cluster: str, objects: list[dict[str, Any]]) -> list[str]:
    """Say what of `objects`, meant for the inside of `cluster`, the shared plane cannot hold; empty when all fits.

    There every cluster's objects must lie in namespaces prefixed by its name, and nothing may be cluster-scoped but these
    namespaces, or clusters would meet.
    """
    prefix, problems = f"{cluster}-", []
    for one in objects:
        meta = one["metadata"]
        namespace = meta["name"] if one["kind"] == "Namespace" else meta.get("namespace", "")
        if not namespace:
            problems.append(f"{one['kind']} {meta['name']} is cluster-scoped or names no namespace")
        elif not namespace.startswith(prefix):
            problems.append(f"{one['kind']} {meta['name']}: namespace {namespace} does not begin with {prefix}")
    return problems


def _of(host: Host) -> TestHost:
    pki = host.pki
    return TestHost(
        host, Client(Access(host.server, pki / "ca.crt", pki / "admin.crt", pki / "admin.key", agent="test"))
    )
