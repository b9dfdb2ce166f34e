"""What a reflector finds, and who takes it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from reconciler.kube.shape import Head
from reconciler.model import ObjectRef


class Wanted(Protocol):
    """What to follow."""

    @property
    def group(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def selector(self) -> str: ...
    @property
    def bodies(self) -> bool: ...
    @property
    def optional(self) -> bool: ...


class Seen(msgspec.Struct, frozen=True):
    """A change as the service needs it to find the cluster: by label, or by namespace; `version` is that of the object."""

    ref: ObjectRef
    uid: str
    labels: dict[str, str]
    deleted: bool
    version: str = ""


class Event(msgspec.Struct, frozen=True):
    """One object at one resourceVersion, encoded."""

    seen: Seen
    version: str
    raw: bytes


class Sink(Protocol):
    """Takes what was found. `began` is when a list was asked for (monotonic seconds)."""

    def kept(self, head: Head, raw: bytes) -> tuple[Head, bytes]:
        """What of an object that arrives is held in memory."""

    def replace(self, events: Sequence[Event], version: str, began: float) -> None:
        """Take a whole list."""

    def missing(self, began: float) -> None:
        """Take it that there is no such kind, and no object of it."""

    def compare(self, events: Sequence[Event], version: str, began: float) -> list[ObjectRef]:
        """Take the metadata of a whole list: drop what is gone, return what differs."""

    def reread(self, ref: ObjectRef) -> None:
        """Read one object and store it as it is now. Raises ApiError."""

    def follow(self, event: Event) -> None:
        """Take one event of the watch."""


def event_of(head: Head, raw: bytes, *, deleted: bool) -> Event:
    """The event for an object from a list or a watch."""
    return Event(Seen(head.ref, head.uid, head.labels, deleted, head.version), head.version, raw)
