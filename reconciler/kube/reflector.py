"""One selection followed for ever: list, watch, resume; list again after 410 with a pause (R1, M17, F7, F10).

Events are read as lines and decoded only as far as their key; the object stays encoded.
"""

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import errors
from reconciler.kube.client import Client
from reconciler.kube.transport import Stream
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


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None


class _Keyed(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Line(msgspec.Struct):
    type: str = ""
    object: msgspec.Raw = msgspec.Raw()


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
        self._stream: Stream | None = None
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
        for line in stream:
            if line:
                self._take(line)

    def _list(self) -> None:
        began = time.monotonic()
        wanted = self._wanted
        raws, version = self._client.raw_list(
            wanted.group, wanted.kind, namespace=wanted.namespace, labels=wanted.selector
        )
        self._replace([self._event(bytes(raw), False) for raw in raws], version, began)
        self._version = version
        self.synced.set()

    def _take(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise errors.broken("watch", "an event is no JSON object") from None
        raw = bytes(event.object)
        if event.type == "ERROR":
            raise errors.classify(errors.parse(raw).code or 500, raw, "watch")
        found = self._event(raw, event.type == "DELETED")
        self._version = found.version or self._version
        if event.type != "BOOKMARK":
            self._follow(found)

    def _event(self, raw: bytes, deleted: bool) -> Event:
        try:
            meta = msgspec.json.decode(raw, type=_Keyed).metadata
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise errors.broken("watch", "an object has no metadata") from None
        wanted = self._wanted
        ref = ObjectRef(wanted.group, wanted.kind, sys.intern(meta.namespace), meta.name)
        return Event(Seen(ref, meta.uid, meta.labels or {}, deleted), meta.resource_version, raw)
