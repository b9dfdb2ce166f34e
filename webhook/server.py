"""Serves a Flask application in threads of this process: the webhook's listener and the internal one (W4).

One thread waits for all clients and never works for one; requests that were read whole are answered by others, and the
probes by one of their own. So nobody who is slow holds anybody else. Why no ready-made server: docs/decisions/0019-listeners.md.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from flask import Flask

from webhook.attempts import sender
from webhook.bounds import USUAL, Bounds
from webhook.connection import Desk, Lane, carry
from webhook.rooms import Link, Room, Stage

NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
_BACKLOG = 1024
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REST = 1.0  # seconds between two signs of life of a loop
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """A listener that runs: its port, what stops it (that waits for answers under way), and for how many seconds it has not moved."""

    port: int
    stop: Callable[[], None]
    silent: Callable[[], float]


def serve(
    app: Flask, address: str, *, probes: Iterable[str] = (), bounds: Bounds = USUAL, apart: Mapping[str, int] = NOTHING
) -> Served:
    """Listens on "HOST:PORT" (port 0: any) in a thread of its own.

    A body is read when `app` has no objection to the head (webhook.early). `probes` are the paths of short answers that wait
    for nobody. POSTs to a path of `apart` have so many threads of their own: nobody else waits for them. Raises OSError when the
    address cannot be used.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    listening.setblocking(False)
    bound = int(listening.getsockname()[1])
    listener = Listener(app, listening, frozenset(probes), bounds, apart)
    thread = threading.Thread(target=listener.run, name=f"http-{bound}", daemon=True)
    thread.start()

    def stop() -> None:
        listener.stop()
        thread.join(bounds.stop + 2 * bounds.grace)

    return Served(bound, stop, listener.silent)


class Listener:
    """The listening socket and its connections, in one event loop."""

    def __init__(
        self, app: Flask, listening: socket.socket, probes: frozenset[str], bounds: Bounds, apart: Mapping[str, int]
    ) -> None:
        self._listening, self._bounds = listening, bounds
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._beat = time.monotonic()
        self._links: dict[asyncio.Task[None], Link] = {}
        # A burst of deliveries waits for threads and is not cut; where there are probes, they must get in before others.
        patience = bounds.grace if probes else bounds.queue
        self._room = Room(bounds.connections, share=bounds.share, grace=bounds.grace, patience=patience)
        self._desk = Desk(
            app,
            probes,
            bounds,
            Room(bounds.memory, grace=bounds.grace, patience=patience),
            Lane(bounds.threads, "http"),
            ThreadPoolExecutor(1, "probe"),
            {path: Lane(threads, "apart") for path, threads in apart.items()},
        )

    def run(self) -> None:
        """Serve until it is stopped. A bug is logged, and the loop goes on after a rest."""
        with contextlib.closing(self._loop):
            while not self._stopping.is_set():
                self._through(self._serve())
            self._through(self._close())

    def _through(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._loop.run_until_complete(work)
        except Exception:
            _log.exception("a bug in a listener")
            time.sleep(_REST)

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stopping.set)

    def silent(self) -> float:
        """Seconds since the loop last moved, beyond its usual rest."""
        return 0.0 if self._loop.is_closed() else max(0.0, time.monotonic() - self._beat - _REST)

    async def _serve(self) -> None:
        accepting = self._loop.create_task(self._accept())
        try:
            while not self._stopping.is_set():
                self._beat = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _REST)
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])

    async def _close(self) -> None:
        try:
            self._listening.close()
            await self._drain()
        finally:
            lanes = (self._desk.usual, *self._desk.apart.values())
            for threads in (*(one.threads for one in lanes), self._desk.prober):
                threads.shutdown(wait=False, cancel_futures=True)

    async def _accept(self) -> None:
        while True:
            try:
                await self._asked()
                sock, address = self._listening.accept()
                sock.setblocking(False)
                await self._welcome(sock, str(address[0]))
            except OSError as error:  # the client left already, or no more files can be opened just now
                if error.errno in _EXHAUSTED:
                    _log.warning("cannot accept a connection: %s", error.strerror)
                    await asyncio.sleep(self._bounds.grace)
            except Exception:
                _log.exception("a bug in accepting a connection")
                await asyncio.sleep(_REST)

    async def _asked(self) -> None:
        """Return when a client asks. Not `sock_accept`: cancelled just after it accepted, it leaves that socket open."""
        asked = asyncio.Event()
        self._loop.add_reader(self._listening, asked.set)
        try:
            await asked.wait()
        finally:
            self._loop.remove_reader(self._listening)

    async def _welcome(self, sock: socket.socket, address: str) -> None:
        """Begin a connection as soon as there is room for it; nobody else is accepted meanwhile."""
        link = Link(sender(address))
        try:
            await self._room.take(link, 1)
        except BaseException:  # cancelled, or a bug
            sock.close()
            raise
        link.enter(Stage.RECEIVES)
        task = self._loop.create_task(carry(self._desk, sock, address, link))
        link.end = task.cancel
        self._links[task] = link
        task.add_done_callback(partial(self._over, sock))

    def _over(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        """Closes here, since a task that is ended before its first step runs none of its own code."""
        sock.close()
        self._room.leave(self._links.pop(task))
        if not task.cancelled() and task.exception() is not None:
            _log.error("a bug in a connection", exc_info=task.exception())

    async def _drain(self) -> None:
        """Wait for the answers under way, and for clients that still send or read no longer than the time of grace."""
        await self._ended(self._bounds.grace)
        self._end(Stage.SENDS)
        await self._ended(self._bounds.stop - self._bounds.grace)
        self._end(Stage.RUNS)
        await self._ended(self._bounds.grace)

    def _end(self, last: Stage) -> None:
        for task, link in self._links.items():
            if link.stage <= last:
                task.cancel()

    async def _ended(self, seconds: float) -> None:
        if self._links:
            await asyncio.wait(list(self._links), timeout=seconds)
