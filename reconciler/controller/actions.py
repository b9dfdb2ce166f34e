"""What people ask for in the dashboard, written as the verbs write it: a request in their name, or the mark of a source (U8, A9, W3)."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from dashboard.actions import Ask
from reconciler.controller import sync_requests
from reconciler.errors import Stalled
from reconciler.inventory import requests
from reconciler.kube.client import Client
from reconciler.model import ObjectRef, Request, UserInfo

FLOOR: Final = (
    10.0  # seconds between two syncs of a source that are asked for in the dashboard: each compares all objects
)


class Actions:
    """Writes into one namespace, that of the controller, whose own account it uses: whether somebody may was asked before. `standing`:
    the requests that stand, oldest first."""

    def __init__(self, client: Client, namespace: str, standing: Callable[[], Iterable[Request]]) -> None:
        self._client, self._namespace, self._standing = client, namespace, standing

    def ask(self, who: UserInfo, ask: Ask) -> None:
        """Store it. Raises ApiError, and Stalled with a sentence for whoever asked."""
        if ask.verb == "sync":
            self._sync(ask.source)
            return
        now = time.time()
        if ask.verb == "resume" and requests.suspended(self._standing(), ask.cluster, now) is None:
            raise Stalled("It is not suspended by a request: a suspend in its file ends by a commit.")
        ends = now + ask.seconds if ask.seconds else 0.0
        about = ask.source, ask.cluster, who.name, now, ends, ask.consent, ask.items, ask.reason
        requests.write(self._client, self._namespace, Request(ask.verb, *about))

    def _sync(self, source: str) -> None:
        found, now = self._client.get(ObjectRef("nidus.dev", "Source", self._namespace, source)), time.time_ns()
        since = (now - sync_requests.read(found, sync_requests.RESYNC, now)) / 1e9 if found else FLOOR
        if since < FLOOR:
            raise Stalled(
                f"A sync of this source was asked for a moment ago. Another one may be after {FLOOR:.0f} seconds."
            )
        sync_requests.rise(self._client, self._namespace, source, sync_requests.RESYNC)

    def asked(self, cluster: str) -> list[Request]:
        """What stands for one cluster, newest first."""
        return [one for one in self._standing() if one.cluster == cluster][::-1]
