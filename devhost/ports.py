"""Free TCP ports on 127.0.0.1."""

from __future__ import annotations

import secrets
import socket

from devhost.errors import HostError

LOWEST, HIGHEST = 20000, 32000
"""Below the range from which Linux takes ports for outgoing connections, so that none is lost between choice and use."""


def free_port() -> int:
    """Return a port nobody listens on now, chosen by chance so that hosts started at once rarely choose the same."""
    for _ in range(200):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if is_free(port):
            return port
    raise HostError(f"no free TCP port between {LOWEST} and {HIGHEST} on 127.0.0.1")


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """Return one free port for each name, all different."""
    ports: dict[str, int] = {}
    while len(ports) < len(names):
        port = free_port()
        if port not in ports.values():
            ports[names[len(ports)]] = port
    return ports


def is_free(port: int) -> bool:
    """Tell whether 127.0.0.1:`port` can be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
