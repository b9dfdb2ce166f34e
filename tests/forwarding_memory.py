"""A host on a real socket: the API server in memory, and port-forwards to nested servers over WebSockets."""

import socket
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from reconciler.inventory.store import State, Store
from reconciler.model import InventoryEntry, ObjectRef, Record, Target
from tests.answering import http
from tests.memory.server import Server as Memory
from tests.nested_server import ForwardingHost, NestedServer
from tests.shell import client

SYSTEM = "nidus-system"


class MemoryHost(ForwardingHost):
    """`memory` answers everything but port-forwards."""

    def __init__(self, memory: Memory, *nested: NestedServer) -> None:
        self.memory = memory
        super().__init__(*nested)

    def _one(self, peer: socket.socket) -> None:
        with peer, suppress(OSError), peer.makefile("rb") as lines:
            while request := lines.readline().decode():
                method, target, _ = request.split()
                headers = {}
                while (header := lines.readline()) not in (b"\r\n", b""):
                    key, _, value = header.decode().partition(":")
                    headers[key.strip().lower()] = value.strip()
                body = lines.read(int(headers.get("content-length", 0)))
                parts = urlsplit(target)
                self.seen.append(f"{method} {target}")
                if parts.path.endswith("/portforward"):
                    self._forward(peer, lines, headers["sec-websocket-key"], self.nested[parts.path.split("/")[4]])
                    return
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                made = self.memory.request(method, parts.path, query, headers, body)
                kept = [f"{key}: {value}" for key, value in made.headers.items() if key.lower() != "content-length"]
                peer.sendall(http(made.status, made.body, *kept))


def furnished(memory: Memory, *nested: NestedServer, endpoint: str = "") -> None:
    """Put what a controller and engines would have: records, status objects, Secrets, Pods."""
    from tests import installed

    for one in installed.kinds():
        memory.apply(one)
    memory.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    for one in nested:
        name, namespace = one.secret["metadata"]["name"].removeprefix("vc-"), one.secret["metadata"]["namespace"]
        memory.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        secret = {key: value for key, value in one.secret.items() if key != "metadata"}
        memory.apply({**secret, "metadata": {"name": f"vc-{name}", "namespace": namespace}})
        ref = ObjectRef("", "Namespace", "", namespace)
        entries = (InventoryEntry(Target("local", ""), ref, "namespace", "u1", "owned", ()),)
        record = Record("platform", name, "local", f"clusters/{name}.yaml", "main", "c" * 40, {"spec": "d"}, "n1", 1.0)
        store = Store(client(memory), SYSTEM)
        if store.read(name) is None:
            store.write(State(record, entries))
        _status(memory, name, endpoint)
        memory.apply(_pod(name, namespace))
        memory.apply(_pod(name, namespace), subresource="status")


def _status(memory: Memory, name: str, endpoint: str) -> None:
    head: dict[str, Any] = {"apiVersion": "nidus.dev/v1alpha1", "kind": "NestedCluster"}
    head["metadata"] = {"name": name, "namespace": SYSTEM}
    memory.apply({**head, "spec": {}})
    if endpoint:
        memory.apply({**head, "status": {"endpoint": endpoint}}, subresource="status")


def _pod(name: str, namespace: str) -> dict[str, Any]:
    labels = {"app": "vcluster", "release": name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-0", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "syncer", "image": "x"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
