"""`nidus kubeconfig NAME`: a kubeconfig of one nested cluster. Where the cluster is not exposed, the command keeps
running as its port-forward."""

from __future__ import annotations

import argparse
import base64
import sys
import time
from typing import TYPE_CHECKING, Any

from reconciler.errors import Stalled
from reconciler.verbs import connection

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Object

IDLE_SECONDS = 60.0


EXAMPLES = (
    ("team-a > team-a.kubeconfig", "serves a port-forward until idle, where it is not exposed"),
    ("team-a --hold > team-a.kubeconfig", "serves it until Ctrl-C"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the nested cluster")
    parser.add_argument(
        "--hold", action="store_true", help="serve the port-forward until Ctrl-C, not only until idle for 60 s"
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print, close standard output, serve. Exit code 0; 1 where the cluster is not there or not up."""
    client = connection.connect(args)
    namespace, endpoint = _place(client, args)
    secret = _secret(client, namespace, args.name)
    if endpoint:
        print(_render(secret, args.name, endpoint, verify_as=""))
        return 0
    from reconciler.kube import portforward, targets

    listener = portforward.listen(client, namespace, targets.pods_of(args.name), targets.PORT)
    host, port = listener.address
    print(
        _render(secret, args.name, f"https://{host}:{port}", verify_as=f"{args.name}.{namespace}"),
        flush=True,
    )
    _let_go_of_output()
    try:
        while args.hold or time.monotonic() - listener.idle_since < IDLE_SECONDS:
            time.sleep(1.0)
    finally:
        listener.close()
    return 0


def _place(client: Client, args: argparse.Namespace) -> tuple[str, str]:
    """The host namespace, and the endpoint for clients outside the host ("" for none)."""
    from reconciler.inventory.store import Store
    from reconciler.model import ObjectRef

    state = Store(client, args.namespace).read(args.name)
    if state is None:
        raise Stalled(f"no nested cluster {args.name}", hint="nidus status lists them")
    found = client.get(ObjectRef("nidus.dev", "NestedCluster", args.namespace, args.name)) or {}
    endpoint = str((found.get("status") or {}).get("endpoint", ""))
    namespaces = [
        entry.ref.name for entry in state.entries if entry.ref.kind == "Namespace" and not entry.target.nested
    ]
    if not namespaces:
        raise Stalled(f"nested cluster {args.name} has no namespace yet", hint=f"nidus status {args.name}")
    exposed = endpoint if endpoint and f".{namespaces[0]}" not in endpoint else ""
    return namespaces[0], exposed


def _secret(client: Client, namespace: str, name: str) -> Object:
    from reconciler.model import ObjectRef

    found = client.get(ObjectRef("", "Secret", namespace, f"vc-{name}"))
    if found is None:
        raise Stalled(f"the control plane of {name} is not up yet", hint=f"nidus status {name}")
    return found


def _render(secret: Object, name: str, server: str, verify_as: str) -> str:
    """A kubeconfig from the fields the engine's Secret must have; nothing else of it is passed on (A8)."""
    import json

    from reconciler.kube.secret import credentials

    found = credentials(secret)  # refuses malformed fields
    cluster: dict[str, Any] = {"server": server, "certificate-authority-data": _base64(found.ca)}
    if verify_as:
        cluster["tls-server-name"] = verify_as
    user = {"client-certificate-data": _base64(found.certificate), "client-key-data": _base64(found.key)}
    if found.token:
        user = {"token": found.token}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(body, indent=2)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _let_go_of_output() -> None:
    """Close standard output, so that its reader sees the end while the port-forward keeps running."""
    import os

    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
