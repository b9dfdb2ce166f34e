"""Free TCP ports on 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path

from devhost import tools
from devhost.errors import HostError

LOWEST, HIGHEST = 20000, 32000
"""Below the range from which Linux takes ports for outgoing connections, so that none is lost between choice and use."""


KEPT = 900.0
"""Seconds for which a chosen port is chosen for nobody else of this user: it is listened on later, by another process, and again
after a restart."""


def free_port() -> int:
    """Return a port nobody listens on now, and that no process chose within KEPT seconds."""
    for _ in range(200):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if is_free(port) and _choose(port):
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


def _choose(port: int) -> bool:
    """Write down that `port` is chosen, beside the tools; False where somebody else was first."""
    folder = tools.cache() / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as marks:
        for mark in marks:
            with suppress(FileNotFoundError):
                if time.time() - mark.stat().st_mtime >= KEPT:
                    Path(mark).unlink()
    try:
        (folder / str(port)).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def is_free(port: int) -> bool:
    """Tell whether 127.0.0.1:`port` can be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
