"""The product's client over a server in memory."""

from collections.abc import Callable
from pathlib import Path

import yaml

from reconciler.kube.client import Client, no_fence
from reconciler.kube.transport import Guard, Transport
from reconciler.kube.transport import Limits as Patience
from tests.memory.api import Api
from tests.memory.server import Server

DEADLINE = 10.0
CRDS = Path(__file__).parents[1] / "deploy" / "crds"


def client(
    server: Server, fence: Callable[[], None] = no_fence, *, guard: Guard | None = None, deadline: float = DEADLINE
) -> Client:
    """The product's client of a server in memory."""
    return Client(Transport(Api(server), guard=guard, limits=Patience(deadline=deadline)), fence=fence)


def installed(namespace: str) -> Server:
    """A server in memory with our kinds and the controller's namespace."""
    made = Server()
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for file in sorted(CRDS.glob("*.yaml")):
        made.put(yaml.safe_load(file.read_text()))
    return made
