"""One request and its answer over one connection, each part with a deadline. The framing is h11's.

A connection carries one request and is closed after its answer, so that nobody can queue requests on it.
"""

import asyncio
import contextlib
import io
import socket
import sys
from collections.abc import AsyncIterator
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

import h11
from werkzeug.wrappers import Response

_PIECE = 1 << 16
HEADERS = 100
REPEATED = "webhook.repeated"  # in the environment: the headers that came more than once, which it holds as one
_REST = 4 << 20  # bytes of a refused body that are read and thrown away, so that the answer is not lost to a reset
_NOT_TOLD = frozenset({"connection", "transfer-encoding", "content-length", "date"})


class Refused(Exception):
    """The request is not one to be answered by the application: `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Gone(Exception):
    """The client left."""


class Exchange:
    """The HTTP side of one connection. `header` bounds the request line and header in bytes."""

    def __init__(self, sock: socket.socket, address: str, header: int) -> None:
        self._sock, self._address = sock, address
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=header)
        self._head = False

    async def head(self) -> dict[str, Any]:
        """The request as a WSGI environment without a body. Raises Refused or Gone."""
        event = await self._event()
        if not isinstance(event, h11.Request):
            raise Gone
        self._head = event.method == b"HEAD"
        if len(event.headers) > HEADERS:
            raise Refused(431)
        environ = _environ(event, self._address)
        if "HTTP_TRANSFER_ENCODING" in environ:  # with a length as well: two readings of one request (RFC 9112, 6.1)
            raise Refused(400 if "CONTENT_LENGTH" in environ else 411)
        return environ

    async def body(self) -> bytes:
        """All of the body, whose length the header says. Raises Refused or Gone."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        found = bytearray()
        try:
            while isinstance(event := await self._event(), h11.Data):
                found += event.data
            if not isinstance(event, h11.EndOfMessage):
                raise Gone
            return bytes(found)
        finally:
            found.clear()  # the traceback of whoever was ended keeps this frame, and would keep what was read

    async def answer(self, response: Response) -> None:
        """Send the whole answer and say that no other follows."""
        body = response.get_data()
        headers = [(name, value) for name, value in response.headers if name.lower() not in _NOT_TOLD]
        length = response.headers.get("Content-Length") or str(len(body))
        headers += [("Content-Length", length), ("Connection", "close"), ("Date", formatdate(usegmt=True))]
        head = h11.Response(status_code=response.status_code, headers=headers, reason=_reason(response.status_code))
        first, rest = self._http.send(head) or b"", b"" if self._head else body
        if len(rest) <= _PIECE:
            await self._send(first + rest)
        else:  # not copied
            await self._send(first)
            await self._send(rest)

    async def follow(self, response: Response, pieces: AsyncIterator[bytes], seconds: float) -> None:
        """Send an answer that has no end, each piece within that many seconds, until there are no more or the client leaves."""
        sending = self._loop.create_task(self._pieces(response, pieces, seconds))
        leaving = self._loop.create_task(self._left())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise Gone
            await sending
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})

    async def _pieces(self, response: Response, pieces: AsyncIterator[bytes], seconds: float) -> None:
        headers = [(name, value) for name, value in response.headers if name.lower() not in _NOT_TOLD]
        headers += [("Connection", "close"), ("Date", formatdate(usegmt=True))]
        head = h11.Response(status_code=response.status_code, headers=headers, reason=_reason(response.status_code))
        await self._send(self._http.send(head) or b"")
        async for piece in pieces:
            async with asyncio.timeout(seconds):
                await self._send(self._http.send(h11.Data(data=piece)) or b"")
        await self._send(self._http.send(h11.EndOfMessage()) or b"")

    async def _left(self) -> None:
        """Return when the client closed its side, or sends what nobody asked for."""
        with contextlib.suppress(OSError):
            await self._loop.sock_recv(self._sock, _PIECE)

    async def goodbye(self) -> None:
        """Close our side, and read what the client still sends: closing with unread bytes would reset the connection and
        could take the answer with it."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            left = _REST
            while left > 0 and (data := await self._loop.sock_recv(self._sock, _PIECE)):
                left -= len(data)

    async def _event(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._loop.sock_recv(self._sock, _PIECE))
        except h11.RemoteProtocolError as error:
            raise Refused(error.error_status_hint) from error
        except OSError as error:
            raise Gone from error
        return event

    async def _send(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._sock, data)
        except OSError as error:
            raise Gone from error


def _environ(request: h11.Request, address: str) -> dict[str, Any]:
    """PEP 3333. A name with an underscore is dropped, since it would read like one with a hyphen."""
    path, _, query = request.target.partition(b"?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode("ascii"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "REMOTE_ADDR": address,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('ascii')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        REPEATED: frozenset[str](),
    }
    for name, value in request.headers:
        if b"_" not in name:
            key = name.decode("ascii").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            text = value.decode("latin-1")
            if key in environ:
                environ[REPEATED] |= {key}
            environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
