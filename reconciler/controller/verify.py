"""Compares what is remembered of the home cluster with the objects there, and corrects it where it differs."""

from collections.abc import Callable
from dataclasses import replace

from reconciler.controller import briefs
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.errors import Stalled
from reconciler.inventory.store import Store
from reconciler.model import Held, Revision
from reconciler.report import Reporter

EVERY = 60.0  # seconds between two comparisons, by metadata
WHOLLY = 10  # every tenth comparison reads whole objects
AGAIN = 15.0  # seconds between two looks at a record that cannot be read


def held(error: Stalled) -> Held:
    """Why a cluster with an unreadable record waits for a human, and what to do."""
    return Held(error.reason, error.told)


def tell(reporter: Reporter, registry: Registry) -> None:
    """Report every cluster whose record cannot be read: no source may name it, so nothing else would."""
    for name, why in registry.unreadable().items():
        known = reporter.told(name)
        report = briefs.failed(name, Revision("", ""), Stalled(why.message, reason=why.reason))
        source, file = (known.source, known.file) if known else ("", "")
        reporter.cluster(report, source=source, path=file, seconds=0.0, extra={})


def records(store: Store, registry: Registry, queue: Queue) -> None:
    """Compare the version of every record with the one remembered: the next pass writes those that changed or are gone.

    Raises ApiError.
    """
    states = registry.states()  # before the list: what is written meanwhile is newer than both
    versions = store.versions()
    for name, state in states.items():
        if state.base is None or versions.get(name) == state.base.version:
            continue
        if not registry.doubt(name, state.base.version):
            continue
        if registry.worked_on(name):
            queue.add(name)
        else:  # no pass writes it: the cluster is removed with policy Retain, or its content cannot be read
            registry.keep(store.write(replace(state, base=None)))


def unreadable(store: Store, registry: Registry, mended: Callable[[str], None]) -> None:
    """Read the unreadable records again; `mended` is called for each that can be read now or that a human deleted.
    Raises ApiError."""
    for name in registry.unreadable():
        try:
            state = store.read(name)
        except Stalled:
            continue
        registry.mended(name, state)
        mended(name)
