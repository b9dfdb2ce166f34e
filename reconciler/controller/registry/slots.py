"""What each cluster should be, and its record as the next pass will leave it."""

from collections.abc import Sequence

from msgspec import Struct, field

from reconciler.inventory.store import State
from reconciler.memory import Memory
from reconciler.model import (
    Brought,
    Bundle,
    Content,
    Held,
    Record,
    Request,
    Tombstone,
    replace,
)
from reconciler.operations import expiry
from reconciler.operations.situation import since
from reconciler.spec import hosts, resolve
from reconciler.spec.entries import digest


class Slot(Struct, frozen=True):
    """One cluster. `bundle` None: nothing to do until its content can be read (S8), `held` says why.

    `invalid` is the first violation of its own file, while an older version is enforced (V4); `content` is what the
    bundle came from; `put_back` when admission used up what was approved of it last, 0 for never; `tombstone` that of a
    removal that began and is held; `epoch` rises with each new bundle; `brought` as in Record. `would` tells what its newest commit asks
    for, admitted or not: the digest of the bundle, or what `fleet.asks` says where it is held or invalid.
    """

    source: str
    bundle: Bundle | None = None
    held: Held | None = None
    invalid: str = ""
    content: Content | None = None
    put_back: float = 0.0
    tombstone: Tombstone | None = None
    memory: Memory = field(default_factory=Memory)
    epoch: int = 0
    brought: tuple[Brought | int, ...] = ()
    would: str = ""


def stored(record: Record, slot: Slot, bundle: Bundle) -> bool:
    """Whether the record says what was admitted. A removal that is done is the one that was begun."""
    tombstone, admitted = record.tombstone, bundle.tombstone
    if slot.put_back > record.put_back:
        return False
    if admitted is not None or bundle.document is None:
        if tombstone is None or admitted is None:
            return tombstone is admitted
        return tombstone in (admitted, replace(admitted, done=True))
    return tombstone is None and (record.bundle, record.path) == (bundle.digest, bundle.document.path)


def advanced(
    current: State, known: bool, slot: Slot, bundle: Bundle, requests: Sequence[Request], longest: float, now: float
) -> tuple[Record, tuple[Request, ...]]:
    """The record as the next pass will leave it, and the requests of its life. `known`: there is one already."""
    before = current.record if known else None
    record = _taken_up(current.record, slot, bundle, now)
    if before is not None and bundle.tombstone is None and expiry.lived(before):
        record, before = expiry.reborn(record, before, slot.put_back or now), None
    own = since(requests, replace(current, record=record).begun)
    return expiry.recorded(record, before, bundle, own, longest, now), own


def unresolved(record: Record, slot: Slot) -> Record:
    """The record of a cluster without a bundle: what was admitted about its end counts (AD2), of content that cannot be resolved too."""
    if slot.put_back > record.put_back:
        back = replace(record, tombstone=None, put_back=slot.put_back)
        record = expiry.reborn(back, record, slot.put_back) if expiry.lived(record) else back
    record = replace(record, tombstone=slot.tombstone) if slot.tombstone is not None else record
    if slot.content is None:
        return record
    document, at = slot.content.specs.clusters[record.cluster], slot.content.revision
    told = {**record.digests, "deletion": digest(document.cluster.spec.deletion)}
    record = replace(record, source=slot.source, path=document.path, branch=at.branch)
    return replace(record, commit=at.commit, digests=told)


def _taken_up(record: Record, slot: Slot, bundle: Bundle, now: float) -> Record:
    """The record of the content just accepted, or of the tombstone (AD1). One that was read later may have a tombstone that admission
    did not see."""
    back = max(slot.put_back, record.put_back)
    if bundle.document is None or bundle.tombstone is not None:
        ready = "" if bundle.tombstone else record.ready
        return replace(record, tombstone=bundle.tombstone, ready=ready, put_back=back, brought=slot.brought)
    return replace(
        record,
        source=slot.source,
        path=bundle.document.path,
        branch=bundle.revision.branch,
        commit=bundle.revision.commit,
        digests=resolve.digests(bundle.cluster, slot.content) if slot.content else record.digests,
        bundle=bundle.digest,
        inputs=bundle.inputs,
        ready=record.ready if bundle.digest == record.bundle else "",
        tombstone=None,
        put_back=expiry.used_up(record, now) if record.tombstone is not None and back == record.put_back else back,
        hosts=hosts.sorted_names(bundle.document.cluster),
        brought=slot.brought,
    )
