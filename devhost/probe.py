"""The few requests a host needs of its own API server while it starts; the standard library is enough for them."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devhost.errors import HostError


def ask(port: int, pki: Path, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """GET `path`, or POST `body` to it, at 127.0.0.1:`port` as the administrator; return the status code and the body.

    Raises OSError when nobody answers within 10 s.
    """
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()


def wait(what: str, is_true: Callable[[], bool], check: Callable[[], None], seconds: float = 60.0) -> None:
    """Return once `is_true` says so, asking every 50 ms; it may raise OSError for "not yet".

    `check` is called in between and raises HostError when waiting is in vain. Raises HostError after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (obstacle := _obstacle(is_true)) is not None:
        check()
        if time.monotonic() > deadline:
            raise HostError(f"waited {seconds:.0f} s in vain for {what}: {obstacle}")
        time.sleep(0.05)


def _obstacle(is_true: Callable[[], bool]) -> str | None:
    try:
        return None if is_true() else "not yet"
    except OSError as error:
        return str(error)
