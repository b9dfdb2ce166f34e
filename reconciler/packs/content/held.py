"""The content that is in the store, as renders read it."""

from collections.abc import Collection

from reconciler.model import Remote, remote_of
from reconciler.packs.content.store import Store


def split(oids: Collection[str], store: Store) -> tuple[dict[str, bytes], list[Remote]]:
    """The bytes that are here by id, and the content that is not. Raises Unavailable where the disk fails."""
    found, missing = {}, []
    for oid in oids:
        remote = remote_of(oid)
        data = store.get(remote.digest)
        if data is None:
            missing.append(remote)
        else:
            found[oid] = data
    return found, missing


def use(oids: Collection[str], store: Store) -> None:
    """Note that layers name these: they are kept."""
    for oid in oids:
        store.used(remote_of(oid).digest)
