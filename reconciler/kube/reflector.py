"""Follows one selection: list, watch, and list anew at intervals and after anything unexpected (R1, M17, F7, F10). A watch that ends
before its time is unexpected.

Only the head of an event is decoded; the object stays encoded, where the sink keeps it. After EVERY seconds of watching,
the metadata of the whole selection is listed and compared, and objects that differ are read.
"""

import threading
import time
from collections.abc import Callable

from reconciler import jitter
from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import shape
from reconciler.kube.client import Client
from reconciler.kube.events import Sink, Wanted, event_of
from reconciler.kube.watch import Watch

ABSENT = 300.0  # seconds until a kind that the server did not have is looked for again
SECONDS = 290  # the server ends a watch after this; it is opened again where it ended
SILENCE = 90.0  # seconds without an event or a bookmark before a watch counts as half-open: bookmarks come each minute
EVERY = 600.0  # seconds between two lists of a selection that are compared with the cache
FEW = 50  # differing objects that are read one by one; more of them are listed
PAUSE, LONGEST = 0.1, 30.0
LASTED = 5.0  # seconds after which a watch counts as one that worked


class Reflector:
    """Follows one selection in a thread of its own and calls `sink`; `failed` is called for bugs."""

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        sink: Sink,
        *,
        every: float = EVERY,
        silence: float = SILENCE,
        failed: Callable[[str, Exception], None] = lambda what, error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.synced = threading.Event()
        self.lost_at: float | None = clock()
        self.failure = ""  # what the server said last instead of a list
        self._clock = clock
        self._client = client
        self._wanted = wanted
        self._sink = sink
        self._every = every
        self._silence = silence
        self._failed = failed
        self._version = ""
        self._check_at = 0.0
        self._listed = threading.Condition()
        self._asked = self._tried = self._answered = 0
        self._absent = False
        self._stopped = threading.Event()
        self._stream: Watch | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch-{wanted.kind}", daemon=True)

    def start(self) -> None:
        """Begin; `synced` is set after the first list."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; `join` waits for the thread."""
        self._stopped.set()
        self._interrupt()

    def join(self, seconds: float) -> None:
        """Wait at most `seconds` for the thread, after `stop`."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def ask(self) -> int:
        """List everything anew now. Returns a number for `wait_listed`."""
        with self._listed:
            self._asked += 1
            turn = self._asked
            self._listed.notify_all()
        self._interrupt()
        return turn

    def wait_listed(self, turn: int, seconds: float) -> bool:
        """Wait until a list asked for by `ask` is complete. Returns whether it is."""
        with self._listed:
            return self._listed.wait_for(lambda: self._answered >= turn, seconds)

    def turn(self) -> float | None:
        """Make sure of what is known and follow until the watch ends. The thread does nothing else, again and again.

        Returns how many seconds the server asked to wait before the next turn, None where it did not.
        """
        try:
            self._once()
        except ApiError as error:
            if error.kind is ErrorClass.KIND_MISSING and self._wanted.optional:
                self._missing()
                return None
            self.failure = error.message
            self._lost(error.kind is ErrorClass.RELIST)
            return error.after
        except Exception as error:  # bugs are reported and must not end this thread
            self._lost(True)
            self._failed(f"watching {self._wanted.kind}", error)
        return None

    def _missing(self) -> None:
        """The server does not have the kind, and so no object of it: nothing is watched until it has."""
        self._sink.missing(self._clock())
        self._version, self.lost_at, self._absent = "", None, True
        self._told(self._tried)

    def _run(self) -> None:
        pause = PAUSE
        while not self._stopped.is_set():
            began = self._clock()
            after = self.turn()
            # A watch that lasted was healthy: go on at once. One that did not must not become a loop without a pause.
            pause = PAUSE if self._clock() - began > LASTED else min(LONGEST, pause * 2)
            if after:
                self._stopped.wait(after)  # the server asked for it, so nobody's request ends it
            elif self._absent:
                self._rest(ABSENT)
            elif pause > PAUSE:
                self._rest(pause / 2 * jitter.between(0.5, 1.5))

    def _lost(self, everything: bool) -> None:
        """Events may have been missed: compare before going on, or list anew."""
        self.lost_at = self.lost_at or self._clock()
        self._check_at, self._absent = 0.0, False
        if everything:
            self._version = ""

    def _rest(self, seconds: float) -> None:
        """Wait; a list asked for since the last turn began ends it, one that was tried in that turn does not."""
        with self._listed:
            self._listed.wait_for(lambda: self._stopped.is_set() or self._asked > self._tried, seconds)

    def _once(self) -> None:
        """List or compare if due, then watch until the watch ends or the next comparison is due. Raises ApiError."""
        self._tried = self._asked
        if not self._version or self._asked > self._answered:
            self._list()
        elif self._clock() >= self._check_at:
            self._compare()
        began, wanted = self._clock(), self._wanted
        left = self._check_at - began
        seconds = max(1, int(min(SECONDS * jitter.between(0.8, 1.0), left)))
        stream = self._stream = self._client.watch(
            wanted.group,
            wanted.kind,
            since=self._version,
            namespace=wanted.namespace,
            labels=wanted.selector,
            seconds=seconds,
            silence=max(0.05, min(self._silence, left)),
            partial=not wanted.bodies,
        )
        if self._stopped.is_set() or self._asked > self._answered:
            stream.stop()
        self.lost_at = None
        for event in stream:
            self._take(event)
            if self._clock() >= self._check_at:
                stream.stop()
                return
        if self._clock() - began < seconds:  # a server that went down: its storage may be another one when it is back
            self._lost(False)

    def _list(self) -> None:
        turn, began = self._asked, self._clock()
        wanted = self._wanted
        raws, version = self._client.raw_list(
            wanted.group,
            wanted.kind,
            namespace=wanted.namespace,
            labels=wanted.selector,
            kept=self._sink.kept,
            partial=not wanted.bodies,
        )
        self._sink.replace([event_of(head, raw, deleted=False) for head, raw in raws], version, began)
        self._sure(version)
        self._told(turn)

    def _told(self, turn: int) -> None:
        self.synced.set()
        with self._listed:
            self._answered = max(self._answered, turn)
            self._listed.notify_all()

    def _compare(self) -> None:
        """List the metadata and compare. A resourceVersion that went back means that the host was restored: whole
        objects are listed then."""
        began = self._clock()
        wanted = self._wanted
        heads, version = self._client.raw_list(
            wanted.group,
            wanted.kind,
            namespace=wanted.namespace,
            labels=wanted.selector,
            kept=lambda head, raw: self._sink.kept(head, b""),
            partial=True,
        )
        if _went_back(version, self._version):
            self._list()
            return
        differing = self._sink.compare([event_of(head, raw, deleted=False) for head, raw in heads], version, began)
        if len(differing) > FEW:
            self._list()
            return
        for ref in differing:
            self._sink.reread(ref)
        self._sure(version)

    def _sure(self, version: str) -> None:
        """The selection is known as of `version`. The first comparison comes at a random earlier time, so that the
        selections are not listed together."""
        share = jitter.between(0.8, 1.2) if self.synced.is_set() else jitter.between(0.2, 1.0)
        self._version, self._absent = version, False
        self._check_at = self._clock() + self._every * share

    def _take(self, event: shape.Event) -> None:
        if _went_back(event.version, self._version):
            raise ApiError(ErrorClass.RELIST, "the resourceVersion went back: the host was restored")
        self._version = event.version
        if event.head is not None:
            self._sink.follow(event_of(*self._sink.kept(event.head, event.raw), deleted=event.type == "DELETED"))

    def _interrupt(self) -> None:
        stream = self._stream
        if stream:
            stream.stop()
        with self._listed:
            self._listed.notify_all()


def _went_back(version: str, known: str) -> bool:
    return version.isdigit() and known.isdigit() and int(version) < int(known)
