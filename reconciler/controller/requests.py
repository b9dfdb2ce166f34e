"""The requests of people, taken as they are now: a round lists them once, however many events there were."""

import time
from collections.abc import Callable, Iterable

from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.inventory import requests
from reconciler.kube.client import Client
from reconciler.model import Request

EVERY = 3600.0  # seconds between two rounds that nobody asked for: requests expire


def heard(client: Client, namespace: str, registry: Registry, queue: Queue, wake: Callable[[], None]) -> None:
    """One round: what changed wakes the clusters it concerns, and admission where it may approve a removal. Spent ones are removed.

    `wake` lets every source admit its tree once more. Raises ApiError; what is not done then is done by the next round.
    """
    now = time.time()
    before, found = registry.requests(), requests.load(client, namespace)
    for key in registry.hear(found):
        queue.forget(key)
        queue.add(key)
    if _speak(set(found) - set(before), now):
        wake()
    for old in requests.spent(found, now):
        requests.remove(client, namespace, old)


def _speak(new: Iterable[Request], now: float) -> bool:
    """Whether one of them may approve what admission holds: an approval that has not expired."""
    return any(one.kind == "approve" and (not one.expires or one.expires > now) for one in new)
