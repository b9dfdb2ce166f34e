"""Compares what is remembered of the home cluster with the objects there, and corrects it where it differs."""

from collections.abc import Callable, Collection
from functools import partial

from reconciler.controller import border, briefs
from reconciler.controller.queue import Queue
from reconciler.controller.registry import Registry
from reconciler.errors import LeaseLost, NidusError, Stalled
from reconciler.inventory.store import State, Store, unread
from reconciler.model import Revision
from reconciler.report import Reporter
from reconciler.report.view import Place

EVERY = 600.0  # seconds between two whole comparisons; what a watch shows is compared at once
AGAIN = 15.0  # seconds between two looks at a record that cannot be read


def tell(reporter: Reporter, registry: Registry, before: Collection[str] = ()) -> None:
    """Report every cluster whose record cannot be read, but for those of `before`: no source may name it, so nothing
    else would."""
    for name, why in registry.unreadable().items():
        if name in before:
            continue
        known = reporter.told(name)
        report = briefs.failed(name, Revision("", ""), Stalled(why.message, reason=why.reason))
        source, file = (known.source, known.file) if known else ("", "")
        reporter.cluster(report, Place(source, file))


def each(name: str, *parts: Callable[[], None]) -> None:
    """Do every part of the round `name`, also after one has failed; then raise the first error. LeaseLost ends it at once."""
    errors: list[NidusError] = []
    for part in parts:
        try:
            with border.contained(name):
                part()
        except LeaseLost:
            raise
        except NidusError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def records(
    store: Store,
    registry: Registry,
    queue: Queue,
    found: Callable[[str], None] = lambda name: None,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Compare the records with the remembered ones, in both directions, and correct what differs.

    A record that changed or is gone is written by the next pass, or here where no pass writes it; `found` is called for
    each that memory lacks: a host restored to before a removal has it. `alive` is called between two requests. Raises
    the first NidusError, after all were tried.
    """
    states = registry.states()  # before the list: what is written meanwhile is newer than both
    versions = store.versions()
    wrong = [name for name, state in states.items() if state.base is None or versions.get(name) != state.base.version]
    lacking = sorted(versions.keys() - states.keys() - registry.unreadable().keys())
    each(
        "records",
        *(partial(_corrected, store, registry, queue, name, states[name], alive) for name in wrong),
        *(partial(_taken_up, store, registry, queue, name, found, alive) for name in lacking),
    )


def _corrected(
    store: Store, registry: Registry, queue: Queue, name: str, seen: State, alive: Callable[[], None]
) -> None:
    """Have a record written that is not stored as remembered. Tried in every round until it is. Raises NidusError."""
    alive()
    state = registry.doubt(name, seen)
    if state is None:
        return
    if registry.worked_on(name):
        if seen.base is not None:  # else a pass was asked for already, and tries again by itself
            queue.add(name)
    else:  # no pass writes it: the cluster is removed, and its data was retained
        registry.stored(state, store.write(state))


def _taken_up(
    store: Store,
    registry: Registry,
    queue: Queue,
    name: str,
    found: Callable[[str], None],
    alive: Callable[[], None],
) -> None:
    """Keep a record that memory lacks. One that cannot be read takes its name. Raises ApiError."""
    alive()
    try:
        state = store.read(name)
    except Stalled as error:
        registry.unread(name, unread(error))
        return
    if state is None or not registry.adopt(state):
        return
    if registry.worked_on(name):  # its file came back before: its passes took the record for somebody else's
        queue.forget(name)
        queue.add(name)
    found(name)


def unreadable(store: Store, registry: Registry, mended: Callable[[str], None]) -> None:
    """Read the unreadable records again; `mended` is called for each that can be read now or that a human deleted.
    Raises the first NidusError, after all were tried."""
    each("records", *(partial(_read_again, store, registry, name, mended) for name in registry.unreadable()))


def _read_again(store: Store, registry: Registry, name: str, mended: Callable[[str], None]) -> None:
    try:
        state = store.read(name)
    except Stalled:
        return
    registry.mended(name, state)
    mended(name)
