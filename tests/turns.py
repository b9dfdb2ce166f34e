"""The product's cache of the host without its threads: each reflector takes a turn when its watch has something to say."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.controller import watches
from reconciler.kube import targets
from reconciler.kube.cache import Cache, Selection
from reconciler.kube.client import Client
from reconciler.kube.events import Seen
from reconciler.kube.reflector import SECONDS
from reconciler.kube.store import Whole
from tests.memory.server import Server

WATCHED = [
    *(Selection(group, kind, watches.OURS) for group, kind in watches.KINDS),
    Selection("", "Pod", (targets.ENGINE,)),
    Selection("nidus.dev", "Request", (), "nidus-system"),
]
BOOKMARK = 60.0  # seconds after which a watch that said nothing is begun again


class Turns:
    """`cache` over `server`, whose watches are brief: they end when everything is said."""

    def __init__(
        self,
        client: Client,
        server: Server,
        changed: Callable[[Seen], None],
        whole: Whole,
        clock: Callable[[], float],
    ) -> None:
        self._server, self._clock, self._said = server, clock, server.core.said
        self.cache = Cache(client, WATCHED, changed, whole=whole, clock=self._time)
        self._heard, self._all_at = [0] * len(WATCHED), -BOOKMARK
        server.brief = True

    def take(self) -> None:
        """A turn of each reflector that has something to hear, lost its watch, or was left alone for a minute."""
        version, every = self._server.core.storage.version, self._clock() >= self._all_at + BOOKMARK
        for number, (selection, reflector) in enumerate(zip(WATCHED, self.cache.reflectors, strict=True)):
            last, self._heard[number] = self._heard[number], version
            if every or reflector.lost_at is not None or (last != version and self._news(selection, last)):
                self._said = self._server.core.said
                reflector.turn()
                self._said = self._server.core.said
        self._all_at = self._clock() if every else self._all_at

    def _time(self) -> float:
        """For the reflector whose turn it is, a watch that ended with everything said has lasted as long as it was asked to."""
        return self._clock() + (SECONDS if self._server.core.said != self._said else 0.0)

    def _news(self, selection: Selection, since: int) -> bool:
        found = self._server.core.named(selection.group, selection.kind)
        assert found is not None
        with self._server.core.lock:  # threads of the reporter write meanwhile
            changes = list(self._server.core.storage.since(found.resource, since))
        objects = (one for change in changes for one in (change.before, change.after) if one is not None)
        return any(selection.matches(one["metadata"].get("labels") or {}) for one in objects)
