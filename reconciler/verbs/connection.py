"""The flags that say which host cluster a command talks to, and the client they make."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.kube.client import Client

NAMESPACE = "nidus-system"


def add_arguments(parser: argparse.ArgumentParser, namespace: str = NAMESPACE) -> None:
    """The flags of every command that talks to a host. `namespace` is the default, "" where a configuration file may say it."""
    told = namespace or f"what the file says, or {NAMESPACE}"
    parser.add_argument(
        "--kubeconfig", default="", help="the host's kubeconfig (default: KUBECONFIG, or the pod's own account)"
    )
    parser.add_argument("--context", default="", help="its context")
    parser.add_argument("-n", "--namespace", default=namespace, help=f"the controller's namespace (default: {told})")


def seconds(text: str) -> float:
    """The type of a flag that takes a time such as 30s, 5m or 8h."""
    from reconciler.spec import units

    try:
        return units.duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is {error}") from None


def connect(args: argparse.Namespace) -> Client:
    """A client of the host cluster. Raises Stalled or Retry where there is none."""
    from reconciler.kube import edge
    from reconciler.model import HostConfig

    return edge.host(HostConfig(kubeconfig=args.kubeconfig, context=args.context))
