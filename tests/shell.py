"""The product's client over a server in memory."""

from collections.abc import Callable

from reconciler.kube.client import Client, no_fence
from reconciler.kube.transport import Guard, Transport
from reconciler.kube.transport import Limits as Patience
from tests.installed import kinds
from tests.memory.api import Api
from tests.memory.server import Server

DEADLINE = 10.0


def client(
    server: Server, fence: Callable[[], None] = no_fence, *, guard: Guard | None = None, deadline: float = DEADLINE
) -> Client:
    """The product's client of a server in memory."""
    return Client(Transport(Api(server), guard=guard, limits=Patience(deadline=deadline)), fence=fence)


def installed(namespace: str) -> Server:
    """A server in memory with our kinds and the controller's namespace."""
    made = Server()
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for one in kinds():
        made.put(one)
    return made
