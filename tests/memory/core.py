"""The state all verbs share: storage, served kinds, clock, uids; and the two ways an object comes into the storage or leaves it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.memory import forms, kinds
from tests.memory.kinds import Kind
from tests.memory.storage import Object, Storage

NAMESPACES = ("", "namespaces")
CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
START = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where the clock of a server stands unless one is given."""


class Core:
    """One server's state. `lock` is held by whoever reads or writes it."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.lock = threading.RLock()
        self.storage = Storage(self.lock)
        self.clock = clock or (lambda: START)
        self.said = 0  # how many brief watches have ended, with everything said
        self._uids = 0
        self._served: dict[tuple[str, str, str], Kind] = {}
        self._named: dict[tuple[str, str], Kind] = {}
        self._order: list[Kind] = []
        self._discovery: dict[tuple[bool, frozenset[str]], bytes] = {}
        self.serve()

    def serve(self) -> None:
        """Read anew which kinds are served: those of Kubernetes and those of every established CRD."""
        crds = [crd for crd in self.storage.all(CRDS) if _is_established(crd)]
        self._order = [*kinds.built_in(), *(kind for crd in crds for kind in kinds.of_crd(crd))]
        self._served = {(one.group, one.version, one.plural): one for one in self._order}
        self._named = {(one.group, one.kind): one for one in reversed(self._order)}
        self._discovery.clear()

    def kinds(self) -> list[Kind]:
        """What is served, in the order of discovery."""
        return self._order

    def discovery(self, core: bool, stale: frozenset[str]) -> bytes:
        """The document of /api (`core`) or /apis, made once for what is served, while nobody answers for the groups in `stale`."""
        asked = core, stale
        if asked not in self._discovery:
            self._discovery[asked] = msgspec.json.encode(kinds.discovery(self._order, core=core, stale=stale))
        return self._discovery[asked]

    def kind(self, group: str, version: str, plural: str) -> Kind | None:
        return self._served.get((group, version, plural))

    def named(self, group: str, kind: str) -> Kind | None:
        """The kind by its name, at its first version."""
        return self._named.get((group, kind))

    def now(self) -> str:
        """The time as objects carry it."""
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def uid(self) -> str:
        """A new uid; the same one in each run."""
        self._uids += 1
        return f"{self._uids:08x}-0000-4000-8000-000000000000"

    def store(self, kind: Kind, obj: Object) -> Object:
        """Put an object, or let it go where it was only waiting for its last finalizer."""
        if is_over(obj):
            self.remove(kind, obj)
            return obj
        stored = self.storage.put(kind.resource, forms.settled(kind, obj))
        if kind.resource == CRDS:
            self.serve()
        return stored

    def remove(self, kind: Kind, obj: Object) -> Object:
        """Take an object out of the storage."""
        last = self.storage.drop(kind.resource, obj)
        if kind.resource == CRDS:
            self.serve()
        return last


def is_over(obj: Object) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    meta = obj["metadata"]
    waits = bool(meta.get("finalizers")) or bool(meta.get("deletionGracePeriodSeconds"))
    if obj.get("kind") == "Namespace" and obj.get("apiVersion") == "v1":
        waits = waits or bool((obj.get("spec") or {}).get("finalizers"))
    return "deletionTimestamp" in meta and not waits


def _is_established(crd: Object) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for objects: what it asks for, by which query and body."""

    verb: str
    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = ""
    agent: str = ""

    @property
    def dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    @property
    def manager(self) -> str:
        """Who writes: as named, else by the user agent."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"
