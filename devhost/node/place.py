"""Where a node's files lie in its host's folder, and the addresses in its network. Every host's node has the same addresses:
nothing outside its network namespace can tell."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

NODE: Final = "real-0"
LABEL: Final = "nidus.dev/node"
"""Label of the real node, with the value `real`; pods ask for it by node selector."""
TAINT: Final = "nidus.dev/real"
"""Taint (NoSchedule) of the real node while the host has fake nodes too: nobody comes there who does not ask."""
FAKE: Final = "nidus.dev/fake"
"""Label by which kwok knows its nodes when there is a real one."""

ADDRESS: Final = "10.200.0.1"
SERVICE_CIDR: Final = "10.96.0.0/16"
POD_CIDR: Final = "10.245.0.0/24"
"""Apart from kwok's, which gives its pods addresses of 10.244.0.0/16."""
ENGINE_CIDR: Final = "10.243.0.0/16"
ENGINE_PORT: Final = 8443
"""Where a nested control plane seems to be: the address and the port of its engine's pod, on a fake node."""
DNS_ADDRESS: Final = "10.96.0.10"
SOCKET: Final = "/run/containerd/containerd.sock"
VOLUMES: Final = "/var/lib/devhost"
"""Where the volumes actor says that the data of claims lies; inside the node it does."""


def folder(host: Path) -> Path:
    """The folder of the node of the host in `host`."""
    return host / "node"


def holder(host: Path) -> Path:
    """A file with the process that holds the namespaces: its pid and when it was born; there while the namespaces are ready."""
    return folder(host) / "holder"


def egress(host: Path) -> Path:
    """The socket by which the API server reaches what is in the node's network."""
    return folder(host) / "egress.sock"


def locate(host: Path, address: str, port: int) -> None:
    """Write down that the engine with this address listens on `port` of the machine's loopback: connect.py leads there."""
    (folder(host) / "engines" / address).write_text(str(port))


def cgroup(host: Path) -> str:
    """The name of the control group below which everything of the node's pods is; of this folder alone."""
    return f"nidus-{hashlib.sha256(str(host).encode()).hexdigest()[:12]}"
