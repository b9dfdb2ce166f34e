"""What runs inside nested clusters, for pages of the dashboard: read on demand from few nested API servers at a time, with a deadline,
and remembered for a moment. Nothing of it is read in the background."""

import threading
import time
from collections.abc import Callable
from typing import Final

from reconciler.controller.answers import Answers
from reconciler.errors import ApiError, LeaseLost, NidusError, Stalled, Unavailable
from reconciler.inventory.store import Store
from reconciler.kube.client import Client
from reconciler.kube.targets import Targets
from reconciler.model import Target
from reconciler.report.workloads import KINDS, Inside, row

ANSWER: Final = 2.0  # seconds for one answer
SECONDS: Final = 5.0  # for all of them
KEPT: Final = 10.0  # seconds
AT_ONCE: Final = 3  # clusters that are read
CLUSTERS: Final = 20  # that are remembered
EACH: Final = 200  # objects of a kind


class Insides:
    """Reads as the controller. `direct`: whether this process can dial Services of the host. Thread-safe: while one thread reads a
    cluster, no other one waits for it, so that a server that hangs holds one."""

    def __init__(
        self, client: Client, namespace: str, *, direct: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._namespace, self._direct, self._clock = client, namespace, direct, clock
        self._lock, self._reading = threading.Lock(), set[str]()
        self._known: Answers[Inside] = Answers(clock, CLUSTERS, CLUSTERS)

    def workloads(self, cluster: str, kind: str = "") -> Inside:
        """What runs there, of one kind or of all. Where it cannot be read, `notes` says why. Raises Unavailable while it is
        read already, and while as many others are as may be."""
        known = self._known.last("", (cluster, kind))
        if known is not None and self._clock() < known[0]:
            return known[1]
        self._begin(cluster)
        try:
            return self._known.find("", (cluster, kind), lambda: (self._read(cluster, kind), KEPT))
        finally:
            with self._lock:
                self._reading.remove(cluster)

    def _begin(self, cluster: str) -> None:
        with self._lock:
            if cluster in self._reading:
                raise Unavailable("it is being read at the moment")
            if len(self._reading) >= AT_ONCE:
                raise Unavailable("other clusters are being read at the moment")
            self._reading.add(cluster)

    def _read(self, cluster: str, kind: str) -> Inside:
        targets = Targets(self._client, inside=self._direct, fence=_refuse, deadline=ANSWER)
        try:
            inside = targets.client(Target("", cluster), self._home(cluster)).budgeted(SECONDS)
            return _rows(inside, (kind,) if kind else tuple(KINDS))
        except NidusError as error:
            return Inside((), (f"it cannot be read: {error.message}",))
        finally:
            targets.forget_all()

    def _home(self, cluster: str) -> str:
        """Its host namespace, as its record has it. Raises Stalled where there is none."""
        state = Store(self._client, self._namespace).read(cluster)
        entries = state.entries if state is not None else ()
        for entry in entries:
            if entry.ref.kind == "Namespace" and not entry.target.nested:
                return entry.ref.name
        raise Stalled("it has no namespace yet")


def _rows(client: Client, kinds: tuple[str, ...]) -> Inside:
    """The rows of these kinds. Raises ApiError where the server answers nothing at all."""
    rows, notes = list[Inside](), list[str]()
    for kind in kinds:
        try:
            found = [row(one) for one in client.some(KINDS[kind][0], kind, namespace="", limit=EACH)]
        except ApiError as error:
            if not rows:
                raise
            notes.append(f"{kind}: {error.message}")
            continue
        rows.append(Inside(tuple(sorted(found, key=lambda one: (one.namespace, one.name)))))
        notes += [f"{kind}: the first {EACH} are shown"] if len(found) == EACH else []
    return Inside(tuple(one for each in rows for one in each.rows), tuple(notes))


def _refuse() -> None:
    raise LeaseLost("pages write nothing")
