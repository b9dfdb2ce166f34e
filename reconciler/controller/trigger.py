"""Why and since when a source should look again. A wake holds no work, and several before a sync count as one (W3)."""

import math
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from reconciler.controller.pace import Pace

QUIET = 0.25  # seconds without another sync request after which a burst is over
OLDEST = 7 * 86400.0  # seconds that a sync request may be old for its time to count
AT_ONCE = 3  # syncs that check every cluster, after a quiet time: while one runs, a push of the same source waits
STORM = 2  # sync requests waiting for one sync that count as a burst


class Woken(Struct, frozen=True):
    """One wake: why, when, whether the same tree is to be admitted again, and whether every cluster is to be checked.

    `generation` is the highest sync request it answers, `recall` whether accepted contents are to be read again first.
    """

    trigger: str
    at: float
    forced: bool
    again: bool
    generation: int = 0
    recall: bool = False


class Trigger:
    """Thread-safe. `generation` and `resync` are the highest sync requests seen, of webhooks and of `nidus sync`;
    `served` is the first value of both.

    `again` admits the same tree again, because a time has come or requests changed; `forced` also checks every cluster
    (S2), at the `Pace` of what people ask for: a sync request beyond it waits, and holds up no other wake. `lists`: it waits as well
    until the host was listed after it (`listed`). `clock` gives seconds that never go back.
    """

    def __init__(self, served: int = 0, clock: Callable[[], float] = time.monotonic, *, lists: bool = False) -> None:
        self._clock = clock
        self._listed: float = served if lists else math.inf
        self.generation = self.resync = served
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._trigger, self._at = "", 0.0
        self._forced = self._again = self._recall = False
        self._marks, self._last = 0, -math.inf
        self._pace = Pace(clock, AT_ONCE)
        self._late = 0  # the first sync request that waits
        self._answered = served

    def up(
        self,
        trigger: str,
        *,
        forced: bool = False,
        again: bool = False,
        recall: bool = False,
        generation: int = 0,
        resync: int = 0,
    ) -> None:
        """Wake the source. A sync request that was seen before is ignored: its sync is running or done."""
        with self._lock:
            if (generation or resync) and generation <= self.generation and resync <= self.resync:
                return
            if forced and not self._may(resync):
                self._late, self.resync = self._late or resync, max(self.resync, resync)
                self._event.set()  # whoever waits learns until when
                return
            since = _since(max(generation, resync), time.time())
            self._at = min(self._at, since) if self._trigger else since
            self._trigger = self._trigger or trigger
            self._forced = self._forced or forced
            self._again = self._again or again or forced
            self._recall = self._recall or recall
            self.generation, self.resync = max(self.generation, generation), max(self.resync, resync)
            if generation:
                self._count()
            self._event.set()

    def joined(self) -> int:
        """One more delivery. The generation of the sync request that no sync has begun for, which stands for it too, and the burst goes
        on; 0 where none waits."""
        with self._lock:
            if not self._trigger or self.generation <= self._answered:
                return 0
            self._count()
            return self.generation

    def listed(self, resync: int) -> None:
        """The host was listed after this sync request: it and those before it may be done."""
        with self._lock:
            self._listed = max(self._listed, resync)
            self._event.set()

    def keep(self, woken: Woken) -> None:
        """The sync failed: keep what was asked for, for the source's own retry. Does not wake it."""
        with self._lock:
            self._forced = self._forced or woken.forced
            self._again = self._again or woken.again
            self._recall = self._recall or woken.recall

    def wait(self, seconds: float, stop: threading.Event, longest: float) -> None:
        """Wait at most `seconds` for a wake. During a burst of sync requests, wait for its end, at most `longest`
        seconds more."""
        until = self._clock() + seconds
        while (pause := min(self._pause(), until - self._clock())) > 0:
            self._event.wait(pause)
        ends = self._clock() + longest
        while self._raining() and self._clock() < ends:
            if stop.wait(QUIET / 2):
                return

    def take(self) -> Woken:
        """Take everything that was asked for until now, as one wake."""
        with self._lock:
            self._catch_up()
            generation = max(self.generation, self.resync)
            if self._late:  # it is not answered by this wake, nor is any after it
                generation = max(self._answered, min(generation, self._late - 1))
            self._answered = generation
            trigger, at = self._trigger or "poll", self._at or time.time()
            taken = Woken(trigger, at, self._forced, self._again, generation, self._recall)
            self._trigger, self._at, self._marks = "", 0.0, 0
            self._forced = self._again = self._recall = False
            self._event.clear()
            return taken

    def _pause(self) -> float:
        """Seconds until there is something to take, unless more is asked for meanwhile."""
        with self._lock:
            if self._trigger:
                return 0.0
            self._event.clear()
            return self._pace.wait() if 0 < self._late <= self._listed else math.inf

    def _may(self, resync: int) -> bool:
        """Whether this sync request is for the next wake; counts the look that it costs."""
        if resync > self._listed:
            return False
        if self._forced and self._event.is_set():
            return True
        if self._pace.wait():
            return False
        self._pace.spend()
        return True

    def _catch_up(self) -> None:
        """The sync request that waits goes with this wake, where it may be by now or another does the same."""
        if 0 < self._late <= self._listed and not self._forced and not self._pace.wait():
            self._pace.spend()
            self._forced = self._again = True
            self._trigger = self._trigger or "sync"
        if self._forced:
            self._late = int(self._listed) + 1 if self.resync > self._listed else 0

    def _count(self) -> None:
        """One that soon follows another is part of a burst, also where a sync was quicker than both."""
        now = self._clock()
        self._marks, self._last = self._marks + (STORM if now - self._last < QUIET else 1), now

    def _raining(self) -> bool:
        with self._lock:
            return self._marks >= STORM and self._clock() - self._last < QUIET


def _since(generation: int, now: float) -> float:
    """When something was asked for: a sync request is the time at which it was stored, in nanoseconds, and outlives the process that took
    it. One that another clock made, later than now or very old, counts from now."""
    at = generation / 1e9
    return at if now - OLDEST < at < now else now
