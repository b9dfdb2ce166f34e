"""Requests with plain credentials: a token or a client certificate, and no proxy. Shaped like the official `ApiClient`, for
`kube.transport`; whatever else a kubeconfig names, the official client reads and renews (docs/decisions/0027-plain-credentials.md).

Nothing large is imported before the first request.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    import ssl

AGENT = "nidus"
POOL = 64  # connections kept: workers, watches and the Lease share them
_IDLE, _INTERVAL, _PROBES = 30, 15, 9  # seconds, seconds and number of TCP keep-alives, as client-go asks for them


class Access(Struct, frozen=True):
    """A server, and who asks it: PEM text. Without `authority` the system's certificates are trusted; `verify` False trusts anybody;
    `name` is the one that its certificate must have, where it is not that of the address."""

    server: str
    authority: str = ""
    verify: bool = True
    name: str = ""
    token: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Access(server={self.server!r}, authority={self.authority!r}, verify={self.verify}, name={self.name!r})"


class Answer(Struct, frozen=True):
    """Status and headers of an answer; `response` is urllib3's, whose body is not read yet."""

    status: int
    headers: Mapping[str, str]
    response: Any


class Api:
    """One server's connections. Thread-safe. `pool` makes them: by default to the address, as `access` says."""

    def __init__(self, access: Access, pool: Callable[[], Any] | None = None) -> None:
        self.access = access
        self._make = pool or functools.partial(_pool, access)
        self._lock = threading.Lock()
        self._pool: Any = None

    def param_serialize(
        self,
        method: str,
        path: str,
        *,
        header_params: Mapping[str, str],
        body: Any = None,
        auth_settings: Any = None,
    ) -> tuple[str, str, dict[str, str], Any, None]:
        """The arguments of `call_api`."""
        del auth_settings
        headers = {"User-Agent": AGENT, **header_params}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        return method, f"{self.access.server}{path}", headers, body, None

    def call_api(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, post: None = None, *, _request_timeout: Any
    ) -> Answer:
        """Send one request, once, and follow no redirect. `body` is bytes or a JSON value; the timeout is in seconds: for the whole
        call, or for the connection and between two bytes. Raises urllib3's exceptions."""
        from urllib3 import Timeout
        from urllib3.exceptions import ClosedPoolError

        del post
        if isinstance(_request_timeout, tuple):
            timeout = Timeout(connect=_request_timeout[0], read=_request_timeout[1])
        else:
            timeout = Timeout(total=_request_timeout)
        sent = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        request = functools.partial(
            self._opened().request,
            method, url, body=sent, headers=headers, timeout=timeout, retries=False, preload_content=False,
        )  # fmt: skip
        try:
            found = request()
        except ClosedPoolError:  # another thread closed it before anything was sent
            found = request()
        return Answer(found.status, found.headers, found)

    def trust(self) -> ssl.SSLContext:
        """What a connection of another kind to the same server proves itself by, and checks."""
        return context(self.access)

    def close(self) -> None:
        """Close the connections, those in use as soon as they are not; a request after it opens new ones."""
        if self._pool is not None:
            self._pool.clear()

    def _opened(self) -> Any:
        with self._lock:
            if self._pool is None:
                self._pool = closing(self._make())
            return self._pool


def closing(manager: Any) -> Any:
    """The same manager of pools, whose `clear` closes their connections: urllib3 leaves that to the collector, which an exception that
    somebody keeps holds up."""
    manager.pools.dispose_func = methodcaller("close")
    return manager


def context(access: Access) -> ssl.SSLContext:
    """The TLS context that urllib3 would make. Raises ssl.SSLError where a certificate or key is malformed."""
    import ssl

    from urllib3.util.ssl_ import create_urllib3_context

    made = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if access.verify else ssl.CERT_NONE)
    if access.verify and access.authority:
        made.load_verify_locations(cadata=access.authority)
    elif access.verify:
        made.load_default_certs()
    if access.certificate:
        show(made, access.certificate, access.key)
    return made


def show(made: ssl.SSLContext, certificate: str, key: str) -> None:
    """Prove who asks by a certificate and its key, PEM text. Raises ssl.SSLError, ValueError for an encrypted key, OSError."""
    # ssl takes certificates from files only: one of mode 0600 that lives for this call.
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(prefix="nidus-") as file:
        file.write(f"{certificate}\n{key}\n".encode())
        file.flush()
        made.load_cert_chain(file.name, password=_never)


def _never() -> str:
    raise ValueError("an encrypted key")  # without this, OpenSSL would ask on the terminal


def _pool(access: Access) -> Any:
    from urllib3 import PoolManager

    options: dict[str, Any] = {"maxsize": POOL, "socket_options": _keep_alive()}
    if access.server.startswith("https:"):
        options |= {"ssl_context": context(access)} | ({"server_hostname": access.name} if access.name else {})
    return PoolManager(**options)


def _keep_alive() -> list[tuple[int, int, int]]:
    """An open watch is probed while nothing comes, so that a connection that a firewall forgot is noticed."""
    import socket

    from urllib3.connection import HTTPConnection

    wanted = {"TCP_KEEPIDLE": _IDLE, "TCP_KEEPALIVE": _IDLE, "TCP_KEEPINTVL": _INTERVAL, "TCP_KEEPCNT": _PROBES}
    if hasattr(socket, "TCP_KEEPIDLE"):
        del wanted["TCP_KEEPALIVE"]  # macOS has the other name alone
    known = [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in wanted.items() if hasattr(socket, name)
    ]
    return [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *known]
