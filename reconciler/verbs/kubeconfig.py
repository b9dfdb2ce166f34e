"""`nidus kubeconfig NAME`: a kubeconfig of one nested cluster. Where the cluster is not exposed, the command keeps
running as its port-forward."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from reconciler.verbs import access, connection

if TYPE_CHECKING:
    from reconciler.kube.portforward import Listener
    from reconciler.verbs.access import Access

IDLE_SECONDS = 60.0


EXAMPLES = (
    ("team-a > team-a.kubeconfig", "serves a port-forward until idle, where it is not exposed"),
    ("team-a --hold > team-a.kubeconfig", "serves it until Ctrl-C"),
    ("team-a --forward", "serves one though it is exposed: its public name does not resolve here"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument(
        "--hold", action="store_true", help="serve the port-forward until Ctrl-C, not only until idle for 60 s"
    )
    parser.add_argument(
        "--forward", action="store_true", help="serve a port-forward even where the cluster has a public address"
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print, close standard output, serve. Exit code 0; 1 where the cluster is not there or not up."""
    client = connection.connect(args)
    found = access.find(client, args.namespace, args.name)
    if found.endpoint and not args.forward:
        print(_render(found, 0), flush=True)
        if told := access.unresolved(found.endpoint):
            _tell(f"note: {told}; nidus kubeconfig {args.name} --forward reaches the cluster through the host")
        return 0
    listener = access.forward(client, args.name, found.namespace)
    print(_render(found, listener.address[1]), flush=True)
    _let_go_of_output()
    _serve(args.name, listener, args.hold)
    return 0


def _serve(name: str, listener: Listener, hold: bool) -> None:
    """Until Ctrl-C, or unless `hold` until nobody has used the forward for IDLE_SECONDS."""
    import os

    until = "until Ctrl-C" if hold else f"until unused for {IDLE_SECONDS:.0f} s (--hold: until Ctrl-C)"
    _tell(
        f"forward of {name} held on port {listener.address[1]} by this process, pid {os.getpid()}, {until}; "
        f"nidus connect {name} holds one in the background"
    )
    try:
        while hold or time.monotonic() - listener.idle_since < IDLE_SECONDS:
            time.sleep(1.0)
        _tell(
            f"forward of {name} ended, nobody used it for {IDLE_SECONDS:.0f} s: the kubeconfig printed no longer works"
        )
    finally:
        listener.close()


def _render(found: Access, port: int) -> str:
    import os

    import yaml

    sections = {section: [entry] for section, entry in found.entries(found.name, port).items()}
    body = {"apiVersion": "v1", "kind": "Config", **sections, "current-context": found.name}
    head = f"# Works only while process {os.getpid()} (nidus kubeconfig) runs on this machine.\n" if port else ""
    text: str = yaml.safe_dump(body, sort_keys=False)
    return head + text.rstrip("\n")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _let_go_of_output() -> None:
    """Close standard output, so that its reader sees the end while the port-forward keeps running."""
    import os

    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
