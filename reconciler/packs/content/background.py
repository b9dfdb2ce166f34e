"""Fetching beside the passes: a pass never waits for the network, and is woken when its content is here (K3)."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from reconciler.errors import Fetching, NidusError, Retry, Stalled
from reconciler.model import Remote
from reconciler.packs.content import held
from reconciler.packs.content.fetch import Means, bring
from reconciler.packs.content.shares import Shares
from reconciler.spec import addresses

THREADS = 32  # a slow server holds one of them
FIRST, LAST = 2.0, 600.0  # seconds between two attempts
FORGOTTEN = 1800.0  # seconds after which content that nobody asked for is not fetched any more

Bug = Callable[[str, Exception], object]


@dataclass(slots=True, eq=False)
class _Fetch:
    """One piece of content that is asked for: by whom, how far it is, and what failed last."""

    remote: Remote
    host: str
    due: float
    wanted: float
    clusters: set[str] = field(default_factory=set)
    size: int = 0
    attempts: int = 0
    failure: NidusError | None = None

    def went_on(self, size: int) -> None:
        self.size = size


class Background:
    """Threads that fetch what renders ask for, one at a time from each host; clusters take turns. They start with the first content that
    is asked for.

    `wake` is called with a cluster whose content is here, or cannot come; `bug` with what no error of ours explains.
    """

    def __init__(self, means: Means, wake: Callable[[str], None], bug: Bug) -> None:
        self._means, self._wake, self._bug = means, wake, bug
        self._moved = threading.Condition()
        self._fetches: dict[str, _Fetch] = {}
        self._busy: set[str] = set()
        self._hosts: set[str] = set()  # of the fetches, and perhaps of some that were forgotten
        self._shares = Shares()
        self._turns: dict[str, float] = {}
        self._threads: list[threading.Thread] = []
        self._closed = False

    def read(self, oids: Collection[str], cluster: str) -> dict[str, bytes]:
        """As `Content.read`."""
        found, missing = held.split(oids, self._means.store)
        failures = [self._asked(remote, cluster) for remote in missing]
        for failure in sorted(failures, key=lambda one: isinstance(one, Fetching)):
            raise failure
        return found

    def used(self, oids: Collection[str], source: str) -> None:
        """As `Content.used`."""
        held.use(oids, self._means.store)
        if self._means.share:
            self._shares.note(source, oids, self._means.store)

    def govern(self, means: Means) -> None:
        """Other rules count from the next attempt on, which is due at once."""
        with self._moved:
            self._means = means
            for one in self._fetches.values():
                one.due = time.monotonic()
            self._moved.notify_all()

    def close(self) -> None:
        """Begin nothing more. What is under way ends with its process."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()

    def _asked(self, remote: Remote, cluster: str) -> NidusError:
        """Notes that it is wanted; what to tell of it now."""
        now = time.monotonic()
        with self._moved:
            one = self._fetches.get(remote.oid) or _Fetch(remote, addresses.host(remote.address), now, now)
            self._fetches[remote.oid] = one
            one.wanted = now
            one.clusters |= {cluster} - {""}
            self._hosts.add(one.host)
            if len(self._threads) < min(THREADS, len(self._hosts)):
                self._threads.append(threading.Thread(target=self._run, name="content", daemon=True))
                self._threads[-1].start()
            self._moved.notify_all()
            return _told(one)

    def _run(self) -> None:
        while (one := self._taken()) is not None:
            try:
                means = self._means
                if means.share:
                    self._shares.check(one.remote.digest, means.share, means.store)
                bring(one.remote, means, one.went_on)
                failure = None
            except NidusError as error:
                failure = error
            except Exception as error:  # the border: a bug is this content's failure
                self._bug(str(one.remote), error)
                failure = Retry(f"{one.remote}: a bug of ours, see the log", reason="Bug")
            self._over(one, failure)

    def _taken(self) -> _Fetch | None:
        """The next fetch that is due, of a host that no thread asks; None at the end. Of several that of the cluster whose last turn is
        longest ago, so that many addresses of one cluster hold up no other."""
        with self._moved:
            while not self._closed:
                now = time.monotonic()
                self._fetches = {oid: one for oid, one in self._fetches.items() if now - one.wanted < FORGOTTEN}
                self._hosts = {one.host for one in self._fetches.values()}
                free = [one for one in self._fetches.values() if one.host not in self._busy]
                due = [one for one in free if one.due <= now]
                if due:
                    return self._begun(min(due, key=lambda one: (self._turn(one), one.due)), now)
                self._moved.wait(min((one.due - now for one in free), default=None))
        return None

    def _begun(self, one: _Fetch, now: float) -> _Fetch:
        self._busy.add(one.host)
        asking = {cluster for other in self._fetches.values() for cluster in other.clusters}
        known = {name: at for name, at in self._turns.items() if name in asking}
        self._turns = known | dict.fromkeys(one.clusters, now)
        return one

    def _turn(self, one: _Fetch) -> float:
        """When the last fetch began of the cluster that waits longest for it."""
        return min((self._turns.get(name, 0.0) for name in one.clusters), default=0.0)

    def _over(self, one: _Fetch, failure: NidusError | None) -> None:
        with self._moved:
            self._busy.discard(one.host)
            if isinstance(failure, Fetching):  # somebody else brings it: no failure, and no reason for longer pauses
                one.due = time.monotonic() + (failure.after or FIRST)
                self._moved.notify_all()
                return
            news = failure is None or one.failure is None or failure.message != one.failure.message
            one.failure, one.size, one.attempts = failure, 0, one.attempts + 1
            if failure is None:
                self._fetches.pop(one.remote.oid, None)
            else:
                one.due = time.monotonic() + _pause(one, failure)
            woken = sorted(one.clusters) if news else []
            self._moved.notify_all()
        for cluster in woken:
            self._wake(cluster)


def _pause(one: _Fetch, failure: NidusError) -> float:
    """Seconds until the next attempt: longer each time, and at least what the server asks for."""
    grown: float = min(LAST, FIRST * 2.0 ** min(one.attempts - 1, 20))
    asked = failure.after if isinstance(failure, Retry) else None
    return max(grown, asked or 0.0)


def _told(one: _Fetch) -> NidusError:
    if isinstance(one.failure, Stalled):
        return Stalled(one.failure.message, reason=one.failure.reason, hint=one.failure.hint)
    far = f" ({one.size >> 10} KiB so far)" if one.size else ""
    failed = f"; the last attempt failed: {one.failure.message}" if one.failure is not None else ""
    return Fetching(f"fetching {one.remote}{far}{failed}")
