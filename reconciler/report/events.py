"""Kubernetes Events on the status objects of ours: one a transition, sent by a thread of its own so that no pass waits for them."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from reconciler.errors import NidusError
from reconciler.kube.client import Client
from reconciler.report import bugs, log
from reconciler.report.transitions import Transition

LIMIT = 1000  # waiting events; beyond that the oldest is dropped and only in the log
CONTROLLER = "nidus"  # the name of the Lease
NOTE = 1000  # bytes an Event's note may have


class Events:
    """Sends events in the background; `close` gives the last ones two seconds. `uid` is that of a cluster's status object, "" where
    there is none: `kubectl describe` finds Events by it."""

    def __init__(self, client: Client, namespace: str, instance: str, uid: Callable[[str], str]) -> None:
        self._client = client
        self._namespace = namespace
        self._instance = instance
        self._uid = uid
        self._queue: queue.Queue[Transition | None] = queue.Queue(LIMIT)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def transition(self, one: Transition) -> None:
        try:
            self._queue.put_nowait(one)
        except queue.Full:
            log.line("EventDropped", cluster=one.cluster, reason=one.reason)

    def close(self) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(2.0)

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            try:
                self._client.create(self._body(one))
            except NidusError as error:
                log.line("EventFailed", cluster=one.cluster, message=error.message)
            except Exception as error:  # one failed event must not end the thread
                bugs.tell("event", error, one.cluster)

    def _body(self, one: Transition) -> dict[str, Any]:
        now = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now // 1000 % 10**6:06d}Z"
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{one.cluster or CONTROLLER}.{now:x}", "namespace": self._namespace},
            "eventTime": stamp,
            "reportingController": "nidus.dev/nidus",
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "reason": one.reason[:128],
            "regarding": self._regarding(one.cluster),
            "note": (f"{one.message} ({one.revision})" if one.revision else one.message)[:NOTE],
            "type": "Warning" if one.warning else "Normal",
        }
        return dict(log.shown(body))

    def _regarding(self, cluster: str) -> dict[str, str]:
        """A cluster's status object; for "" the controller itself, which its Lease stands for."""
        if not cluster:
            head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": CONTROLLER}
            return {**head, "namespace": self._namespace}
        head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "NestedCluster", "name": cluster}
        uid = self._uid(cluster)
        return {**head, "namespace": self._namespace, **({"uid": uid} if uid else {})}
