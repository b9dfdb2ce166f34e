"""The life of one connection: head, body, a thread, answer; each part with its deadline."""

import asyncio
import logging
import socket
import struct
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

from flask import Flask
from werkzeug.wrappers import Response

from webhook.bounds import Bounds
from webhook.early import refusal
from webhook.exchange import Exchange, Gone, Refused
from webhook.rooms import Link, Room, Stage, Stream

_T = TypeVar("_T")
_RESET = struct.pack("ii", 1, 0)
STREAM = "webhook.stream"  # in the WSGI environment: a list, for the stream that an application answers with
_FREE = 64 << 10  # bytes of a body or an answer that are not counted: the number of connections bounds them
_log = logging.getLogger(__name__)


class Lane:
    """Threads, and the turns of those who wait for one, in the order they came."""

    def __init__(self, threads: int, name: str) -> None:
        self.turns = asyncio.Semaphore(threads)
        self.threads = ThreadPoolExecutor(threads, name)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the connections of one listener share. The probes have a thread of their own and wait for nobody; forms sent to `apart` wait
    for one another alone."""

    app: Flask
    probes: frozenset[str]
    bounds: Bounds
    memory: Room
    usual: Lane
    prober: ThreadPoolExecutor
    apart: Mapping[str, Lane]


async def carry(desk: Desk, sock: socket.socket, address: str, link: Link) -> None:
    """Answer the one request of a connection; its socket is the caller's to close."""
    finished = False
    try:
        exchange = Exchange(sock, address, desk.bounds.header_size)
        response = await _response(desk, exchange, link)
        link.enter(Stage.SENDS)
        if link.stream is not None:
            await exchange.follow(response, link.stream.pieces(), desk.bounds.answer)
        else:
            async with asyncio.timeout(desk.bounds.answer):
                await exchange.answer(response)
        finished = True
        async with asyncio.timeout(desk.bounds.goodbye):
            await exchange.goodbye()
    except (Gone, TimeoutError):
        pass
    finally:
        desk.memory.leave(link)
        if link.stream is not None:
            link.stream.close()
        if not finished:  # what the client has not read is dropped
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def _response(desk: Desk, exchange: Exchange, link: Link) -> Response:
    try:
        return await _answered(desk, exchange, link)
    except Refused as refused:
        return _plain(refused.status)
    except Gone:
        raise
    except Exception:
        _log.exception("a bug in answering a request")
        return _plain(500)


async def _answered(desk: Desk, exchange: Exchange, link: Link) -> Response:
    environ = await _within(desk.bounds.header, exchange.head(), 408)
    refused = refusal(desk.app, environ)
    if refused is not None:
        return refused
    environ["wsgi.input"] = BytesIO(await _body(desk, exchange, link, int(environ.get("CONTENT_LENGTH") or 0)))
    link.enter(Stage.QUEUES)
    if environ["PATH_INFO"] in desk.probes:
        return await _run(desk, desk.prober, environ)
    lane = desk.apart.get(environ["PATH_INFO"], desk.usual) if environ["REQUEST_METHOD"] == "POST" else desk.usual
    await _within(desk.bounds.queue, lane.turns.acquire(), 503)
    try:
        link.enter(Stage.RUNS)
        streams = environ[STREAM] = list[Stream]()
        try:
            response = await _run(desk, lane.threads, environ)
        finally:
            link.stream = streams[0] if streams else None
        await _counted(desk, link, len(response.get_data()))
        return response
    finally:
        lane.turns.release()


async def _body(desk: Desk, exchange: Exchange, link: Link, length: int) -> bytes:
    if not length:
        return b""
    await _counted(desk, link, length)
    link.enter(Stage.RECEIVES)
    return await _within(desk.bounds.body, exchange.body(), 408)


async def _counted(desk: Desk, link: Link, size: int) -> None:
    """Wait until there is room for that many bytes, in place of what the connection held."""
    if size > _FREE:
        link.enter(Stage.QUEUES)
        await _within(desk.bounds.queue, desk.memory.take(link, size), 503)
    else:
        desk.memory.leave(link)


async def _run(desk: Desk, thread: ThreadPoolExecutor, environ: dict[str, Any]) -> Response:
    return await asyncio.get_running_loop().run_in_executor(thread, Response.from_app, desk.app, environ, True)


async def _within(seconds: float, work: Coroutine[Any, Any, _T], late: int) -> _T:
    """The result of `work`; Refused with the status `late` after that many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        raise Refused(late) from error


def _plain(status: int) -> Response:
    response = Response("try again later\n" if status == 503 else "bad request\n", status, mimetype="text/plain")
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response
