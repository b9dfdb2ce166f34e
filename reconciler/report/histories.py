"""Keeps which revisions came to each cluster (U2): noted when a revision came so far that people ask, written in the background."""

import threading
from collections.abc import Mapping
from typing import Final

from reconciler.inventory import history
from reconciler.inventory.history import TEXT, Passage
from reconciler.kube.client import Client
from reconciler.report.outbox import Outbox
from reconciler.report.view import ClusterView

PAUSE: Final = 20.0  # seconds until a revision is written: nobody waits for it, and several may come together
LAST_WORDS: Final = 2.0  # seconds a stop gives what is not written yet
STOPS: Final = frozenset({"Held", "Degraded", "Invalid"})  # words of a revision that does not go on by itself
_APPLIED: Final = frozenset({"Current", "InProgress"})


class Histories:
    """Remembers of each cluster only the revisions that are not written yet: usually none, or one that is on its way."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._lock = threading.Lock()
        self._pending: dict[str, tuple[Passage, ...]] = {}
        self._gone: set[str] = set()
        self._outbox: Outbox[str] = Outbox("history", self._write, threads=1)

    def cluster(self, before: ClusterView | None, after: ClusterView, stages: Mapping[str, float], number: int) -> None:
        """One more view of a cluster. `stages` of its source, where that was read at the same revision; `number`: the change
        request that its revision merged, 0 for none."""
        is_new = before is None or before.attempted != after.attempted
        if not after.attempted or (not is_new and before is not None and _same(before, after)):
            return
        came = Passage(
            after.attempted,
            stages.get("admitted", after.at) if is_new else 0.0,
            after.at if _applied(after) else 0.0,
            after.at if after.word == "Ready" else 0.0,
            after.authored.author[:TEXT] if after.authored else "",
            after.authored.subject[:TEXT] if after.authored else "",
            number,
        )
        with self._lock:
            self._pending[after.cluster] = history.merged(self._pending.get(after.cluster, ()), (came,))
            self._gone.discard(after.cluster)
            asked = came.ready or after.word in STOPS or len(self._pending[after.cluster]) > 1
        if asked:
            self._outbox.put(after.cluster, PAUSE)

    def gone(self, cluster: str) -> None:
        """A cluster no longer exists."""
        with self._lock:
            self._pending.pop(cluster, None)
            self._gone.add(cluster)
        self._outbox.put(cluster)

    def close(self) -> None:
        """Write what is on its way, as far as it came."""
        with self._lock:
            pending = tuple(self._pending)
        for cluster in pending:
            self._outbox.put(cluster)
        self._outbox.close(LAST_WORDS)

    def _write(self, cluster: str) -> None:
        with self._lock:
            pending, gone = self._pending.get(cluster, ()), cluster in self._gone
        if gone:
            history.forget(self._client, self._namespace, cluster)
        elif pending:
            history.add(self._client, self._namespace, cluster, pending)
        with self._lock:
            if gone:
                self._gone.discard(cluster)
            elif self._pending.get(cluster) == pending:  # else more was noted since
                self._pending.pop(cluster, None)


def _applied(view: ClusterView) -> bool:
    """Whether everything of its revision was applied: no layer waits, is held or failed."""
    return view.word == "Ready" or (bool(view.layers) and {layer.state for layer in view.layers} <= _APPLIED)


def _same(before: ClusterView, after: ClusterView) -> bool:
    """Whether a revision is no further than it was."""
    return (before.word, _applied(before), before.authored) == (after.word, _applied(after), after.authored)
