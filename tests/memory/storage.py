"""What the server holds: objects at versions, and the last changes for watches. Objects are values; a write puts a new one."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
Resource = tuple[str, str]
Name = tuple[str, str]
REMEMBERED = 5_000


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the object before and after, None where there is none."""

    version: int
    resource: Resource
    before: Object | None
    after: Object | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole storage at one moment."""

    version: int
    objects: dict[Resource, dict[Name, Object]] = field(repr=False)


class Storage:
    """Every method but `wait` is called under the server's lock, which is that of `moved`."""

    def __init__(self, lock: threading.RLock) -> None:
        self.version = 1
        self.epoch = 0
        self.compacted = 0
        self.moved = threading.Condition(lock)
        self._objects: dict[Resource, dict[Name, Object]] = {}
        self._changes: deque[Change] = deque()
        self._fresh: list[Change] = []

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return self._objects.get(resource, {}).get((namespace, name))

    def all(self, resource: Resource, namespace: str = "") -> list[Object]:
        """The objects of a resource by namespace and name; "" = of every namespace."""
        place = self._objects.get(resource)
        found = sorted(place.items()) if place else ()
        return [obj for (home, _), obj in found if namespace in ("", home)]

    def resources(self) -> list[Resource]:
        """Those that have objects."""
        return [resource for resource, place in self._objects.items() if place]

    def uids(self) -> set[str]:
        """Of every object."""
        return {obj["metadata"]["uid"] for place in self._objects.values() for obj in place.values()}

    def put(self, resource: Resource, obj: Object) -> Object:
        """Store an object at the next version; return it as stored."""
        self.version += 1
        meta = {**obj["metadata"], "resourceVersion": str(self.version)}
        stored = {**obj, "metadata": meta}
        place = self._objects.setdefault(resource, {})
        key = (meta.get("namespace", ""), meta["name"])
        before = place.get(key)
        place[key] = stored
        self._tell(Change(self.version, resource, before, stored))
        return stored

    def drop(self, resource: Resource, obj: Object) -> Object:
        """Take an object out; return it as a watch shows it: as it was stored, at the version of its deletion."""
        self.version += 1
        meta = obj["metadata"]
        stored = self._objects[resource].pop((meta.get("namespace", ""), meta["name"]))
        last = {**stored, "metadata": {**stored["metadata"], "resourceVersion": str(self.version)}}
        self._tell(Change(self.version, resource, last, None))
        return last

    def since(self, resource: Resource, version: int) -> Iterator[Change]:
        """The remembered changes of a resource after `version`, oldest first."""
        found = []
        for change in reversed(self._changes):
            if change.version <= version:
                break
            if change.resource == resource:
                found.append(change)
        return reversed(found)

    def take_fresh(self) -> list[Change]:
        """The changes since the last call, for controllers."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def compact(self, version: int = 0) -> None:
        """Forget changes up to `version` (0 = all there are): a watch from before gets 410."""
        self.compacted = version or self.version
        while self._changes and self._changes[0].version <= self.compacted:
            self._changes.popleft()

    def snapshot(self) -> Snapshot:
        return Snapshot(self.version, {resource: dict(place) for resource, place in self._objects.items()})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, versions too; every watch ends."""
        self.version = snapshot.version
        self._objects = {resource: dict(place) for resource, place in snapshot.objects.items()}
        self._changes.clear()
        self._fresh.clear()
        self.compacted = 0
        self.epoch += 1
        self.moved.notify_all()

    def _tell(self, change: Change) -> None:
        self._changes.append(change)
        self._fresh.append(change)
        if len(self._changes) > REMEMBERED:
            self.compacted = self._changes.popleft().version
        self.moved.notify_all()
