"""The product's client over a server in memory."""

from collections.abc import Callable

from reconciler.kube.client import Client, no_fence
from reconciler.kube.transport import Guard, Transport
from reconciler.kube.transport import Limits as Patience
from tests.memory.api import Api
from tests.memory.server import Server

DEADLINE = 10.0


def client(
    server: Server, fence: Callable[[], None] = no_fence, *, guard: Guard | None = None, deadline: float = DEADLINE
) -> Client:
    """The product's client of a server in memory."""
    return Client(Transport(Api(server), guard=guard, limits=Patience(deadline=deadline)), fence=fence)
