"""Starts a host's real node, in its supervisor, and says what else of the host changes with it."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from devhost import bringup, certs, layout, pki, tools
from devhost.nested import real
from devhost.node import cgroups, dns, engine, images, needs, place, settings, spaces
from devhost.pins import KUBERNETES
from devhost.programs import Program, Programs
from devhost.state import Host, replace

PROGRAMS: Final = ("kubelet", "kube-proxy", "coredns")
FOLDERS: Final = ("cni", "engines", "opt", "pod-logs", "registries", "tmp", "volume-plugins")
KEEPER: Final = "node-keeper"
CONTAINERD: Final = "containerd"


def require() -> None:
    """Raise HostError when the machine lacks something or a tool is not built."""
    needs.require()
    for program in PROGRAMS:
        tools.find(program)


def prepare(host: Host) -> None:
    """Write every file of the node; before the API server starts, which reads one of them."""
    folder = place.folder(host.folder)
    needs.require_short(folder)
    images.clear(host.folder)
    for name in FOLDERS:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.claims(host.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    plugins = needs.plugins()
    assert plugins is not None  # require()
    group, ca = place.cgroup(host.folder), host.pki / "ca.crt"
    kubelet = settings.kubelet(folder, ca, group, _machine_memory(), tainted=host.wish.nodes > 0)
    documents = {
        "egress.yaml": settings.egress(),
        "kubelet.yaml": kubelet,
        "kube-proxy.yaml": settings.proxy(folder),
        "cni/10-nidus.conflist": settings.network(),
    }
    for name, document in documents.items():
        replace(folder / name, json.dumps(document, indent=1).encode())
    replace(folder / "containerd.toml", settings.containerd(folder, plugins).encode())
    replace(folder / "resolv.conf", settings.resolver().encode())
    _write_keys(host, folder)


def separate(host: Host, programs: Programs) -> None:
    """Make the namespaces and start containerd in them. Raises HostError."""
    file = place.holder(host.folder)
    arguments = [str(host.folder), str(file), place.cgroup(host.folder), str(layout.claims(host.folder))]
    programs.start(_of_ours(host, KEEPER, "keeper", arguments))
    bringup.await_program(host, programs, "the node's namespaces", lambda: spaces.holder(file) != 0)
    port = str(host.ports["kube-apiserver"])
    programs.start(_of_ours(host, "node-connect", "connect", [str(file), port, str(place.egress(host.folder))]))
    config = place.folder(host.folder) / "containerd.toml"
    programs.start(_inside(host, CONTAINERD, [images.found("containerd"), f"--config={config}"], ""))


def populate(host: Host, programs: Programs, tell: Callable[[str], None]) -> None:
    """Give the node its images, let it join the cluster; return once pods run on it and find each other by name."""
    folder = place.folder(host.folder)
    tell("make the node's images")
    bringup.await_program(host, programs, "containerd to be ready", lambda: _listens(host))
    images.load_own(host.folder, tools.find("coredns"))
    if (vcluster := _engines(host)) is not None:
        engine.load(host.folder, vcluster)
    tell("start kubelet and kube-proxy")
    kubelet = settings.kubelet_command(tools.find("kubelet"), folder)
    programs.start(_inside(host, "kubelet", kubelet, f"https://{place.ADDRESS}:10250"))
    proxy = [str(tools.find("kube-proxy")), f"--config={folder / 'kube-proxy.yaml'}"]
    programs.start(_inside(host, "kube-proxy", proxy, ""))
    bringup.apply(host, dns.objects())
    bringup.await_program(host, programs, "the real node to be ready", lambda: _node_ready(host))
    bringup.await_program(host, programs, "the cluster's DNS", lambda: _dns_ready(host))


def _engines(host: Host) -> Path | None:
    """The binary of the official engine whose pods are to run here: where one is named, no other node is there and nothing stands in."""
    return real.binary() if host.wish.nested == "none" and host.wish.nodes == 0 else None


def clean(host: Path) -> None:
    """Remove what a keeper that was killed left of the node of the host in `host`: its control group. No process may live."""
    cgroups.remove(place.cgroup(host))


def _write_keys(host: Host, folder: Path) -> None:
    ca = pki.load(host.pki, "ca")
    kubelet = certs.issue(ca, f"system:node:{place.NODE}", orgs=("system:nodes",), ips=(place.ADDRESS,))
    proxy = certs.issue(ca, "system:kube-proxy")
    replace(folder / "kubelet.crt", kubelet.certificate)
    replace(folder / "kubelet.key", kubelet.key)
    for name, pair in (("kubelet", kubelet), ("kube-proxy", proxy)):
        replace(folder / f"{name}.kubeconfig", certs.kubeconfig(host.server, ca.certificate, pair).encode())


def _of_ours(host: Host, name: str, module: str, arguments: Sequence[str]) -> Program:
    argv = (sys.executable, "-P", "-S", "-m", f"devhost.node.{module}", *arguments)
    return Program(name, argv, layout.log(host.folder, name))


def _inside(host: Host, name: str, argv: Sequence[str], address: str) -> Program:
    enter = (sys.executable, "-P", "-S", "-m", "devhost.node.enter", str(place.holder(host.folder)))
    version = "" if name == CONTAINERD else KUBERNETES
    env = {"TMPDIR": str(place.folder(host.folder) / "tmp")}
    log = layout.log(host.folder, name)
    return Program(
        name, (*enter, *argv, *host.wish.extra_flags.get(name, ())), log, address, version, env, relayed=True
    )


def _listens(host: Host) -> bool:
    root = f"/proc/{spaces.holder(place.holder(host.folder))}/root"
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(root + place.SOCKET)
    return True


def _node_ready(host: Host) -> bool:
    node = bringup.fetch(host, f"/api/v1/nodes/{place.NODE}")
    return any(one["type"] == "Ready" and one["status"] == "True" for one in _conditions(node))


def _dns_ready(host: Host) -> bool:
    deployment = bringup.fetch(host, f"/apis/apps/v1/namespaces/{dns.NAMESPACE}/deployments/{dns.NAME}")
    return any(one["type"] == "Available" and one["status"] == "True" for one in _conditions(deployment))


def _conditions(found: dict[str, Any]) -> list[dict[str, str]]:
    return list(found.get("status", {}).get("conditions", ()))


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
