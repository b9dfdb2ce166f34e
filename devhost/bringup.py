"""Starts a host inside its supervisor: keys, ports, etcd, API server, controllers, scheduler, nodes, kwok."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from devhost import components, layout, pki, ports, probe, stages, tools
from devhost.errors import HostError
from devhost.node import place
from devhost.node import settings as node_settings
from devhost.pins import ETCD, KUBERNETES, KWOK
from devhost.programs import Program, Programs
from devhost.state import Host, Wish, read, replace

PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kubectl")


def prepare(folder: Path, wish: Wish, supervisor: int) -> Host:
    """Return the host to be started in `folder`, with its keys, configuration and kubeconfigs written.

    The ports of an earlier start are taken again where they are free, so that kubeconfigs handed out stay good.
    """
    found = {name: tools.find(name) for name in PROGRAMS}
    chosen = _ports(folder)
    server = f"https://127.0.0.1:{chosen['kube-apiserver']}"
    host = Host(folder, server, wish, KUBERNETES, supervisor, chosen, found)
    pki.ensure(host.pki)
    pki.write_kubeconfigs(host.pki, server, host.kubeconfig)
    if wish.audit:
        layout.audit_log(folder).parent.mkdir(mode=0o700, exist_ok=True)
        replace(_policy(folder), json.dumps(audit_policy(wish.audit)).encode())
    return host


def control_plane(host: Host, programs: Programs, tell: Callable[[str], None]) -> None:
    """Start etcd and the API server, then the controllers and the scheduler; return once the API server is ready."""
    tell("start etcd and kube-apiserver")
    programs.start(_etcd(host))
    programs.start(_apiserver(host))
    await_program(host, programs, "kube-apiserver to be ready", lambda: _answers(host, "/readyz"))
    tell("start kube-controller-manager and kube-scheduler")
    programs.start(_controller_manager(host))
    programs.start(_scheduler(host))


def apply(host: Host, objects: Sequence[dict[str, Any]]) -> None:
    """Apply `objects` (server-side) as the actors. Raises HostError when the API server refuses one."""
    kubeconfig = host.pki / "actors.kubeconfig"
    kubectl = [str(host.tools["kubectl"]), f"--kubeconfig={kubeconfig}", f"--cache-dir={host.folder / 'kubectl'}"]
    command = [*kubectl, "apply", "--server-side", "-f", "-"]
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    done = subprocess.run(command, input=body, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise HostError(f"the host's own objects cannot be applied: {done.stderr.strip()[-300:]}")


def nodes(host: Host, programs: Programs, documents: Sequence[dict[str, Any]], flags: Sequence[str]) -> None:
    """Make the nodes and start kwok with our stages, `documents` and `flags`; return once pods can be scheduled."""
    config = host.folder / "kwok.yaml"
    replace(config, yaml.safe_dump_all([*stages.documents(), *documents]).encode())
    for name in _fake_nodes(host):
        _make_node(host, name)
    programs.start(_kwok(host, config, flags))
    await_program(host, programs, "the nodes to be ready", lambda: _nodes_ready(host))
    await_program(
        host,
        programs,
        "the default service account",
        lambda: _answers(host, "/api/v1/namespaces/default/serviceaccounts/default"),
    )


def fetch(host: Host, path: str) -> dict[str, Any]:
    """Return the object at `path` as the administrator sees it; empty when it is not there. Raises OSError."""
    status, body = probe.ask(host.ports["kube-apiserver"], host.pki, path)
    found: dict[str, Any] = json.loads(body) if status == 200 else {}
    return found


def await_api_server(host: Host) -> None:
    """Return once the API server is ready, whatever the other processes do. Raises HostError after a minute."""
    probe.wait("kube-apiserver to be ready", lambda: _answers(host, "/readyz"), lambda: None)


def await_program(host: Host, programs: Programs, what: str, is_true: Callable[[], bool]) -> None:
    """Wait for `is_true`. Raises HostError with the last line of its log when a process ends meanwhile."""

    def check() -> None:
        for name in programs.lost():
            words = last_words(layout.log(host.folder, name))
            if "no space left" in words:
                raise HostError(f"{name} ended while starting: no space left on device for {host.folder}")
            raise HostError(f"{name} ended while starting: {words}")

    probe.wait(what, is_true, check)


def last_words(log: Path) -> str:
    """Return the line of `log`, of its last ones, that says most about an end; at most 300 characters."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()][-40:]
    except OSError:
        return "it left no log"
    for signs in (("no space left on device", "address already in use"), ("rror", "atal", "panic"), ("",)):
        telling = [(line, line.index(sign)) for line in lines for sign in signs if sign in line]
        if telling:
            line, place = telling[-1]
            return line[max(0, place - 200) : place + 100]
    return "it said nothing"


