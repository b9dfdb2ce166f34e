"""A TLS socket that obeys the limit of the call (`kube.timed`): loaded when a connection is made."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reconciler.kube.timed import NEVER, current


class TimedSocket(ssl.SSLSocket):
    """A TLS socket that obeys the limit of the call and its own timeout for each read."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        with self._kept():
            return super().recv_into(*args, **options)

    def send(self, *args: Any, **options: Any) -> int:
        with self._kept():
            return super().send(*args, **options)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Wait no longer than the limit; the timeout that urllib3 has set stays, a watch goes on with it."""
        limit, timeout = current(), self.gettimeout()
        if limit is NEVER or (timeout is not None and timeout <= limit.left):
            yield
            return
        if not limit.left:
            raise TimeoutError("timed out")
        self.settimeout(limit.wait)
        try:
            yield
        finally:
            self.settimeout(timeout)
