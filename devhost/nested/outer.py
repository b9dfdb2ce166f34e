"""The host's side of every syncer: one live copy of pods, Services and claims for all nested clusters together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from devhost.api import Client, Object
from devhost.following import Reflector
from devhost.nested.contract import Engine
from devhost.nested.translate import MANAGED_BY, origin

KINDS = ("Pod", "Service", "PersistentVolumeClaim")
Changed = Callable[[str, tuple[str, str]], None]
"""Called with the kind and the (namespace, name) inside of an object that changed on the host."""


class Outer:
    """Follows the host: every pod and Service, and the claims of syncers.

    `pod_seen` is told of every pod, syncers only of objects of their own nested cluster.
    """

    def __init__(self, client: Client, stop: threading.Event, pod_seen: Callable[[Object], None]) -> None:
        self._listeners: dict[Engine, Changed] = {}
        self._client, self._pod_seen = client, pod_seen
        self.copies = {
            kind: Reflector(
                client,
                "v1",
                kind,
                self._seen_of(kind),
                stop,
                labels=MANAGED_BY if kind == "PersistentVolumeClaim" else "",
            )
            for kind in KINDS
        }

    def start(self) -> None:
        """Start following; returns once everything was listed."""
        for copy in self.copies.values():
            copy.start()
        for copy in self.copies.values():
            copy.synced.wait()

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the live copy of an object on the host."""
        return self.copies[kind].items.get((namespace, name))

    def claim_uid(self, namespace: str, name: str) -> str:
        """Return the uid of an engine's claim; empty when there is none."""
        found = self._client.get("v1", "PersistentVolumeClaim", name, namespace)
        return str(found["metadata"]["uid"]) if found else ""

    def pods(self) -> list[Object]:
        """Return every pod of the host."""
        return list(self.copies["Pod"].items.values())

    def subscribe(self, engine: Engine, changed: Changed) -> None:
        """Tell `changed` about objects of `engine` from now on, until unsubscribe()."""
        self._listeners[engine] = changed

    def unsubscribe(self, engine: Engine) -> None:
        """Stop telling."""
        self._listeners.pop(engine, None)

    def _seen_of(self, kind: str) -> Callable[[str, Object], None]:
        def seen(_: str, item: Object) -> None:
            if kind == "Pod":
                self._pod_seen(item)
            meta = item["metadata"]
            changed = self._listeners.get(Engine(meta["namespace"], meta.get("labels", {}).get(MANAGED_BY, "")))
            if changed is not None:
                changed(kind, origin(item))

        return seen
