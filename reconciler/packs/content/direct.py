"""Fetching at once, for verbs: what is not in the store is fetched first, or with `offline` named."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection

from reconciler.errors import Fetching, NidusError, Stalled
from reconciler.model import Remote
from reconciler.packs.content import ABSENT, held
from reconciler.packs.content.fetch import Means, bring

_OTHERS = 60.0  # seconds another process is waited for
_LOOK = 0.2


class Direct:
    """Thread-safe. `progress` is told of each piece and how many bytes of it are here."""

    def __init__(self, means: Means, *, offline: bool = False, progress: Callable[[Remote, int], None]) -> None:
        self._means, self._offline, self._progress = means, offline, progress
        self._lock = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def read(self, oids: Collection[str], cluster: str) -> dict[str, bytes]:
        """As `Content.read`, but that it waits: Fetching is never raised. Raises Stalled(ContentAbsent) with `offline`."""
        found, missing = held.split(oids, self._means.store)
        if missing and self._offline:
            hint = "without --offline it is fetched"
            raise Stalled(f"{missing[0]} is not in the content store", reason=ABSENT, hint=hint)
        for remote in missing:
            self.bring(remote)
        return found | held.split([one.oid for one in missing], self._means.store)[0]

    def used(self, oids: Collection[str], source: str) -> None:
        """As `Content.used`."""
        held.use(oids, self._means.store)

    def bring(self, remote: Remote) -> None:
        """Fetch one piece, whatever `offline` says. Raises Stalled."""
        with self._lock:
            lock = self._locks[remote.oid]
        with lock:
            ends = time.monotonic() + _OTHERS
            while not self._brought(remote, ends):
                time.sleep(_LOOK)

    def _brought(self, remote: Remote, ends: float) -> bool:
        try:
            bring(remote, self._means, lambda size: self._progress(remote, size))
        except Fetching as error:
            if time.monotonic() < ends:
                return False
            raise _ended(error) from error
        except NidusError as error:
            raise _ended(error) from error
        return True


def _ended(error: NidusError) -> Stalled:
    """A verb does not try again: whoever called it does."""
    return error if isinstance(error, Stalled) else Stalled(error.message, reason=error.reason, hint=error.hint)
