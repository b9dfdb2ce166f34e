"""Clusters whose time is over while their file is in Git (O6), and documents that bring an end near (AD2)."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from reconciler.fleet.approvals import goes
from reconciler.fleet.situation import CLUSTER, Situation
from reconciler.model import ClusterDocument, Content, Held, Tombstone, replace
from reconciler.operations import expiry
from reconciler.plan.lines import stamp
from reconciler.spec import units


def hastened(situation: Situation) -> tuple[str, ...]:
    """The clusters that this revision would end within a day, by a ttl that it sets or lowers, or whose end within a day it makes
    harsher; whose end at any time, where nothing goes that nobody reviewed. Also of a cluster whose file it puts back, and of what was
    retained of one."""
    found = []
    for name in situation.present:
        after = situation.snapshot.specs.clusters.get(name)
        record = situation.holding.get(name) if expiry.ttl_of(after) else None
        if record is None or after is None or (expiry.over(record) and not expiry.raised(record, after)):
            continue
        if expiry.hastened(record, situation.accepted_document(name), after, situation.rules, situation.now):
            found.append(name)
    return tuple(found)


def asked(situation: Situation, name: str) -> str:
    """One such end as approved: of a cluster whose file is put back as it is once that is done."""
    record = situation.holding[name]
    if expiry.leaving(record):
        record = replace(record, put_back=expiry.used_up(record, situation.now))
    ttl = situation.snapshot.specs.clusters[name].cluster.spec.deletion.ttl
    return goes("end", record, f"ttl {ttl} {how(situation, name)}")


def how(situation: Situation, name: str) -> str:
    """What its end does by the document of this revision: `Delete after 24h`, or `protected`."""
    document = situation.snapshot.specs.clusters[name]
    deletion = document.cluster.spec.deletion
    if deletion.protect:
        return "protected"
    return f"{deletion.policy} after {units.lasting(expiry.grace_of(document, situation.rules))}"


def put_off(situation: Situation, name: str, after: ClusterDocument) -> bool:
    """Whether a document calls the end of a cluster off, or moves it further away."""
    record = situation.mine.get(name)
    return record is not None and expiry.put_off(record, situation.accepted_document(name), after)


def waits(situation: Situation, admitted: Mapping[str, Content], held: Mapping[str, Held]) -> dict[str, Held]:
    """What is held of the clusters whose end waits, where it would go by another document than the newest (O6): that one puts the end
    off, protects the cluster or destroys less, or cannot be read; or its file left, and the removal is held."""
    found = {}
    for name, record in situation.mine.items():
        content = admitted.get(name)
        by = content.specs.clusters[name] if content is not None else situation.accepted_document(name)
        if record.expiry is None or by is None or not expiry.ttl_of(by):
            continue
        why = _why(situation, name, by, held)
        if why:
            found[name] = _held(f"its end waits, because {why}", held.get(name))
    return found


def _held(told: str, held: Held | None) -> Held:
    """With what is held anyway, which says what to do."""
    if held is None:
        return Held("EndWaits", told, stalls=True, end=told)
    return replace(held, message=f"{held.message}; {told}", end=f"{told}: {held.message}")


def begun(situation: Situation, names: Iterable[str]) -> frozenset[str]:
    """Those whose end is being carried out: where it waits, nothing of them is made again (V4)."""
    graves = {name: situation.mine[name].tombstone for name in names}
    return frozenset(name for name, one in graves.items() if one is not None and one.expired)


def due(situation: Situation, admitted: Mapping[str, Content], held: Mapping[str, Held]) -> dict[str, Tombstone]:
    """The removal of every cluster whose grace period after its end is over, by the document that is `admitted`, but those `held` whose
    end `waits`. It needs no approval: what brought its end near, or made it harsher, was approved, or is not admitted."""
    found = {}
    for name, document, when in _ended(situation, admitted):
        waiting = name in held and held[name].end
        if waiting or expiry.stays(document, situation.now) or when > situation.now:
            continue
        policy, standing = document.cluster.spec.deletion.policy, situation.mine[name].tombstone
        fresh = Tombstone(situation.now, situation.now, policy, protect=False, expired=True)
        found[name] = standing if standing is not None and standing.expired else fresh
    return found


def times(situation: Situation, admitted: Mapping[str, Content]) -> list[float]:
    """When the next grace periods are over."""
    return [when for _, _, when in _ended(situation, admitted) if when > situation.now]


def over(situation: Situation) -> dict[str, Held]:
    """The clusters that expired and are gone, whose file is still there without a longer ttl: none of them is born again."""
    found = {}
    for name in situation.present:
        record, after = situation.records.get(name), situation.snapshot.specs.clusters.get(name)
        if record is None or record.source != situation.snapshot.source or not expiry.over(record):
            continue
        if after is not None and expiry.raised(record, after):
            continue
        ended = f" at {stamp(record.expiry.ends)}" if record.expiry else ""
        told = f"its ttl ended{ended}, and it is removed; it is born again when its file leaves, or with a longer ttl"
        found[name] = Held("Expired", told)
    return found


def left(situation: Situation) -> dict[str, Tombstone]:
    """The end of records that stand for a file that left: nothing is deleted any more, and the name is free but for what was
    retained."""
    found = {}
    for name, record in situation.records.items():
        over = record.tombstone
        if over is None or not over.done or record.source != situation.snapshot.source or name in situation.present:
            continue
        if over.expired or over.policy != "Retain":
            fresh = Tombstone(situation.now, situation.now, over.policy, protect=False, done=True)
            found[name] = fresh if over.expired else over
    return found


def _why(situation: Situation, name: str, by: ClusterDocument, held: Collection[str]) -> str:
    """Why the end by this document waits, and what to mend where no hold says it; "" where it does not wait."""
    if name not in situation.present:
        return "no document of it is found" if name in held else ""
    mistake = situation.broken.get(f"{CLUSTER}{name}", "")
    sound = situation.snapshot.specs.clusters.get(name) if not mistake else None
    newest = sound or situation.snapshot.refused.get(name)
    if newest is None:
        return f"its newest document cannot be read: mend {mistake}"
    says = expiry.keeps(by, newest, situation.rules, situation.now)
    if not says:
        return ""
    told = f"{newest.path}, which is not admitted, {says}"
    return f"{told}: mend {mistake}" if mistake else told


def _ended(situation: Situation, admitted: Mapping[str, Content]) -> Iterator[tuple[str, ClusterDocument, float]]:
    """(name, `admitted` document, when its grace period is over) of the clusters with an end that are in the tree. A document that
    changes the ttl counts from its admission on, and moves the end on record once it can be resolved."""
    for name in situation.present:
        record, accepted, content = situation.mine.get(name), situation.accepted_document(name), admitted.get(name)
        if record is None or record.expiry is None or accepted is None or content is None:
            continue
        document = content.specs.clusters[name]
        if expiry.ttl_of(document) == expiry.ttl_of(accepted) == record.expiry.ttl:
            yield name, document, record.expiry.ends + expiry.grace_of(document, situation.rules)
