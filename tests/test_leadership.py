"""The Lease over a server in memory: a process may be told to end at any moment of its taking (H1, H2)."""

import sys
import threading
from types import FrameType
from typing import Any

import pytest

from reconciler.controller import leadership
from reconciler.controller.leadership import LEASE, Lease
from tests.memory.server import Server
from tests.shell import client
from tests.waiting import until

NAMESPACE = "nidus-system"
LINES = 45  # more than the taking of a free Lease has


class Stopper:
    """Gives the Lease back in a thread of its own while `acquire` stands before its `line`-th line."""

    def __init__(self, lease: Lease, line: int) -> None:
        self.lease, self.left = lease, line
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._release)

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename != leadership.__file__:
            return None
        if event == "line" and frame.f_lineno:
            self.left -= 1
            if self.left == 0:
                self.thread.start()
                self.thread.join(0.02)  # as far as it comes without this thread
        return self.trace

    def _release(self) -> None:
        try:
            self.lease.release()
        except BaseException as error:
            self.errors.append(error)


@pytest.mark.parametrize("line", range(1, LINES))
def test_it_is_given_back_whenever_the_process_is_told_to_end(line: int) -> None:
    server = Server()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    lease = Lease(client(server), NAMESPACE, LEASE, "one", on_lost=lambda why: None)
    stopper = Stopper(lease, line)
    sys.settrace(stopper.trace)
    try:
        lease.acquire()
    finally:
        sys.settrace(None)
    if stopper.left <= 0:
        stopper.thread.join(60)
    lease.release()  # as `Service.stop` does
    assert stopper.errors == []
    assert not lease.held()
    live = server.get("coordination.k8s.io", "Lease", NAMESPACE, LEASE)
    assert live is None or not live["spec"].get("holderIdentity")
    assert until(lambda: not [one for one in threading.enumerate() if one.name == "lease"])


def test_every_moment_of_the_taking_was_tried() -> None:
    """LINES is more than there are."""
    server = Server()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    lease = Lease(client(server), NAMESPACE, LEASE, "one", on_lost=lambda why: None)
    stopper = Stopper(lease, LINES)
    sys.settrace(stopper.trace)
    try:
        assert lease.acquire()
    finally:
        sys.settrace(None)
    lease.release()
    assert stopper.left > 0
