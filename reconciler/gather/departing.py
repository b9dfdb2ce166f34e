"""Packs that left Git with hooks to run (K7): their hooks are read where they were kept. Nothing is asked where none left."""

from collections.abc import Sequence

from reconciler.assignment import Assignment, Facts
from reconciler.errors import LeaseLost, NidusError, Stalled
from reconciler.gather.reader import Reader
from reconciler.model import Bundle, Desired, InventoryEntry
from reconciler.plan import leaving


def read(
    assignment: Assignment, desired: Sequence[Desired], reader: Reader, facts: Facts, now: float
) -> tuple[tuple[Desired, ...], dict[str, str]]:
    """The layers that left, each with its hooks, and why those of others are not known now. One whose Secret somebody deleted leaves
    without hooks; so does one that another layer has taken over."""
    bundle, record = assignment.bundle, assignment.state.record
    entries = leaving.left(bundle, assignment.state.entries)
    found: list[Desired] = []
    unsure: dict[str, str] = {}
    for entry in entries if entries and leaving.due(bundle, record, now) else ():
        try:
            one = _read(entry, bundle, record.nonce, reader, facts)
        except LeaseLost:
            raise
        except NidusError as error:
            one = leaving.unread(entry, bundle)
            unsure[entry.layer] = f"{error.reason}: {error.told}" if isinstance(error, Stalled) else error.told
        if one is not None and not leaving.moved(one, desired):
            found.append(one)
    return tuple(found), unsure


def _read(entry: InventoryEntry, bundle: Bundle, nonce: str, reader: Reader, facts: Facts) -> Desired | None:
    live = reader.client(entry.target).get(entry.ref)
    return leaving.read(live, entry, bundle, nonce, facts.salt) if live is not None else None
