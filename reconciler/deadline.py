"""Ends an HTTP request at its deadline, however slowly bytes come (M17)."""

import socket
import threading
from contextlib import suppress

from urllib3.connection import HTTPConnection


class Deadline:
    """Closes a connection afterwards, and cuts it after so many seconds; `late` then says so. `sock` is set once connected: the
    connection gives it to the answer."""

    def __init__(self, connection: HTTPConnection, seconds: float) -> None:
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
