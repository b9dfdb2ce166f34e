"""Connections to nested API servers: over a port-forward, checked on each, saying why there is none. Loaded when one is made."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from reconciler.errors import ApiError, one_line
from reconciler.kube import timed, timed_socket

POOL = 4


def pool(trust: ssl.SSLContext, dial: Callable[[], socket.socket] | None) -> Any:
    """Connections to a nested API server that are made by `dial`, None = straight to its name, and checked by `trust`."""
    trust.sslsocket_class = timed_socket.TimedSocket
    pool = urllib3.PoolManager(ssl_context=trust, retries=False, maxsize=POOL)
    pool.pool_classes_by_scheme = {"https": _pool_class(dial)}
    return pool


def _pool_class(dial: Callable[[], socket.socket] | None) -> Any:
    """A connection pool class whose connections come from `dial` and say why they could not be made.

    `_new_conn` is what urllib3's own SOCKS support replaces. Nothing was sent while `connect` fails, so what it raises says so.
    """

    class NotConnected(NewConnectionError):
        told = ""

    class Connection(HTTPSConnection):
        def connect(self) -> None:
            try:
                super().connect()
            except ssl.SSLCertVerificationError as error:
                raise self._not(f"could not prove its name: {one_line(error.args[-1], 200)}") from None
            except TimeoutError as error:
                raise ConnectTimeoutError(self, str(error)) from None
            except OSError as error:
                raise self._not(_why(error)) from None

        def _new_conn(self) -> socket.socket:
            if dial is None:
                return super()._new_conn()
            try:
                made = dial()
            except ApiError as error:
                if not timed.current().left:
                    raise TimeoutError from None
                raise self._not(told=error.message) from None
            made.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
            return made

        def _not(self, what: str = "", told: str = "") -> NotConnected:
            made = NotConnected(self, what)
            made.told = told or f"the API server of {self.host.partition('.')[0]} {what}"
            return made

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


def _why(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused the connection"
    if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed the connection"
    return f"could not be reached: {one_line(str(error), 200)}"
