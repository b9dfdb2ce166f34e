"""Writes a request object, for `approve`, `suspend`, `resume` and `sync` (A9)."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Request

DAY = 86400.0


def ask(
    client: Client,
    namespace: str,
    kind: str,
    *,
    cluster: str = "",
    source: str = "",
    consent: str = "",
    items: tuple[str, ...] = (),
    reason: str = "",
    seconds: float = 0.0,
) -> Request:
    """Store a request; its name has the subject and the time. Raises ApiError."""
    from reconciler.inventory import requests
    from reconciler.model import Request
    from reconciler.settings import user

    now = time.time()
    subject = consent[:16] or hashlib.sha256(f"{source}/{cluster}".encode()).hexdigest()[:16]
    request = Request(
        kind,
        source,
        cluster,
        user(),
        now,
        now + seconds if seconds else 0.0,
        consent,
        items,
        reason,
        name=f"nidus-request-{kind}-{subject}-{int(now * 1000):x}",
    )
    requests.write(client, namespace, request)
    return request
