"""How much of the content store each source uses, so that one of several cannot fill it for all (K3)."""

import threading
import time
from collections.abc import Collection

from reconciler.errors import Unavailable
from reconciler.model import remote_of
from reconciler.packs.content import held
from reconciler.packs.content.store import USED, Store


class Shares:
    """What sources named lately. Thread-safe. A hint only: after a start it is empty, and filled by the first passes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: dict[str, dict[str, float]] = {}

    def note(self, source: str, oids: Collection[str], store: Store) -> None:
        """A layer of the source names these; "" is nobody in particular. Raises as `held.split`."""
        now = time.monotonic()
        with self._lock:
            known = self._named.get(source, {})
            fresh = [oid for oid in oids if now - known.get(remote_of(oid).digest, -USED) > USED / 10]
        for remote in map(remote_of, fresh):
            digests = dict.fromkeys((remote.digest, *held.parts(remote, store)), now)
            with self._lock:
                self._named.setdefault(source, {}).update(digests)

    def check(self, digest: str, most: int, store: Store) -> None:
        """Raises Unavailable(ContentStoreFull) where each source that names this content uses `most` bytes or more without it."""
        since = time.monotonic() - USED
        with self._lock:
            for source, named in self._named.items():
                self._named[source] = {one: at for one, at in named.items() if at > since}
            asking = [set(named) - {digest} for named in self._named.values() if digest in named]
        if asking and all(sum(map(store.size, names)) >= most for names in asking):
            told = f"its source uses {most >> 20} MiB of the content store, which is its share"
            raise Unavailable(told, reason="ContentStoreFull", hint="spec.content.store", after=60.0)
