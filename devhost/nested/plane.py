"""The processes of one nested control plane: etcd, API server and controller manager on loopback ports of their own."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from devhost import certs, components, layout
from devhost.api import Access, Client
from devhost.certs import Pair
from devhost.errors import HostError
from devhost.following import LOG
from devhost.nested.contract import ADMIN, Keys
from devhost.pins import ETCD, KUBERNETES
from devhost.ports import free_port, free_ports
from devhost.programs import Program, Programs
from devhost.state import Host, replace

STORE: Final = "etcd"
SERVER: Final = "kube-apiserver"
CONTROLLERS: Final = "kube-controller-manager"
READY_SECONDS: Final = 120.0
"""How long a plane may take to answer; many start at once on few processors."""
Names = tuple[Sequence[str], Sequence[str]]
"""DNS names and addresses of a serving certificate."""

# No kubelets and no volumes of its own live inside: what the syncer shows must not be judged by these.
_CONTROLLERS_OFF: Final = (
    "node-lifecycle-controller", "node-ipam-controller", "node-route-controller", "taint-eviction-controller",
    "persistentvolume-binder-controller", "persistentvolume-attach-detach-controller",
    "persistentvolume-expander-controller",
)  # fmt: skip


@dataclass(slots=True)
class Plane:
    """A running plane: `title` prefixes its programs' names; `admin` is the client certificate handed out; `store` its etcd's port."""

    title: str
    folder: Path
    port: int
    keys: Keys
    admin: Pair
    client: Client
    store: int
    stop: threading.Event = field(default_factory=threading.Event)

    def program(self, component: str) -> str:
        """The name of one of its processes in the host's table."""
        return f"{self.title}/{component}"


def start(
    host: Host,
    programs: Programs,
    title: str,
    storage: Path,
    keys: Keys,
    names: Names,
    flags: Sequence[str] = (),
    *,
    port: int = 0,
) -> Plane:
    """Start a plane's processes, its data in `storage`, and return it once /readyz says ok.

    Raises HostError when a process ends meanwhile or READY_SECONDS pass; nothing of it runs then.
    """
    folder = host.folder / title
    chosen = free_ports((SERVER, STORE, "etcd-peer")) | ({SERVER: port} if port else {})
    admin = write_pki(folder / "pki", keys, names, chosen[SERVER])
    plane = Plane(title, folder, chosen[SERVER], keys, admin, _client(folder / "pki", chosen[SERVER]), chosen[STORE])
    try:
        programs.start(_etcd(host, plane, storage, chosen))
        programs.start(_server(host, plane, chosen, flags))
        _await_ready(plane, programs)
        programs.start(_controllers(host, plane, free_port()))
    except HostError:
        end(plane, programs)
        raise
    return plane


def end(plane: Plane, programs: Programs) -> None:
    """Stop everything of the plane; its data stays."""
    plane.stop.set()
    for component in (CONTROLLERS, SERVER):
        programs.signal_quietly(plane.program(component), 9)  # both keep nothing; only the storage is to end in order
    for component in (CONTROLLERS, SERVER, STORE):
        programs.stop(plane.program(component))
    plane.client.close()


def alive(plane: Plane, programs: Programs) -> bool:
    """Tell whether all its processes run."""
    return all(programs.pid(plane.program(component)) for component in (STORE, SERVER, CONTROLLERS))


def revive(plane: Plane, programs: Programs) -> None:
    """Start again what ended of its processes."""
    for component in (STORE, SERVER, CONTROLLERS):
        if programs.pid(plane.program(component)) is None:
            LOG.info("%s ended by itself and is started again", plane.program(component))
            programs.restart(plane.program(component))


def certify(plane: Plane, names: Names) -> None:
    """Give the API server a new certificate for `names`; it takes up changed files by itself."""
    _write(plane.folder / "pki", "serving", certs.issue(plane.keys.ca, "kube-apiserver", dns=names[0], ips=names[1]))


def _await_ready(plane: Plane, programs: Programs) -> None:
    end_at = time.monotonic() + READY_SECONDS
    while not plane.client.ready(deadline=2.0):
        for component in (STORE, SERVER):
            if programs.pid(plane.program(component)) is None:
                raise HostError(f"{plane.program(component)} ended while starting")
        if time.monotonic() > end_at:
            raise HostError(f"{plane.title} was not ready within {READY_SECONDS:.0f} s")
        time.sleep(0.05)


def _client(pki: Path, port: int) -> Client:
    access = Access(f"https://127.0.0.1:{port}", pki / "ca.crt", pki / "admin.crt", pki / "admin.key", agent="vcluster")
    return Client(access)


def write_pki(pki: Path, keys: Keys, names: Names, port: int) -> Pair:
    """Write the certificates of a plane and the kubeconfig of its controllers; returns the administrator's."""
    pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(pki, "ca", keys.ca)
    _write(pki, "serving", certs.issue(keys.ca, "kube-apiserver", dns=names[0], ips=names[1]))
    admin = certs.issue(keys.ca, ADMIN[0], orgs=[ADMIN[1]])
    _write(pki, "admin", admin)
    controllers = certs.issue(keys.ca, "system:kube-controller-manager")
    text = certs.kubeconfig(f"https://127.0.0.1:{port}", keys.ca.certificate, controllers)
    replace(pki / "controllers.kubeconfig", text.encode())
    replace(pki / "sa.key", keys.sa_private)
    replace(pki / "sa.pub", keys.sa_public)
    replace(pki / "tokens.csv", f"{secrets.token_urlsafe(32)},unused,unused\n".encode())
    return admin


def _write(pki: Path, name: str, pair: Pair) -> None:
    replace(pki / f"{name}.crt", pair.certificate)
    replace(pki / f"{name}.key", pair.key)


def _etcd(host: Host, plane: Plane, storage: Path, chosen: dict[str, int]) -> Program:
    storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    pki = plane.folder / "pki"
    argv = components.etcd(
        host.tools[STORE],
        data=storage / STORE,
        certificate=pki / "serving.crt",
        key=pki / "serving.key",
        ca=pki / "ca.crt",
        client=chosen[STORE],
        peer=chosen["etcd-peer"],
    )
    return _program(host, plane, STORE, argv, chosen[STORE], ETCD)


def _server(host: Host, plane: Plane, chosen: dict[str, int], flags: Sequence[str]) -> Program:
    pki = plane.folder / "pki"
    store = components.storage(
        server=f"https://127.0.0.1:{chosen[STORE]}",
        certificate=pki / "admin.crt",
        key=pki / "admin.key",
        ca=pki / "ca.crt",
    )
    argv = components.apiserver(host.tools[SERVER], pki=pki, port=plane.port, store=store, extra=flags)
    return _program(host, plane, SERVER, argv, plane.port, KUBERNETES)


def _controllers(host: Host, plane: Plane, port: int) -> Program:
    off = ",".join(f"-{name}" for name in _CONTROLLERS_OFF)
    pki = plane.folder / "pki"
    argv = components.controller_manager(
        host.tools[CONTROLLERS],
        pki=pki,
        kubeconfig=pki / "controllers.kubeconfig",
        port=port,
        extra=[f"--controllers=*,{off}"],
    )
    return _program(host, plane, CONTROLLERS, argv, port, KUBERNETES)


def _program(host: Host, plane: Plane, component: str, argv: Sequence[str], port: int, version: str) -> Program:
    name = plane.program(component)
    return Program(name, tuple(argv), layout.log(host.folder, name), f"https://127.0.0.1:{port}", version)
