"""The content that is in the store, as renders read it."""

from collections.abc import Collection

from reconciler.model import Remote, remote_of
from reconciler.packs.content import kinds, oci
from reconciler.packs.content.access import refused
from reconciler.packs.content.fetch import LARGEST
from reconciler.packs.content.store import Store


def split(oids: Collection[str], store: Store) -> tuple[dict[str, bytes], list[Remote]]:
    """The bytes that are here by id, and the content that is not. Each content is in memory once, however often it is named.

    Raises Stalled(ContentRefused) where the files are more than LARGEST bytes together, each counted as often as it is named, and
    before one is read; Unavailable where the disk fails.
    """
    needed = {oid: parts(remote_of(oid), store) for oid in oids}
    if sum(store.size(one) for each in needed.values() for one in each) > LARGEST:
        told = f"the content of one layer is larger than {LARGEST >> 20} MiB together"
        raise refused(told, "make several packs of it")
    bodies = {one: store.get(one) for one in {one for each in needed.values() for one in each}}
    found = {
        oid: data for oid, each in needed.items() if (data := _joined(oid, [bodies[one] for one in each])) is not None
    }
    return found, [remote_of(oid) for oid in needed if oid not in found]


def _joined(oid: str, bodies: list[bytes | None]) -> bytes | None:
    """The bytes as a render gets them: of a signature all its parts. None where some are not here."""
    whole = [one for one in bodies if one is not None]
    if not whole or len(whole) < len(bodies):
        return None
    return kinds.of(remote_of(oid)).joined(whole)


def use(oids: Collection[str], store: Store) -> None:
    """Note that layers name these: they are kept."""
    for remote in map(remote_of, oids):
        if store.unnoted(remote.digest):
            for one in {remote.digest, *parts(remote, store)}:
                store.used(one)


def parts(remote: Remote, store: Store) -> tuple[str, ...]:
    """The digests of the files; of a chart in a registry that of its archive, of signatures those of their manifest and of what it names.
    Nothing where the manifest is not here."""
    if not remote.in_registry:
        return (remote.digest,)
    if store.size(remote.digest) > oci.MANIFEST_SIZE:
        raise refused(f"{remote.address}: what has this digest is no manifest")
    manifest = store.get(remote.digest)
    if manifest is None:
        return ()
    named = kinds.named(remote, manifest)
    return (remote.digest, *named) if kinds.of(remote).whole else tuple(named)
