"""What pages of the dashboard read from the home cluster, on demand and remembered for a while: histories and usage (U2, U4), and on a
replica that does not lead the statuses (T1)."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from dashboard import costs
from dashboard.costs import Spent
from dashboard.pages import Came
from reconciler.controller.answers import Answers
from reconciler.inventory import history, requests, usage
from reconciler.kube.client import Client
from reconciler.model import Request
from reconciler.report import bodies
from reconciler.report.view import ClusterView, SourceView
from reconciler.usage import days

READS: Final = 5.0  # seconds that a page waits for one answer of the API server
KEPT: Final = 100  # answers of each kind
HISTORY: Final = 10.0  # seconds: a revision is written within 20
FLEET: Final = 3.0  # seconds
USAGE: Final = 300.0  # seconds: days are written every 600


class Fleet(Struct, frozen=True):
    """What status objects and requests say, for a replica that does not lead. `number` rises with each reading."""

    number: int
    clusters: Mapping[str, ClusterView]
    sources: Mapping[str, SourceView]
    requests: tuple[Request, ...]


class Lookups:
    """Reads one namespace, that of the controller. Every call may raise ApiError. Thread-safe; of several who ask for one thing at once,
    one reads, and nobody waits for what another reads."""

    def __init__(self, client: Client, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._namespace = client, namespace
        self._histories: Answers[Sequence[Came]] = Answers(clock, KEPT, KEPT)
        self._months: Answers[Spent] = Answers(clock, KEPT, KEPT)
        self._fleets: Answers[Fleet] = Answers(clock, 1, 1)
        self._readings = 0

    def history(self, cluster: str) -> Sequence[Came]:
        """The revisions of a cluster, newest first."""
        return self._histories.find("", cluster, lambda: (self._history(cluster), HISTORY))

    def spent(self, month: str) -> Spent:
        """What clusters cost in a month. Raises ValueError for a text that is none."""
        days.span(month)
        return self._months.find("", month, lambda: (self._spent(month), USAGE))

    def fleet(self) -> Fleet:
        """What the leading replica wrote, as it was a few seconds ago at most. Read only where somebody looks."""
        return self._fleets.find("", "", lambda: (self._fleet(), FLEET))

    def _history(self, cluster: str) -> Sequence[Came]:
        found = history.read(self._client, self._namespace, cluster).get(cluster, ())
        return [
            Came(one.revision, one.admitted, one.applied, one.ready, one.author, one.subject, one.number)
            for one in reversed(found)
        ]

    def _fleet(self) -> Fleet:
        listed = [
            self._client.list("nidus.dev", kind, namespace=self._namespace)[0] for kind in ("NestedCluster", "Source")
        ]
        clusters, sources = map(bodies.read_cluster, listed[0]), map(bodies.read_source, listed[1])
        known = {one.cluster: one for one in clusters}
        asked = requests.load(self._client, self._namespace, dict.fromkeys(known, 0.0), time.time()).standing
        self._readings += 1
        return Fleet(self._readings, known, {one.source: one for one in sources}, tuple(asked))

    def _spent(self, month: str) -> Spent:
        found = usage.read(self._client, self._namespace, lambda day: days.month(day) == month, [month])
        return costs.spent(month, found.days, found.unread)
