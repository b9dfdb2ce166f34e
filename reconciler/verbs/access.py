"""How people reach one nested cluster: its address, and the cluster, user and context of a kubeconfig for it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.errors import Stalled
from reconciler.verbs import known

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.kube.portforward import Listener
    from reconciler.kube.secret import Credentials


@dataclass(frozen=True, slots=True)
class Access:
    """One nested cluster: its host namespace, its public address ("" where it has none), and what the engine's Secret holds."""

    name: str
    namespace: str
    endpoint: str
    credentials: Credentials

    def entries(self, name: str, port: int) -> dict[str, dict[str, Any]]:
        """Section of a kubeconfig -> its entry called `name`; `port` of a forward on this machine, 0 for the public address.

        Nothing else of the Secret is passed on (A8).
        """
        found = self.credentials
        cluster = {"server": self.endpoint, "certificate-authority-data": _base64(found.ca)}
        if port:
            cluster |= {"server": f"https://127.0.0.1:{port}", "tls-server-name": f"{self.name}.{self.namespace}"}
        user = {"client-certificate-data": _base64(found.certificate), "client-key-data": _base64(found.key)}
        if found.token:
            user = {"token": found.token}
        return {
            "clusters": {"name": name, "cluster": cluster},
            "users": {"name": name, "user": user},
            "contexts": {"name": name, "context": {"cluster": name, "user": name}},
        }


def find(client: Client, namespace: str, name: str) -> Access:
    """How to reach a cluster of the controller in `namespace`. Raises Stalled where it is not there, not up, or its Secret
    is not what it must be (A8)."""
    from reconciler.inventory.store import Store
    from reconciler.kube.secret import credentials
    from reconciler.model import ObjectRef

    state = Store(client, namespace).read(name)
    if state is None:
        known.cluster(client, namespace, name)
        raise Stalled(f"nested cluster {name} is not begun yet", hint=f"nidus why {name}")
    namespaces = [
        entry.ref.name for entry in state.entries if entry.ref.kind == "Namespace" and not entry.target.nested
    ]
    if not namespaces:
        raise Stalled(f"nested cluster {name} has no namespace yet", hint=f"nidus status {name}")
    secret = client.get(ObjectRef("", "Secret", namespaces[0], f"vc-{name}"))
    if secret is None:
        raise Stalled(f"the control plane of {name} is not up yet", hint=f"nidus status {name}")
    found = client.get(ObjectRef("nidus.dev", "NestedCluster", namespace, name)) or {}
    endpoint = str((found.get("status") or {}).get("endpoint", ""))
    exposed = endpoint if f".{namespaces[0]}" not in endpoint else ""
    return Access(name, namespaces[0], exposed, credentials(secret))


def forward(client: Client, name: str, namespace: str, port: int = 0) -> Listener:
    """Listen on 127.0.0.1 for connections to the cluster's API server; on `port` where that is free. Raises OSError."""
    from reconciler.kube import portforward, targets

    def opened(local: int) -> Listener:
        return portforward.listen(client, namespace, targets.pods_of(name), targets.PORT, local_port=local)

    try:
        return opened(port)
    except OSError:
        if not port:
            raise
        return opened(0)


def unresolved(endpoint: str) -> str:
    """Why the public address is of no use from here, "" where its name resolves."""
    import socket
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(endpoint)
        socket.getaddrinfo(parts.hostname or "", parts.port or 443, proto=socket.IPPROTO_TCP)
    except (OSError, ValueError):
        return f"{endpoint} does not resolve on this machine"
    return ""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
