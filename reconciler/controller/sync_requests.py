"""Sync requests of webhooks and `nidus sync` ("marks"): a rising number on the source's status object (W2, W3). Several
become one write."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from reconciler.errors import ApiError, ErrorClass, NidusError
from reconciler.kube.client import Client
from reconciler.model import Object, ObjectRef

REQUESTED = "nidus.dev/requested"
RESYNC = "nidus.dev/resync"
CHANGES = "nidus.dev/changes"  # a change request moved: the forge is to be asked
MANAGER = "nidus-marks"
PATIENCE = (
    5.0  # seconds that a write beside other writers is tried again: senders wait about 10, and few of them try again
)
TRIES = 3  # on the very object that was read
BESIDE = 1_000_000_000  # nanoseconds above all others of a mark that is written beside other writers
GATHER = (
    0.02  # seconds between the beginnings of two writes of one source: deliveries that arrive meanwhile share the next
)
AHEAD = 60_000_000_000  # nanoseconds that another replica's clock may be ahead of ours


class Marker:
    """Stores sync requests for one source. Deliveries that arrive during a write, or shortly after one that was quick, share the next
    write; the first of a quiet source waits for nothing. `joined` gives the stored one that no sync has begun for, 0 for none: it
    stands for what comes meanwhile too."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        source: str,
        woken: Callable[[int], None],
        annotation: str = REQUESTED,
        joined: Callable[[], int] = lambda: 0,
    ) -> None:
        self._annotation = annotation
        self._client, self._namespace, self._source = client, namespace, source
        self._woken, self._joined = woken, joined
        self._turn = threading.Lock()
        self._wanted = 0
        self._stored = self._generation = 0
        self._next = 0.0
        self._count = threading.Lock()

    def mark(self) -> int:
        """Return when a sync request is stored that a sync after this call answers; returns its generation. Raises ApiError when that
        fails: the sender is to try again, which few do, so that this replica's own source is woken all the same, without a generation."""
        if waiting := self._joined():
            return waiting
        with self._count:
            self._wanted += 1
            mine = self._wanted
        with self._turn:
            if self._stored >= mine:
                return self._generation
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + GATHER
            with self._count:
                newest = self._wanted
            try:
                generation = rise(self._client, self._namespace, self._source, self._annotation)
            except NidusError:
                self._woken(0)
                raise
            self._stored, self._generation = newest, generation
        self._woken(generation)
        return generation


def rise(client: Client, namespace: str, source: str, annotation: str) -> int:
    """Store a sync request above every earlier one of the source, of either kind, and above the last one served: the
    clocks of those who write differ. Returns it. Raises ApiError.

    Where others keep writing to the source, it is stored whatever they wrote since it was read: a mark among that is of after what this one
    is for, and this one is so much higher that it is no older than any by a clock that differs less.
    """
    ends, tries = time.monotonic() + PATIENCE, 0
    while True:
        try:
            return _risen(client, namespace, source, annotation, beside=tries >= TRIES)
        except ApiError as error:
            if error.kind is not ErrorClass.RACED or time.monotonic() >= ends:
                raise
        tries += 1


def _risen(client: Client, namespace: str, source: str, annotation: str, *, beside: bool) -> int:
    found, now = client.get(ObjectRef("nidus.dev", "Source", namespace, source)), time.time_ns()
    if found is None:
        store(client, namespace, source, annotation, now)
        return now
    served = (found.get("status") or {}).get("generation")
    known = (
        read(found, REQUESTED, now),
        read(found, RESYNC, now),
        read(found, CHANGES, now),
        believed(served, now) if type(served) is int else 0,
    )
    generation = _above(known, now, BESIDE if beside else 0)
    version = "" if beside else str(found["metadata"]["resourceVersion"])
    store(client, namespace, source, annotation, generation, version=version)
    return generation


def _above(known: Sequence[int], now: int, by: int) -> int:
    """Above all that is known, and `by` more, but of its own accord never so far ahead that a reader may not believe it."""
    least = max(now, max(known) + 1)
    return max(least, min(least + by, now + AHEAD // 2))


def store(client: Client, namespace: str, source: str, annotation: str, generation: int, *, version: str = "") -> None:
    """Write one sync request, with a field manager of its own, so that it does not conflict with the controller's
    status writes. With `version` (a resourceVersion) only on that one; RACED otherwise."""
    metadata: dict[str, Any] = {"name": source, "namespace": namespace, "annotations": {annotation: str(generation)}}
    if version:
        metadata["resourceVersion"] = version
    body = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": metadata}
    client.apply(body, manager=f"{MANAGER}-{annotation.rsplit('/', 1)[1]}", force=True)


def read(source: Object, annotation: str, now: int) -> int:
    """The generation that a source object asks for; 0 where it asks for none or is malformed. `now` in nanoseconds."""
    text = str((source["metadata"].get("annotations") or {}).get(annotation, "0"))
    return believed(int(text), now) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def believed(generation: int, now: int) -> int:
    """The generation, 0 for one of the future: marks are times, and after that one every other would be old."""
    return generation if generation <= now + AHEAD else 0
