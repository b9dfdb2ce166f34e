"""Who renders next, and who may not for a while: a queue that is fair to sources, and what hung or crashed lately (H4).

A hostile source or cluster costs the others a moment: one worker is kept for those that never failed and, where there are several
sources, from each that holds another; a source is served after those that waited longer for their turn; and what used up its budget
of processor time renders nothing new until that is forgotten.
"""

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from reconciler.errors import Retry

WINDOW = 300.0
"""Seconds after which what a render cost is forgotten."""
FAILED = 20.0
"""Seconds of processor time that a render counts that hung or crashed."""
LONG = 2.0
"""Seconds of processor time from which on a render counts that came to an end."""
CLUSTER_BUDGET, SOURCE_BUDGET = 40.0, 120.0
"""Seconds of processor time that such renders of a cluster and of a source may cost within WINDOW."""
_KNOWN = 10_000


class Owner(Struct, frozen=True):
    """Whose render it is."""

    source: str = ""
    cluster: str = ""


class Ticket(Struct, eq=False):
    """One that waits, in the order of `number`."""

    owner: Owner
    number: int


class Cost(Struct, frozen=True):
    """A render that hung or crashed, or was long: when, whose, and its seconds of processor time."""

    at: float
    owner: Owner
    seconds: float
    failed: bool


class Standing:
    """What is known of owners. Thread-safe. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._costs: deque[Cost] = deque(maxlen=_KNOWN)
        self._sound: OrderedDict[str, None] = OrderedDict()

    def failed(self, owner: Owner) -> None:
        """A render hung or crashed."""
        with self._lock:
            self._costs.append(Cost(self._clock(), owner, FAILED, True))
            self._sound.pop(owner.cluster, None)

    def rendered(self, owner: Owner, seconds: float = 0.0) -> None:
        """A render came to an end by itself, after so many seconds of processor time."""
        with self._lock:
            if seconds >= LONG:
                self._costs.append(Cost(self._clock(), owner, seconds, False))
            self._sound[owner.cluster] = None
            self._sound.move_to_end(owner.cluster)
            if len(self._sound) > _KNOWN:
                self._sound.popitem(last=False)

    def trusted(self, owner: Owner) -> bool:
        """Whether neither the cluster failed lately, nor, as long as the cluster has not rendered anything, its source."""
        with self._lock:
            failed = [one.owner.cluster for one in self._costs_of(owner) if one.failed]
            return owner.cluster not in failed and (not failed or owner.cluster in self._sound)

    def raise_spent(self, owner: Owner) -> None:
        """Raises Retry(RenderQuarantined) where the cluster, or a source of which the cluster is no sound part, used up its budget."""
        with self._lock:
            of_source = self._costs_of(owner)
            of_cluster = [one for one in of_source if one.owner == owner]
            known = not of_cluster and owner.cluster in self._sound
            now = self._clock()
        if (left := _left(of_cluster, CLUSTER_BUDGET, now)) > 0.0:
            raise _quarantined("this cluster", CLUSTER_BUDGET, left)
        if not known and (left := _left(of_source, SOURCE_BUDGET, now)) > 0.0:
            raise _quarantined(f"the source {owner.source}", SOURCE_BUDGET, left)

    def _costs_of(self, owner: Owner) -> list[Cost]:
        """What its source's renders cost within WINDOW, the oldest first."""
        while self._costs and self._costs[0].at + WINDOW <= self._clock():
            self._costs.popleft()
        return [one for one in self._costs if one.owner.source == owner.source]


def _left(costs: Sequence[Cost], budget: float, now: float) -> float:
    """Seconds until so many of `costs` (the oldest first) are forgotten that the budget is kept; 0 where it is."""
    total, left = sum(one.seconds for one in costs), 0.0
    for one in costs:
        if total < budget:
            break
        total, left = total - one.seconds, one.at + WINDOW - now
    return left


def _quarantined(whose: str, budget: float, left: float) -> Retry:
    ends = time.strftime("%H:%M UTC", time.gmtime(time.time() + left + 60.0))  # whole minutes: the same in every pass
    message = (
        f"renders of {whose} that hung, crashed or were long used the {budget:g} s of processor time that they have "
        f"in {WINDOW / 60:g} minutes; new ones are tried after {ends}"
    )
    return Retry(message, reason="RenderQuarantined", after=max(1.0, left))


class Line:
    """Those that wait for a worker. Not locked: the pool's lock is held around every call.

    Trusted ones come first, then the source that was served longest ago, then the cluster, then who came first. The last free worker
    of several is for trusted ones only, and where there are several sources for none that holds another; of a source's others one
    may wait.
    """

    def __init__(self, reserve: int, trusted: Callable[[Owner], bool]) -> None:
        self._reserve, self._trusted = reserve, trusted
        self._count = 0
        self._waiting: list[Ticket] = []
        self._served: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._sources: set[str] = set()
        self._at_work: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, owner: Owner) -> Ticket:
        self._count += 1
        self._sources |= {owner.source} - {""}
        ticket = Ticket(owner, self._count)
        self._waiting.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        self._waiting.remove(ticket)

    def serve(self, ticket: Ticket) -> None:
        """It gets a worker now, which it holds until `over`."""
        self._count += 1
        self._at_work[ticket.owner.source] += 1
        for key in ((ticket.owner.source, ""), (ticket.owner.source, ticket.owner.cluster)):
            self._served[key] = self._count
            self._served.move_to_end(key)
        while len(self._served) > _KNOWN:
            self._served.popitem(last=False)

    def over(self, owner: Owner) -> None:
        """It gave its worker back."""
        self._at_work[owner.source] -= 1

    def first(self, ticket: Ticket, free: int) -> bool:
        """Whether the ticket is the one that one of `free` workers is for."""
        if free <= 0:
            return False
        may = [one for one in self._waiting if free > self._reserve or self._may_have_the_last(one.owner)]
        return bool(may) and min(may, key=self._rank) is ticket

    def superfluous(self, ticket: Ticket) -> bool:
        """Whether it is not trusted and another one of its source waits before it."""
        owner = ticket.owner
        return not self._trusted(owner) and any(
            one.number < ticket.number and one.owner.source == owner.source and not self._trusted(one.owner)
            for one in self._waiting
        )

    def _may_have_the_last(self, owner: Owner) -> bool:
        return self._trusted(owner) and (len(self._sources) < 2 or not self._at_work[owner.source])

    def _rank(self, ticket: Ticket) -> tuple[bool, int, int, int]:
        owner = ticket.owner
        source = self._served.get((owner.source, ""), 0)
        cluster = self._served.get((owner.source, owner.cluster), 0)
        return not self._trusted(owner), source, cluster, ticket.number
