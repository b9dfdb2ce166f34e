"""One selection followed for ever: list, watch, resume; list again after 410 with a pause (R1, M17, F7, F10).

Events are read as lines and decoded only as far as their key; the object stays encoded.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import shape
from reconciler.kube.client import Client, Watch
from reconciler.kube.shape import Head
from reconciler.model import ObjectRef

SECONDS = 290  # the server ends a watch after this; it is opened again where it ended
SILENCE = 100.0  # seconds without a byte before a watch counts as half-open: bookmarks come each minute
PAUSE, LONGEST = 0.1, 30.0
LASTED = 5.0  # seconds after which a watch counts as one that worked


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


class Seen(msgspec.Struct, frozen=True):
    """A change as the service needs it to find the cluster: by label, or by namespace."""

    ref: ObjectRef
    uid: str
    labels: dict[str, str]
    deleted: bool


class Event(msgspec.Struct, frozen=True):
    """One object at one resourceVersion, encoded."""

    seen: Seen
    version: str
    raw: bytes


class Reflector:
    """Follows one selection in a thread of its own: `replace` takes whole lists, `follow` each later event, in order."""

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        follow: Callable[[Event], None],
        replace: Callable[[Sequence[Event], str, float], None],
        *,
        silence: float = SILENCE,
    ) -> None:
        self.synced = threading.Event()
        self.lost_at: float | None = time.monotonic()
        self._client = client
        self._wanted = wanted
        self._follow = follow
        self._replace = replace
        self._silence = silence
        self._version = ""
        self._stopped = threading.Event()
        self._stream: Watch | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch-{wanted.kind}", daemon=True)

    def start(self) -> None:
        """Begin; `synced` is set after the first list."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch and wait a moment for the thread."""
        self._stopped.set()
        stream = self._stream
        if stream:
            stream.stop()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        pause = PAUSE
        while not self._stopped.is_set():
            began = time.monotonic()
            after = None
            try:
                self._once()
            except ApiError as error:
                self.lost_at = self.lost_at or time.monotonic()
                after = error.after
                if error.kind is ErrorClass.RELIST:
                    self._version = ""
            # A watch that lasted was healthy: go on at once. One that did not must not become a loop without a pause.
            pause = PAUSE if time.monotonic() - began > LASTED else min(LONGEST, pause * 2)
            if pause > PAUSE:
                self._stopped.wait(after or pause / 2 * random.uniform(0.5, 1.5))

    def _once(self) -> None:
        """List when there is nothing to go on from, then follow until the watch ends. Raises ApiError."""
        if not self._version:
            self._list()
        wanted = self._wanted
        stream = self._stream = self._client.watch(
            wanted.group,
            wanted.kind,
            since=self._version,
            namespace=wanted.namespace,
            labels=wanted.selector,
            seconds=int(SECONDS * random.uniform(0.8, 1.0)),
            silence=self._silence,
        )
        if self._stopped.is_set():
            stream.stop()
        self.lost_at = None
        for event in stream:
            self._take(event)

    def _list(self) -> None:
        began = time.monotonic()
        wanted = self._wanted
        raws, version = self._client.raw_list(
            wanted.group, wanted.kind, namespace=wanted.namespace, labels=wanted.selector
        )
        self._replace([_event(head, raw, False) for head, raw in raws], version, began)
        self._version = version
        self.synced.set()

    def _take(self, event: shape.Event) -> None:
        self._version = event.version
        if event.head is not None:
            self._follow(_event(event.head, event.raw, event.type == "DELETED"))


def _event(head: Head, raw: bytes, deleted: bool) -> Event:
    return Event(Seen(head.ref, head.uid, head.labels, deleted), head.version, raw)
