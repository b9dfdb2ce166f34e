"""Only one process writes (H1): one Lease, our own election, a check ("fence") before every write.

Time is CLOCK_BOOTTIME, which goes on while the machine sleeps. Clocks of other machines are not used: a holder counts
as gone when its Lease did not change for its whole duration by our clock (F16). We stop writing two thirds of the
duration after our last successful renewal began, so that a running write ends before another holder can begin (M16,
F17).
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from reconciler import jitter
from reconciler.errors import ApiError, ErrorClass, LeaseLost
from reconciler.kube.client import Client
from reconciler.model import Object, ObjectRef

GROUP = "coordination.k8s.io"
LEASE = "nidus"
HOPELESS = frozenset(
    {ErrorClass.DENIED, ErrorClass.UNAUTHENTICATED, ErrorClass.KIND_MISSING, ErrorClass.NAMESPACE_MISSING}
)


def boottime() -> float:
    """Seconds since the machine started, suspend included."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """One Lease object; `client` must be one without this fence. `on_lost` is called once, from the renewing thread.

    `on_lost` is meant to end the process at once: whatever else runs then must not write any more. `answered` is set once the
    API server was asked for the Lease and answered, whoever holds it.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        duration: float = 15.0,
        *,
        on_lost: Callable[[str], None],
        clock: Callable[[], float] = boottime,
    ) -> None:
        self._client = client.within(duration / 5)  # a call that hangs must not use up the time to renew
        self._ref = ObjectRef(GROUP, "Lease", namespace, name)
        self._identity = identity
        self._duration = duration
        self._on_lost = on_lost
        self._clock = clock
        self.answered = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._held: Object | None = None
        self._until = 0.0
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last read."""
        return self._seen[0]

    def held(self) -> bool:
        """Whether this process may write now."""
        return self._held is not None and self._clock() < self._until

    def fence(self) -> None:
        """Raise LeaseLost unless this process may write now."""
        if not self.held():
            raise LeaseLost(f"the Lease {self._ref.name} is not held by this process any more")

    def acquire(self, wait: float | None = None, waiting: Callable[[str], None] = lambda holder: None) -> bool:
        """Try for `wait` seconds (None: until `release`), then keep the Lease renewed in a thread. False: another holds it.
        `waiting` is called with each holder that is waited for.

        While the API server does not answer, this waits as for another holder.
        """
        ends, told = None if wait is None else self._clock() + wait, ""
        while not self._stopped.is_set():
            if self._tried():
                thread = threading.Thread(target=self._renew, name="lease", daemon=True)
                thread.start()
                self._thread = thread  # only now: `release` may come at any moment and joins it
                return True
            if ends is not None and self._clock() >= ends:
                return False
            if self.holder and self.holder != told:
                told = self.holder
                waiting(told)
            pause = self._duration / 7 * jitter.between(0.8, 1.2)
            self._stopped.wait(pause if ends is None else min(pause, max(ends - self._clock(), 0.01)))
        return False

    def release(self, *, give_back: bool = True) -> None:
        """Close the fence and give the Lease back, so that another process need not wait for it.

        `give_back` False: a write of ours may still be under way, so the Lease runs out by itself (H1).
        """
        self._stopped.set()
        if self._thread:
            self._thread.join(self._duration)
        held, self._held = self._held, None
        if held is not None and give_back:
            with suppress(ApiError):  # it runs out by itself
                self._client.replace(self._record(held, "", 1))

    # Election

    def _tried(self) -> bool:
        started = self._clock()
        try:
            live = self._client.get(self._ref)
            self.answered.set()
            if live is None:
                return self._hold(self._client.create(self._record(None, self._identity, self._duration)), started)
            if not self._is_free(live):
                return False
            return self._hold(self._client.replace(self._record(live, self._identity, self._duration)), started)
        except ApiError as error:
            if error.kind in HOPELESS:
                raise  # waiting does not help
            return False

    def _is_free(self, live: Object) -> bool:
        """Whether nobody holds it: released, or unchanged for its whole duration by our own clock."""
        spec: Any = live.get("spec") or {}
        seen = (str(spec.get("holderIdentity") or ""), str(live["metadata"]["resourceVersion"]))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        lasts = float(spec.get("leaseDurationSeconds") or self._duration)
        return not seen[0] or self._clock() - self._seen_at >= lasts

    def _hold(self, answer: Object, started: float) -> bool:
        self._held = answer
        self._until = started + self._duration * 2 / 3
        self._seen = (self._identity, str(answer["metadata"]["resourceVersion"]))
        return True

    # Holding

    def _renew(self) -> None:
        pause = self._duration / 5
        while not self._stopped.wait(pause):
            try:
                pause = self._duration / (5 if self._renewed() else 15)
            except LeaseLost as lost:
                self._held = None
                self._on_lost(lost.message)
                return

    def _renewed(self) -> bool:
        """Renew once; False when the API server did not let us this time. Raises LeaseLost when the Lease is gone."""
        started = self._clock()
        if started >= self._until:
            raise LeaseLost(f"the Lease {self._ref.name} could not be renewed in time")
        try:
            held = self._held or {}
            return self._hold(self._client.replace(self._record(held, self._identity, self._duration)), started)
        except ApiError as error:
            if error.kind is ErrorClass.RACED:
                self._look()
            return False

    def _look(self) -> None:
        """The Lease was written: by our own renewal whose answer was lost, or by another holder."""
        try:
            live = self._client.get(self._ref)
        except ApiError:
            return
        holder = str((live or {}).get("spec", {}).get("holderIdentity") or "nobody")
        if live is None or holder != self._identity:
            raise LeaseLost(f"the Lease {self._ref.name} is held by {holder}")
        self._held = live

    def _record(self, live: Object | None, holder: str, duration: float) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = dict((live or {}).get("spec") or {})
        if spec.get("holderIdentity") != holder:
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if live and holder else 0)
            spec["acquireTime"] = now
        spec |= {"holderIdentity": holder, "leaseDurationSeconds": max(1, round(duration)), "renewTime": now}
        metadata: Any = (live or {}).get("metadata") or {"name": self._ref.name, "namespace": self._ref.namespace}
        return {"apiVersion": f"{GROUP}/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
