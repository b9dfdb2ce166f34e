"""What became of the last deliveries of each source, for people: when, what kind, which refs or change request, the verdict, and the
revision that the sync it asked for has read.

Only signed deliveries have an entry. Of all others only their number is kept, and the time of the last one: strangers can neither write
into the log nor push others out of it.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from webhook.forges import Delivery

LAST = 200  # entries of one source, and syncs that are remembered to find their revision
REFS = 10  # refs of one delivery that are kept
NAME = 200  # characters of a ref that are kept
Verdict = Literal["marked", "nothing to do", "malformed", "not stored"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One signed delivery. `at` in seconds since the epoch; `kind` is "" where it was malformed; `more` refs are not kept; `generation`
    is the sync request it raised, 0 for none; `revision` what the first sync that answered that request has read, "" until then."""

    at: float
    kind: str
    verdict: Verdict
    refs: tuple[str, ...] = ()
    more: int = 0
    number: int = 0
    generation: int = 0
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync: the highest request it answered, and the revision it read."""

    generation: int
    revision: str


@dataclass(frozen=True, slots=True)
class Told:
    """The log of one source: entries and syncs, oldest first; `refused` deliveries that were not signed, the last one at `refused_at`."""

    entries: tuple[Entry, ...] = ()
    syncs: tuple[Sync, ...] = ()
    refused: int = 0
    refused_at: float = 0.0


@dataclass(slots=True)
class _Source:
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=LAST))
    syncs: deque[Sync] = field(default_factory=lambda: deque(maxlen=LAST))
    refused: int = 0
    refused_at: float = 0.0


class Deliveries:
    """The logs of the sources named at the start; thread-safe, bounded, in memory only."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._of = {name: _Source() for name in sources}
        self._lock = threading.Lock()

    def add(self, source: str, at: float, verdict: Verdict, told: Delivery | None = None, generation: int = 0) -> None:
        """One more signed delivery; `told` is None where it was malformed."""
        names = told.refs if told else ()
        kept = tuple(_printable(name)[:NAME] for name in names[:REFS])
        more, number = len(names) - len(kept), told.number if told else 0
        entry = Entry(at, told.kind if told else "", verdict, kept, more, number, generation)
        with self._lock:
            if source in self._of:
                self._of[source].entries.append(entry)

    def refused(self, source: str, at: float) -> None:
        """One more delivery that was not signed."""
        with self._lock:
            if source in self._of:
                self._of[source].refused += 1
                self._of[source].refused_at = at

    def synced(self, source: str, generation: int, revision: str) -> None:
        """A sync of the source ended well: it answered every request up to `generation`. Only the first at a generation counts."""
        with self._lock:
            known = self._of.get(source)
            if known is not None and generation and (not known.syncs or known.syncs[-1].generation < generation):
                known.syncs.append(Sync(generation, revision))

    def told(self) -> dict[str, Told]:
        """Everything, by source."""
        with self._lock:
            found = {name: (tuple(one.entries), tuple(one.syncs), one) for name, one in self._of.items()}
            return {
                name: Told(_resolved(entries, syncs), syncs, one.refused, one.refused_at)
                for name, (entries, syncs, one) in found.items()
            }


def revision_of(generation: int, syncs: Iterable[Sync]) -> str:
    """What the first sync that answered this request has read, "" where there is none yet; `syncs` in any order, also of other replicas."""
    later = [one for one in syncs if one.generation >= generation] if generation else []
    return min(later, key=lambda one: one.generation).revision if later else ""


def _printable(name: str) -> str:
    """A ref may hold any character of Unicode: those that do not print are escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _resolved(entries: tuple[Entry, ...], syncs: tuple[Sync, ...]) -> tuple[Entry, ...]:
    return tuple(replace(one, revision=revision_of(one.generation, syncs)) for one in entries)
