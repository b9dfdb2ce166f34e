"""What `approve`, `suspend` and `resume` share: writing a request object (A9)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Request


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
    """Store a request in the name the API server knows us by; its own name says what about and when. Raises ApiError."""
    from reconciler.inventory import requests
    from reconciler.kube import review
    from reconciler.model import Request

    now = time.time()
    ends = now + seconds if seconds else 0.0
    asked = Request(kind, source, cluster, review.user(client), now, ends, consent, items, reason)
    return requests.write(client, namespace, asked)
