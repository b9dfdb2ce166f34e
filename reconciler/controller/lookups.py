"""What pages of the dashboard read from the home cluster, on demand and remembered for a while: histories and usage (U2, U4)."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from dashboard import costs
from dashboard.costs import Spent
from dashboard.pages import Came
from reconciler.inventory import history, usage
from reconciler.kube.client import Client
from reconciler.usage import days

KEPT: Final = 100  # answers of each kind
HISTORY: Final = 10.0  # seconds: a revision is written within 20
USAGE: Final = 300.0  # seconds: days are written every 600
_T = TypeVar("_T")


class Lookups:
    """Reads one namespace, that of the controller. Every call may raise ApiError. Thread-safe; of several who ask for one thing at once,
    one reads."""

    def __init__(self, client: Client, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._namespace, self._clock = client, namespace, clock
        self._lock = threading.Lock()
        self._histories: dict[str, tuple[float, Sequence[Came]]] = {}
        self._months: dict[str, tuple[float, Spent]] = {}

    def history(self, cluster: str) -> Sequence[Came]:
        """The revisions of a cluster, newest first."""
        return self._kept(self._histories, cluster, HISTORY, self._history)

    def spent(self, month: str) -> Spent:
        """What clusters cost in a month. Raises ValueError for a text that is none."""
        days.span(month)
        return self._kept(self._months, month, USAGE, self._spent)

    def _kept(self, known: dict[str, tuple[float, _T]], key: str, lasts: float, read: Callable[[str], _T]) -> _T:
        with self._lock:
            at, found = known.get(key, (0.0, None))
            if found is None or self._clock() >= at + lasts:
                found = read(key)
                if len(known) >= KEPT:
                    known.clear()
                known[key] = (self._clock(), found)
            return found

    def _history(self, cluster: str) -> Sequence[Came]:
        found = history.read(self._client, self._namespace, cluster).get(cluster, ())
        return [
            Came(one.revision, one.admitted, one.applied, one.ready, one.author, one.subject, one.number)
            for one in reversed(found)
        ]

    def _spent(self, month: str) -> Spent:
        found = usage.read(self._client, self._namespace, lambda day: days.month(day) == month, [month])
        return costs.spent(month, found.days, found.unread)
