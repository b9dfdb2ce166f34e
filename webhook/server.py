"""Serves a WSGI application in a thread of this process: the webhook's listener and the internal one (W4)."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress.server import create_server

THREADS = 8
_STOP = 10.0
_BACKLOG = 1024


def serve(
    app: Callable[..., Any], address: str, *, limit: int = 4 << 20, threads: int = THREADS
) -> tuple[int, Callable[[], None]]:
    """Listens on "HOST:PORT" (port 0: any) and returns the port and what stops it; stopping waits for answers under way.

    `limit` caps a request's body in bytes before the application sees it. Raises OSError when the address cannot be used.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # bursts are normal here: no warning
    sockets: dict[int, Any] = {}
    server = create_server(
        app,
        map=sockets,
        sockets=[listener],
        backlog=_BACKLOG,
        threads=threads,
        ident=None,
        expose_tracebacks=False,
        clear_untrusted_proxy_headers=True,
        max_request_body_size=limit,
        max_request_header_size=64 << 10,
        channel_timeout=30,
        cleanup_interval=5,
        connection_limit=500,
        asyncore_use_poll=True,  # select() knows no descriptor above 1,023, and port-forwards take three a nested cluster
    )
    thread = threading.Thread(target=server.run, name=f"http-{port}", daemon=True)
    thread.start()

    def stop() -> None:
        server.task_dispatcher.shutdown()
        _flushed(server)
        # The sockets belong to the loop's own thread, so it closes them; without sockets it ends.
        server.trigger.pull_trigger(lambda: server.asyncore.close_all(sockets))
        thread.join(_STOP)

    return int(server.effective_port), stop


def _flushed(server: Any) -> None:
    """Returns when every finished answer was sent, or after a second: a client that does not read is not waited for."""
    end = time.monotonic() + 1.0
    while (
        any(channel.total_outbufs_len for channel in list(server.active_channels.values())) and time.monotonic() < end
    ):
        time.sleep(0.005)
