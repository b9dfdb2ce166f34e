"""Reads the requests of people: a round lists them once, however many events came."""

import time
from collections.abc import Callable, Iterable

from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.inventory import requests
from reconciler.kube.client import Client
from reconciler.model import Request

EVERY = 3600.0  # seconds between two rounds without an event: requests expire


def heard(client: Client, namespace: str, registry: Registry, queue: Queue, wake: Callable[[], None]) -> None:
    """One round: changed requests wake the clusters they concern, and admission where one may approve a removal.
    Requests without effect are deleted.

    `wake` lets every source admit its tree again. Raises ApiError; the next round does what is left.
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
    """Whether one of them is an approval that has not expired: it may approve what admission holds."""
    return any(one.kind == "approve" and (not one.expires or one.expires > now) for one in new)
