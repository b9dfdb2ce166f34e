"""Ends an HTTP request at its deadline, however slowly bytes come (M17)."""

import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection


class Deadline:
    """Closes a connection afterwards, and cuts it after so many seconds; `late` then says so. `sock` is set once connected: the
    connection gives it to the answer."""

    def __init__(self, connection: "HTTPConnection", seconds: float) -> None:
        self.sock: socket.socket | None = None
        self.connection, self.seconds = connection, seconds
        self._late = threading.Event()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    @property
    def late(self) -> bool:
        """Whether it was cut."""
        return self._late.is_set()

    def begin(self) -> None:
        """From now on the seconds count."""
        self._timer.start()

    def end(self) -> None:
        """Close the connection; nothing is cut any more."""
        self._timer.cancel()
        self.connection.close()

    def _cut(self) -> None:
        self._late.set()
        with suppress(OSError, AttributeError):
            (self.sock or self.connection.sock).shutdown(socket.SHUT_RDWR)


def broken(error: Exception) -> str:
    """Why a request has no whole answer, without an address and without a word of what came."""
    from http.client import HTTPException

    from urllib3.exceptions import IncompleteRead, NameResolutionError, ProtocolError

    found = error.__cause__ if not isinstance(error, ssl.SSLError | OSError) and error.__cause__ else error
    if isinstance(found, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {found.verify_message}"
    if isinstance(error, NameResolutionError):
        return "the name of its host cannot be resolved"
    if isinstance(found, TimeoutError):
        return "no answer in time"
    if isinstance(error, ProtocolError | IncompleteRead | HTTPException):
        return "the connection ended before the answer did"
    return f"cannot be reached ({type(error).__name__})"
