"""Waits until a controller has nothing left to do: for `nidus sync` without one that runs."""

import time
from collections.abc import Callable

from reconciler.controller.service import Service

ENDS = frozenset({"Ready", "Suspended", "Asleep", "Held", "Invalid"})  # words that do not pass by themselves


def settled(service: Service, seconds: float, progress: Callable[[str], None] = lambda text: None) -> bool:
    """Wait at most `seconds` until every cluster is Ready, or until those that are not wait for a human. Returns whether all are
    Ready. `progress` is called with what is new of a cluster."""
    deadline, told = time.monotonic() + seconds, dict[str, str]()
    while service.sources is not None and time.monotonic() < deadline:
        views = service.reporter.clusters.copy()
        for name, view in views.items():
            if told.get(name) != view.word:
                told[name] = view.word
                progress(f"{name} {view.word}")
        known = not service.sources.unread() and len(views) >= len(service.registry.names())
        if known and {view.word for view in views.values()} <= ENDS and service.queue.depth() == (0, 0):
            return {view.word for view in views.values()} <= {"Ready", "Suspended", "Asleep"}
        time.sleep(0.1)
    return False
