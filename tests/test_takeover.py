"""A controller whose interpreter is held writes nothing, is ended, and another one takes over when its Lease has run out (H1, H3)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.memory.server import Server
from tests.test_service import NAMESPACE, House, get, house, server
from tests.waiting import until

__all__ = ["house", "server"]
HELD, TIMES = 2.0, 10  # seconds of the watchdog, and how many times as long the interpreter is held

LEADER = """
import ctypes, sys, threading
from reconciler.controller import liveness
from reconciler.controller.leadership import Lease
from reconciler.kube import edge
from reconciler.model import HostConfig

client = edge.host(HostConfig(kubeconfig=sys.argv[1]))
lease = Lease(client, sys.argv[2], "nidus", "held", 10.0, on_lost=liveness.die)
assert lease.acquire(wait=20.0)
liveness.watch(lambda: "", threading.Event(), held=float(sys.argv[3]))
print("leads", flush=True)
sys.stdin.readline()
ctypes.PyDLL(None).usleep(int(float(sys.argv[4]) * 1e6))
print("survived", flush=True)
"""


class Leader:
    """A process that holds the Lease, under a watchdog of HELD seconds."""

    def __init__(self, house: House) -> None:
        given = (str(house.kubeconfig), NAMESPACE, str(HELD), str(HELD * TIMES))
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        root = Path(__file__).parents[1]
        self.process = subprocess.Popen([sys.executable, "-c", LEADER, *given], cwd=root, text=True, **pipes)  # type: ignore[call-overload]

    def hold(self) -> tuple[str, str]:
        """Hold its interpreter in one call of C; what it said until its end."""
        told: tuple[str, str] = self.process.communicate("now\n", timeout=120)
        return told


@pytest.fixture
def leader(house: House) -> Iterator[Leader]:
    made = Leader(house)
    yield made
    made.process.kill()
    made.process.communicate()


def test_another_takes_over_from_one_whose_interpreter_is_held(server: Server, house: House, leader: Leader) -> None:
    assert leader.process.stdout.readline() == "leads\n"
    standby = house.service("standby")
    starting = house.start(standby)
    assert until(lambda: '"holder":"held"' in get(standby, "/api/v1/process")[1].replace(" ", ""))
    said = leader.hold()
    assert (leader.process.returncode, said[0]) == (1, "")
    assert "Timeout" in said[1] and 'File "<string>"' in said[1]
    assert house.holder() == "held"  # a process that is ended so gives nothing back
    renewed = lease(server)
    assert until(lambda: house.holder() == "standby", 60.0)
    starting.join(30.0)
    assert until(lambda: standby.sources is not None and not standby.sources.unread())
    assert int(lease(server)["leaseTransitions"]) == int(renewed.get("leaseTransitions") or 0) + 1
    assert house.errors == []


def lease(server: Server) -> dict[str, str]:
    found: dict[str, str] = (server.get("coordination.k8s.io", "Lease", NAMESPACE, "nidus") or {})["spec"]
    return found
