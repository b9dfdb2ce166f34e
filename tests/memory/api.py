"""The server as a client library shows it: an object shaped like the official `ApiClient`, without sockets or waiting.

Transport failures are urllib3's own exceptions. A call that hangs raises ReadTimeoutError at once.
"""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3.exceptions as http

from tests.memory.reads import Watch
from tests.memory.server import Response, Server

CHUNK = 1 << 16


class Api:
    """One client's connection; `agent` is its user agent."""

    def __init__(self, server: Server, agent: str = "nidus") -> None:
        self.user_agent = agent
        self._server = server
        self._open: list[Body] = []
        self.closed = False

    def param_serialize(
        self,
        method: str,
        path: str,
        *,
        header_params: Mapping[str, str] | None = None,
        body: Any = None,
        auth_settings: Any = None,
    ) -> tuple[str, str, dict[str, str], Any, None]:
        """The arguments of `call_api`."""
        del auth_settings
        return method, path, {**(header_params or {}), "User-Agent": self.user_agent}, body, None

    def call_api(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any,
        post: None = None,
        *,
        _request_timeout: Any = None,
    ) -> "Answer":
        """Send one request. Raises urllib3's exceptions where no answer comes."""
        del post
        parts = urlsplit(url)
        response = self._server.request(
            method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, _encoded(body)
        )
        _raise(response.failure)
        answer = Answer(response, _silence(_request_timeout))
        if response.stream is not None:
            self._open = [one for one in self._open if not one.over] + [answer.response]
        return answer

    def close(self) -> None:
        """Close the connections."""
        self.closed = True


def _encoded(body: Any) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _silence(timeout: Any) -> float | None:
    """How long a stream may say nothing, in seconds."""
    found = timeout[1] if isinstance(timeout, tuple) else timeout
    return float(found) if found is not None else None


def _raise(failure: str) -> None:
    match failure:
        case "refused":
            raise http.NewConnectionError(None, "connection refused by the test")  # type: ignore[arg-type]
        case "timeout":
            raise http.ReadTimeoutError(None, "", "read timed out")  # type: ignore[arg-type]
        case "lost":
            raise http.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))


class Answer:
    """A response as the library gives it: `status`, `headers`, and `response` for the body."""

    def __init__(self, made: Response, silence: float | None) -> None:
        self.status = made.status
        self.headers = dict(made.headers)
        self.response = Body(made, silence)


class Body:
    """The body of a response, to be read in pieces."""

    def __init__(self, made: Response, silence: float | None) -> None:
        self._rest = io.BytesIO(made.body[: len(made.body) // 2] if made.failure == "cut" else made.body)
        self._cut = made.failure == "cut"
        self._stream: Watch | None = made.stream
        self._silence = silence

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self._stream is None or self._stream.closed

    def read1(self, size: int) -> bytes:
        """The next bytes, b"" at the end."""
        found = self._rest.read(size)
        if not found and self._cut:
            raise http.IncompleteRead(0, 1)
        return found

    def stream(self, size: int) -> Iterator[bytes]:
        """The pieces of a watch as they come. Raises ReadTimeoutError after a silence longer than was allowed."""
        while self._stream is None and (piece := self.read1(size)):
            yield piece
        while self._stream is not None:
            batch = self._stream.next(self._silence)
            if batch is None:
                return
            if not batch:
                raise http.ReadTimeoutError(None, "", "read timed out")  # type: ignore[arg-type]
            yield b"".join(batch)

    def close(self) -> None:
        """Give it up."""
        if self._stream is not None:
            self._stream.close()

    def shutdown(self) -> None:
        """End a read of another thread."""
        self.close()
