"""The stamps that pushes carry, heard where they arrive: one watch inside, on the API server that all nested clusters share."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import Final

from bench import documents
from bench.scene import Scene
from devhost.api import ApiError

SECONDS: Final = 30.0  # a push that has not arrived by then is lost


@dataclass(frozen=True, slots=True)
class Seen:
    """A value that came to be inside a nested cluster, and when its watch told."""

    cluster: str
    stamp: str
    at: float


def watched(made: Scene) -> queue.Queue[Seen]:
    """Every stamp that arrives from now on, until the plane ends."""
    heard: queue.Queue[Seen] = queue.Queue()
    version = made.inside.list("v1", "ConfigMap", fields="metadata.name=settings-0")["metadata"]["resourceVersion"]
    threading.Thread(target=_watch, args=(made, version, heard), daemon=True).start()
    return heard


def pushed(made: Scene, number: int, stamp: str, heard: queue.Queue[Seen]) -> float:
    """Push a new stamp to a cluster: seconds from the hook until it has it; SECONDS where it does not come, which ends the phase."""
    made.write(documents.path_of(number), documents.cluster(number, stamp))
    made.push(f"stamp {stamp}")
    wanted, ends = (documents.name_of(number), stamp), made.pushed_at() + SECONDS
    while (left := ends - time.time()) > 0:
        try:
            seen = heard.get(timeout=left)
        except queue.Empty:
            break
        if (seen.cluster, seen.stamp) == wanted:
            return seen.at - made.pushed_at()
    return SECONDS


def _watch(made: Scene, version: str, heard: queue.Queue[Seen]) -> None:
    try:
        for kind, item in made.inside.watch("v1", "ConfigMap", version, seconds=3600):
            if kind in ("ADDED", "MODIFIED") and item["metadata"]["name"] == "settings-0":
                cluster = item["metadata"]["namespace"].removesuffix("-web")
                heard.put(Seen(cluster, item["data"]["stamp"], time.time()))
    except ApiError:
        return  # the scene is over; a watch that broke off earlier shows as a push that is never seen