def audit_policy(users: Sequence[str]) -> dict[str, Any]:
    """Return the audit policy that logs `users` and nobody else: what they write with its body, of reads that they were made.

    The answers, of reads above all, would be nine tenths of the log, and who reads it would pay for them with the server.

    Policies know no patterns, but service accounts are in groups: system:serviceaccount:* and system:serviceaccount:NS:*
    become those. Raises HostError for any other pattern.
    """
    named = [_audited(user) for user in users]
    reads = [{"level": "Metadata", "verbs": ["get", "list", "watch"], **who} for who in named]
    rules = [*reads, *({"level": "Request", **who} for who in named)]
    body = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
    return {**body, "rules": [*rules, {"level": "None"}]}


def _audited(user: str) -> dict[str, Any]:
    if not user.endswith("*"):
        return {"users": [user]}
    parts = user.split(":")
    if parts[:2] != ["system", "serviceaccount"] or len(parts) not in (3, 4):
        raise HostError(f"audit: {user} is neither a user nor system:serviceaccount:* nor system:serviceaccount:NS:*")
    group = ":".join(["system", "serviceaccounts", *parts[2:-1]])
    return {"userGroups": [group]}


def _ports(folder: Path) -> dict[str, int]:
    earlier = read(folder)
    if earlier is not None and set(earlier.host.ports) == set(PORTS):
        kept = dict(earlier.host.ports)
        if all(map(ports.is_free, kept.values())):
            return kept
    return ports.free_ports(PORTS)


def _policy(folder: Path) -> Path:
    return folder / "audit-policy.json"


def _extra(host: Host, name: str) -> list[str]:
    return list(host.wish.extra_flags.get(name, ()))


def _program(host: Host, name: str, argv: Sequence[str], version: str, *, again: bool = False) -> Program:
    address = f"https://127.0.0.1:{host.ports[name]}"
    return Program(name, (*argv, *_extra(host, name)), layout.log(host.folder, name), address, version, again=again)


def _etcd(host: Host) -> Program:
    argv = components.etcd(
        host.tools["etcd"],
        data=host.folder / "etcd",
        certificate=host.pki / "etcd.crt",
        key=host.pki / "etcd.key",
        ca=host.pki / "etcd-ca.crt",
        client=host.ports["etcd"],
        peer=host.ports["etcd-peer"],
    )
    return _program(host, "etcd", argv, ETCD)


def _apiserver(host: Host) -> Program:
    store = components.storage(
        server=f"https://127.0.0.1:{host.ports['etcd']}",
        certificate=host.pki / "etcd.crt",
        key=host.pki / "etcd.key",
        ca=host.pki / "etcd-ca.crt",
    )
    log = components.audit(_policy(host.folder), layout.audit_log(host.folder)) if host.wish.audit else []
    node = node_settings.apiserver_flags(host.folder) if host.wish.node else []
    argv = components.apiserver(
        host.tools["kube-apiserver"], pki=host.pki, port=host.ports["kube-apiserver"], store=store, extra=[*log, *node]
    )
    return _program(host, "kube-apiserver", argv, KUBERNETES)


def _controller_manager(host: Host) -> Program:
    name = "kube-controller-manager"
    kubeconfig = host.pki / "controller-manager.kubeconfig"
    argv = components.controller_manager(host.tools[name], pki=host.pki, kubeconfig=kubeconfig, port=host.ports[name])
    return _program(host, name, argv, KUBERNETES, again=True)


def _scheduler(host: Host) -> Program:
    name, kubeconfig = "kube-scheduler", host.pki / "scheduler.kubeconfig"
    argv = components.scheduler(host.tools[name], pki=host.pki, kubeconfig=kubeconfig, port=host.ports[name])
    return _program(host, name, argv, KUBERNETES, again=True)


def _kwok(host: Host, config: Path, flags: Sequence[str]) -> Program:
    argv = components.kwok(
        host.tools["kwok"],
        pki=host.pki,
        kubeconfig=host.pki / "kwok.kubeconfig",
        config=config,
        port=host.ports["kwok"],
        extra=flags,
    )
    return _program(host, "kwok", argv, KWOK, again=True)


def _answers(host: Host, path: str) -> bool:
    return probe.ask(host.ports["kube-apiserver"], host.pki, path)[0] == 200


def _make_node(host: Host, name: str) -> None:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    if host.wish.node:
        labels[place.FAKE] = "true"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    status, body = probe.ask(host.ports["kube-apiserver"], host.pki, "/api/v1/nodes", node)
    if status not in (201, 409):  # 409: the folder was kept from an earlier start
        raise HostError(f"node {name} cannot be made: {body.decode(errors='replace')[:300]}")


def _nodes_ready(host: Host) -> bool:
    items: list[dict[str, Any]] = fetch(host, "/api/v1/nodes").get("items", [])
    ready = {one["metadata"]["name"] for one in items if _takes_pods(one)}
    return ready.issuperset(_fake_nodes(host))


def _fake_nodes(host: Host) -> list[str]:
    return [f"node-{number}" for number in range(host.wish.nodes)]


def _takes_pods(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return is_ready and not node["spec"].get("taints")
