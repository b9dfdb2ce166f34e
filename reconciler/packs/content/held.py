"""The content that is in the store, as renders read it."""

from collections.abc import Collection

from reconciler.model import Remote, remote_of
from reconciler.packs.content import oci
from reconciler.packs.content.access import refused
from reconciler.packs.content.fetch import LARGEST
from reconciler.packs.content.store import Store


def split(oids: Collection[str], store: Store) -> tuple[dict[str, bytes], list[Remote]]:
    """The bytes that are here by id, and the content that is not. Each content is in memory once, however often it is named.

    Raises Stalled(ContentRefused) where the files are more than LARGEST bytes together, each counted as often as it is named, and
    before one is read; Unavailable where the disk fails.
    """
    digests = {oid: digest(remote_of(oid), store) for oid in oids}
    if sum(map(store.size, filter(None, digests.values()))) > LARGEST:
        told = f"the content of one layer is larger than {LARGEST >> 20} MiB together"
        raise refused(told, "make several packs of it")
    bodies = {one: store.get(one) for one in set(filter(None, digests.values()))}
    found = {oid: data for oid, one in digests.items() if (data := bodies.get(one)) is not None}
    return found, [remote_of(oid) for oid in digests if oid not in found]


def use(oids: Collection[str], store: Store) -> None:
    """Note that layers name these: they are kept."""
    for remote in map(remote_of, oids):
        if store.unnoted(remote.digest):
            for one in filter(None, {remote.digest, digest(remote, store)}):
                store.used(one)


def digest(remote: Remote, store: Store) -> str:
    """The digest of the file; of a chart in a registry that of its archive, "" where the manifest that names it is not here."""
    if remote.kind != "oci":
        return remote.digest
    if store.size(remote.digest) > oci.MANIFEST_SIZE:
        raise refused(f"{remote.address}: what has this digest is no manifest")
    manifest = store.get(remote.digest)
    return oci.chart_of(manifest, remote.address) if manifest is not None else ""
