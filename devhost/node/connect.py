"""Joins a node's network and the API server outside: `python -m devhost.node.connect HOLDER PORT EGRESS`.

Inside, PORT of the node's address and of its loopback leads to the API server's PORT on the machine's, and an engine's address to
the nested control plane that runs there. Outside, the socket EGRESS
takes what the API server connects to (EgressSelectorConfiguration, HTTP CONNECT): addresses of nodes, pods and Services of the
node's network are dialled inside, all others on the machine. No link joins the two networks: a socket belongs to the
network in which it was made, whoever holds it. Ends with the holder, or it would keep the network alive. Standard library alone.
"""

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

from devhost.node import place, spaces

INSIDE = tuple(map(ipaddress.ip_network, (place.SERVICE_CIDR, place.POD_CIDR, f"{place.ADDRESS}/32")))
REQUEST = re.compile(rb"CONNECT \[?([^\s\]]+)\]?:(\d{1,5}) HTTP/1\.[01]\r\n")
LIMIT = 8192
"""Bytes of a request with its headers."""
SECONDS = 10.0
"""For a request to come, and for a connection to be made."""
WAIT_SECONDS = 20.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Network:
    """Makes sockets of the node's network. For one thread: between leaving and coming back nothing else may be made."""

    def __init__(self, holder: int) -> None:
        self._theirs = spaces.namespace(holder, "net")
        self._ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def make(self) -> socket.socket:
        """Return a new TCP socket in it. Raises OSError."""
        spaces.enter(self._theirs)
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            spaces.enter(self._ours)

    def listen(self, address: str, port: int) -> socket.socket:
        """Return a socket that listens there. Raises OSError."""
        made = self.make()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        return made


async def serve(holder: int, port: int, egress: Path) -> None:
    """Serve until the holder ends."""
    network = Network(holder)
    egress.unlink(missing_ok=True)

    connections = Connections()
    to_server = connections.each(lambda client: _to_server(port, client))
    from_server = connections.each(lambda client: _connect(network, client))
    to_engine = connections.each(lambda client: _to_engine(egress.parent / "engines", client))
    servers = [
        await asyncio.start_server(to_server, sock=network.listen(address, port))
        for address in ("127.0.0.1", place.ADDRESS)
    ]
    servers.append(await asyncio.start_server(to_engine, sock=network.listen("0.0.0.0", place.ENGINE_PORT)))
    servers.append(await asyncio.start_unix_server(from_server, os.path.relpath(egress), limit=LIMIT))
    await _end_of(holder)
    for one in servers:
        one.close()


class Connections:
    """The tasks of connections that are open. An event loop keeps weak references alone: without this one they are collected."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[None]] = set()

    def each(self, serve: Callable[[Streams], Coroutine[None, None, None]]) -> Callable[..., None]:
        """Return what takes the streams of a new connection and lets `serve` have them, in a task that is kept."""

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(serve((reader, writer)))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

        return begin


async def _end_of(holder: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(os.pidfd_open(holder), ended.set)
    await ended.wait()


async def _connect(network: Network, client: Streams) -> None:
    """Answer one CONNECT request and join its two ends."""
    reader, writer = client
    try:
        async with asyncio.timeout(SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            asked = REQUEST.match(head)
            if asked is None:
                raise OSError("not a CONNECT request")
            server = await _dial(network, asked[1].decode(errors="replace"), int(asked[2]))
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        print(f"error: a connection of the API server: {error}", file=sys.stderr, flush=True)
        await _close(writer)
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await _pump(client, server)


async def _dial(network: Network, host: str, port: int) -> Streams:
    if not _is_inside(host):
        return await asyncio.open_connection(host, port)
    made = network.make()
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (host, port))
        return await asyncio.open_connection(sock=made)
    except BaseException:
        made.close()
        raise


def _is_inside(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in INSIDE)


async def _to_engine(known: Path, client: Streams) -> None:
    """Lead a connection to an engine's address, which this node takes for its own, to the port that stands for it."""
    address = client[1].get_extra_info("sockname")[0]
    try:
        port = int((known / address).read_text())
    except (OSError, ValueError):
        await _close(client[1])
        return
    await _to_server(port, client)


async def _to_server(port: int, client: Streams) -> None:
    try:
        server = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await _close(client[1])
        return
    await _pump(client, server)


async def _pump(one: Streams, other: Streams) -> None:
    """Copy both ways until both ends have said all, or one breaks off."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(one[0], other[1]))
            group.create_task(_copy(other[0], one[1]))
    except* OSError:
        pass
    finally:
        await _close(one[1])
        await _close(other[1])


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def main(file: Path, port: int, egress: Path) -> int:
    """Wait for the holder, serve; return the exit code."""
    holder = spaces.holder(file, WAIT_SECONDS)
    if not holder:
        sys.exit("error: the node's namespaces are not there")
    asyncio.run(serve(holder, port, egress))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
