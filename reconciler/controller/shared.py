"""One watch of the share namespace, while any cluster copies Secrets from it: a rotation rolls out at once (K11)."""

import threading
from collections.abc import Callable

from reconciler import jitter
from reconciler.kube.client import Client
from reconciler.kube.nested_watch import NestedWatch
from reconciler.kube.reflector import SILENCE
from reconciler.kube.watch import Watch
from reconciler.model import Bundle
from reconciler.plan import sharing

SECONDS = 300  # of one watch


class Shared:
    """Wakes the clusters that copy Secrets of `namespace` whenever one of them changes; reads no more than their metadata. Without such
    clusters nothing is watched."""

    def __init__(
        self, host: Client, namespace: str, woken: Callable[[str], None], failed: Callable[[str, Exception], None]
    ) -> None:
        self._host, self._namespace, self._woken, self._failed = host, namespace, woken, failed
        self._lock = threading.Lock()
        self._clusters: set[str] = set()
        self._watch: NestedWatch | None = None

    def follow(self, bundle: Bundle) -> None:
        """Watch for this cluster, or no longer, as its bundle says."""
        with self._lock:
            if any(sharing.shares(layer) for layer in bundle.layers):
                self._clusters.add(bundle.cluster)
            else:
                self._clusters.discard(bundle.cluster)
            if self._clusters and self._watch is None:
                self._watch = NestedWatch("shared", self._opened, self._wake, lambda: None, self._failed)
            ended, self._watch = (None, self._watch) if self._clusters else (self._watch, None)
        if ended is not None:
            ended.stop()

    def stop(self) -> None:
        with self._lock:
            ended, self._watch = self._watch, None
            self._clusters.clear()
        if ended is not None:
            ended.stop()

    def _wake(self) -> None:
        with self._lock:
            clusters = sorted(self._clusters)
        for name in clusters:
            self._woken(name)

    def _opened(self) -> Watch:
        seconds = int(SECONDS * jitter.between(0.8, 1.0))
        return self._host.watch(
            "", "Secret", since="", namespace=self._namespace, seconds=seconds, silence=SILENCE, partial=True
        )
