"""A real node leaves nothing on the machine, however its host ends: processes, namespaces, mounts, links, rules, groups, settings."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devhost import lifecycle
from devhost.node import start
from devhost.state import Host
from tests.devhost import real_node, traces

TIMES = int(os.environ.get("NIDUS_NODE_CYCLES", "1"))
"""How often each end is tried; the variable says another number."""

pytestmark = [
    pytest.mark.host,
    pytest.mark.long,
    pytest.mark.timeout(300 + 240 * TIMES),
    pytest.mark.xdist_group(real_node.GROUP),
]


def take_down(host: Host) -> None:
    """End the host as its user does, so that the next one goes on from its data."""
    lifecycle.down(host.folder, keep=True)


def kill_supervisor(host: Host) -> None:
    """End the supervisor as the kernel might."""
    os.kill(host.supervisor, signal.SIGKILL)


def kill_keeper_and_take_down(host: Host) -> None:
    """End what would have cleaned up first."""
    rows = {row.component: row.pid for row in lifecycle.status(host.folder)}
    os.kill(rows[start.KEEPER], signal.SIGKILL)
    lifecycle.down(host.folder, keep=True)


ENDS: list[Callable[[Host], None]] = [*[take_down, kill_supervisor] * TIMES, kill_keeper_and_take_down]


def test_nothing_is_left_however_the_host_ends() -> None:
    real_node.skip_unless_possible()
    with tempfile.TemporaryDirectory(
        prefix="nidus-"
    ) as short:  # a worker's folders are too deep for the kubelet's sockets
        folder = Path(short) / "host"
        before = real_node.look(folder)
        for end in ENDS:
            start_and(end, folder, before)
        lifecycle.down(folder)
        assert not folder.exists()


def start_and(end: Callable[[Host], None], folder: Path, before: real_node.Traces) -> None:
    """Start the host and `end` it; what is there then is what was there `before`, and nobody is in the node's namespaces."""
    host = lifecycle.up(folder, nodes=0, nested="none", node="real")
    own = real_node.namespaces_below(host.supervisor)
    assert {name.partition(":")[0] for name in own} >= {"pid", "net", "mnt", "ipc", "uts"}
    end(host)
    traces.until(lambda: real_node.look(folder) == before and not own & real_node.in_use())
    assert real_node.look(folder).differences(before) == {}, end.__name__
    assert own & real_node.in_use() == set(), end.__name__
