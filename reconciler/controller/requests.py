"""Reads the requests of people: a round lists them once, however many events came."""

import time
from collections.abc import Callable, Iterable, Mapping

from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.errors import few
from reconciler.inventory import requests
from reconciler.kube.client import Client
from reconciler.model import Request
from reconciler.plan import consent

EVERY = 3600.0  # seconds between two rounds without an event: requests expire
AT_ONCE = 500  # requests deleted in one round; their deletion asks for another one
SHOWN = 3  # persons named


def heard(
    client: Client,
    namespace: str,
    registry: Registry,
    queue: Queue,
    wake: Callable[[], None],
    tell: Callable[[str], None],
) -> None:
    """One round: changed requests wake the clusters they concern, and admission where one may approve a removal or moves an end.
    Requests without effect are deleted.

    `wake` lets every source admit its tree again; `tell` is called where somebody has more requests than may stand. Raises
    ApiError; the next round does what is left.
    """
    now = time.time()
    before, read = registry.requests(), requests.load(client, namespace, registry.known(), now)
    for key in registry.hear(read.standing):
        queue.forget(key)
        queue.add(key)
    if _speak(set(read.standing) - set(before), now):
        wake()
    if read.left:
        tell(left_out(read.left))
    for old in read.spent[:AT_ONCE]:
        requests.remove(client, namespace, old)


def left_out(left: Mapping[str, int]) -> str:
    """What is told of requests that are left out."""
    most = sorted(left, key=lambda who: (-left[who], who))
    named = few([f"{who} ({left[who]})" for who in most], SHOWN)
    return f"requests beyond the newest of each person have no effect and are deleted: {named}"


def _speak(new: Iterable[Request], now: float) -> bool:
    """Whether one of them is an approval that has not expired, or an extension: it may approve what admission holds, or use up what was
    approved."""
    return any(one.kind == "extend" or consent.stands(one, now) for one in new)
