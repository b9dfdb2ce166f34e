"""The content that is in the store, as renders read it."""

from collections.abc import Collection

from reconciler.model import Remote, remote_of
from reconciler.packs.content import oci
from reconciler.packs.content.store import Store


def split(oids: Collection[str], store: Store) -> tuple[dict[str, bytes], list[Remote]]:
    """The bytes that are here by id, and the content that is not. Raises Unavailable where the disk fails."""
    found, missing = {}, []
    for oid in oids:
        remote = remote_of(oid)
        data = _bytes(remote, store)
        if data is None:
            missing.append(remote)
        else:
            found[oid] = data
    return found, missing


def use(oids: Collection[str], store: Store) -> None:
    """Note that layers name these: they are kept."""
    for remote in map(remote_of, oids):
        if store.unnoted(remote.digest):
            manifest = store.get(remote.digest) if remote.kind == "oci" else None
            store.used(remote.digest)
            if manifest is not None:
                store.used(oci.chart_of(manifest, remote.address))


def _bytes(remote: Remote, store: Store) -> bytes | None:
    """Of a chart in a registry, its archive: the manifest names it."""
    found = store.get(remote.digest)
    if found is None or remote.kind != "oci":
        return found
    return store.get(oci.chart_of(found, remote.address))
