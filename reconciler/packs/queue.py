"""Who renders next, and who may not for a while: a queue that is fair to sources, and what hung or crashed lately (H4).

A hostile source or cluster costs the others a moment: one worker is kept for those that never failed, a source is served after
those that waited longer for their turn, and what used up its budget renders nothing new until the failures are forgotten.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.errors import Retry

WINDOW = 300.0
"""Seconds after which a failure is forgotten."""
CLUSTER_BUDGET, SOURCE_BUDGET = 2, 6
"""How many renders of a cluster and of a source may hang or crash within WINDOW; each costs the time and processor limit at most."""
_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose render it is."""

    source: str = ""
    cluster: str = ""


@dataclass(eq=False, slots=True)
class Ticket:
    """One that waits, in the order of `number`."""

    owner: Owner
    number: int


class Standing:
    """What is known of owners. Thread-safe. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: deque[tuple[float, Owner]] = deque(maxlen=_KNOWN)
        self._sound: OrderedDict[str, None] = OrderedDict()

    def failed(self, owner: Owner) -> None:
        """A render hung or crashed."""
        with self._lock:
            self._failures.append((self._clock(), owner))
            self._sound.pop(owner.cluster, None)

    def rendered(self, owner: Owner) -> None:
        """A render came to an end by itself."""
        with self._lock:
            self._sound[owner.cluster] = None
            self._sound.move_to_end(owner.cluster)
            if len(self._sound) > _KNOWN:
                self._sound.popitem(last=False)

    def trusted(self, owner: Owner) -> bool:
        """Whether neither the cluster failed lately, nor, as long as the cluster has not rendered anything, its source."""
        with self._lock:
            cluster, source = self._used(owner)
            return cluster == 0 and (source == 0 or owner.cluster in self._sound)

    def raise_spent(self, owner: Owner) -> None:
        """Raises Retry(RenderQuarantined) where the cluster, or a source of which the cluster is no sound part, used up its budget."""
        with self._lock:
            cluster, source = self._used(owner)
            known = cluster == 0 and owner.cluster in self._sound
            left = self._failures[0][0] + WINDOW - self._clock() if self._failures else 0.0
        if cluster >= CLUSTER_BUDGET:
            whose = "this cluster"
        elif source >= SOURCE_BUDGET and not known:
            whose = f"the source {owner.source}"
        else:
            return
        message = f"renders of {whose} hung or crashed again and again; new ones are tried in a few minutes"
        raise Retry(message, reason="RenderQuarantined", after=max(1.0, left))

    def _used(self, owner: Owner) -> tuple[int, int]:
        """How many renders of the cluster and of its source failed within WINDOW."""
        while self._failures and self._failures[0][0] + WINDOW <= self._clock():
            self._failures.popleft()
        of_source = [one.cluster for _, one in self._failures if one.source == owner.source]
        return of_source.count(owner.cluster), len(of_source)


class Line:
    """Those that wait for a worker. Not locked: the pool's lock is held around every call.

    Trusted ones come first, then the source that was served longest ago, then the cluster, then who came first. The last free worker
    of several is for trusted ones only, and of a source's others one may wait.
    """

    def __init__(self, reserve: int, trusted: Callable[[Owner], bool]) -> None:
        self._reserve, self._trusted = reserve, trusted
        self._count = 0
        self._waiting: list[Ticket] = []
        self._served: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, owner: Owner) -> Ticket:
        self._count += 1
        ticket = Ticket(owner, self._count)
        self._waiting.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        self._waiting.remove(ticket)

    def serve(self, ticket: Ticket) -> None:
        """It gets a worker now."""
        self._count += 1
        for key in ((ticket.owner.source, ""), (ticket.owner.source, ticket.owner.cluster)):
            self._served[key] = self._count
            self._served.move_to_end(key)
        while len(self._served) > _KNOWN:
            self._served.popitem(last=False)

    def first(self, ticket: Ticket, free: int) -> bool:
        """Whether the ticket is the one that one of `free` workers is for."""
        if free <= 0:
            return False
        may = [one for one in self._waiting if free > self._reserve or self._trusted(one.owner)]
        return bool(may) and min(may, key=self._rank) is ticket

    def superfluous(self, ticket: Ticket) -> bool:
        """Whether it is not trusted and another one of its source waits before it."""
        owner = ticket.owner
        return not self._trusted(owner) and any(
            one.number < ticket.number and one.owner.source == owner.source and not self._trusted(one.owner)
            for one in self._waiting
        )

    def _rank(self, ticket: Ticket) -> tuple[bool, int, int, int]:
        owner = ticket.owner
        source = self._served.get((owner.source, ""), 0)
        cluster = self._served.get((owner.source, owner.cluster), 0)
        return not self._trusted(owner), source, cluster, ticket.number
