"""What the internal listener of a controller says: at an address, or of each pod through the host's API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import UNREADABLE, NidusError, Stalled, UsageError, printable

if TYPE_CHECKING:
    import argparse
    import socket

    from reconciler.kube.client import Client

T = TypeVar("T")
PORT = 9293  # of the internal listener, as in deploy/chart
LARGEST = 64 << 20  # bytes of one answer
SECONDS = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say where the internal listener is."""
    parser.add_argument(
        "--address", default="", metavar="HOST:PORT", help="the internal listener, where no pod is asked"
    )
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="that of the pods (default: %(default)s)")


def at(address: str, path: str, kind: type[T]) -> T:
    """The answer of the internal listener at HOST:PORT. Raises UsageError or Stalled."""
    import socket

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{printable(address[:100])} is no address", hint="--address HOST:PORT")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS) as sock:
            return _asked(sock, address, path, kind)
    except (OSError, OverflowError) as error:
        raise Stalled(f"{printable(address[:100])} does not answer: {printable(str(error)[:200])}") from None


def of_pods(client: Client, namespace: str, port: int, path: str, kind: type[T]) -> tuple[list[T], tuple[str, ...]]:
    """The answer of each pod of the controller, through the host's API server, and why others could not be asked. Raises ApiError, or
    Stalled where none could be."""
    from reconciler.verbs.logs import PODS

    pods = [str(one["metadata"]["name"]) for one in client.list("", "Pod", namespace=namespace, labels=PODS)[0]]
    if not pods:
        raise Stalled(
            f"no pod of the controller in namespace {namespace}",
            hint="--address HOST:PORT asks one that runs elsewhere",
        )
    found, unread = list[T](), list[str]()
    for pod in pods:
        try:
            found.append(_of_pod(client, namespace, pod, port, path, kind))
        except (NidusError, OSError) as error:
            unread.append(f"pod {pod} cannot be asked: {error}")
    if len(unread) == len(pods):
        raise Stalled(unread[0])
    return found, tuple(unread)


def _of_pod(client: Client, namespace: str, pod: str, port: int, path: str, kind: type[T]) -> T:
    from reconciler.kube import portforward

    with portforward.connect(client, namespace, pod, port) as sock:
        sock.settimeout(SECONDS)
        return _asked(sock, f"pod {pod}", path, kind)


def _asked(sock: socket.socket, who: str, path: str, kind: type[T]) -> T:
    """The answer over a connected socket. Raises OSError, or Stalled where it is not what Nidus answers."""
    import http.client

    from reconciler import decoding

    asking = http.client.HTTPConnection("localhost")
    asking.sock = sock
    try:
        asking.request("GET", path, headers={"Connection": "close"})
        answer = asking.getresponse()
        body = answer.read(LARGEST)
        if answer.status != 200:
            raise Stalled(f"{who} answered {answer.status}: is that the internal listener?")
        return decoding.decoded(body, kind)
    except (http.client.HTTPException, *UNREADABLE) as error:
        raise Stalled(f"{who} answered something else than Nidus does") from error
