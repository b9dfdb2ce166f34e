"""Expiry: a cluster with a ttl ends that long after its birth, with warnings before (O6). Pure.

Its end stands in its record. A ttl that is set or lowered later leaves a day from then on; one that is raised, and a request to
extend, move the end further away, and nothing brings it nearer.
"""

from collections.abc import Iterable

from reconciler.model import (
    NO_VERSIONS,
    Bundle,
    ClusterDocument,
    Ending,
    Expiry,
    Record,
    Request,
    Rules,
    Sleeping,
    replace,
)
from reconciler.operations.situation import Situation
from reconciler.plan.lines import stamp
from reconciler.spec.entries import digest
from reconciler.spec.units import duration, lasting

DAY, HOUR = 86400.0, 3600.0
WARNINGS = (("hour", HOUR), ("day", DAY))
OVER = "over"
NEVER = float("inf")
_HARSH = {"Orphan": 0, "Retain": 1, "Delete": 2}  # policies, by how much they destroy


def ttl_of(document: ClusterDocument | None) -> float:
    """The ttl of a cluster in seconds, 0 for none."""
    text = document.cluster.spec.deletion.ttl if document is not None else ""
    return duration(text) if text else 0.0


def grace_of(document: ClusterDocument, rules: Rules) -> float:
    """The seconds between the end of a cluster, or its leaving Git, and its deletion."""
    grace = document.cluster.spec.deletion.grace
    return duration(grace) if grace else rules.grace


def hastened(record: Record, before: ClusterDocument | None, after: ClusterDocument, rules: Rules, now: float) -> bool:
    """Whether a new document brings the end of a cluster that exists to within a day, or makes such an end destroy more or sooner: that
    counts as its removal (AD2). A ttl that is over was within a day, however often the cluster was extended. Where nothing goes that
    nobody reviewed, an end counts however far away it is."""
    known, ttl = _known(record, before), ttl_of(after)
    born = now if lived(record) else record.born
    if not ttl or (rules.unreviewed != "Hold" and born + ttl >= now + DAY):
        return False
    return not known or ttl < known or _harsher(record, before, after, rules)


def put_off(record: Record, before: ClusterDocument | None, after: ClusterDocument) -> bool:
    """Whether a new document calls the end of a cluster off, or moves it further away."""
    known, ttl = _known(record, before), ttl_of(after)
    return bool(known) and (not ttl or ttl > known)


def keeps(by: ClusterDocument, newest: ClusterDocument, rules: Rules, now: float) -> str:
    """What an end by one document would pass over that a newer one says, in words that follow its name: it protects or suspends the
    cluster, puts the end off, or destroys less or later. "" where it says nothing of the kind: what is stricter or sooner is none."""
    old, new = by.cluster.spec.deletion, newest.cluster.spec.deletion
    if stays(newest, now) and not stays(by, now):
        return "protects it" if new.protect else "suspends it"
    if not new.ttl:
        return "gives it no ttl"
    if ttl_of(newest) > ttl_of(by):
        return f"gives it the longer ttl {new.ttl}"
    if _HARSH[new.policy] < _HARSH[old.policy]:
        return f"has the milder policy {new.policy}"
    grace = grace_of(newest, rules)
    return f"gives it the longer grace {lasting(grace)}" if grace > grace_of(by, rules) else ""


def stays(document: ClusterDocument, now: float) -> bool:
    """Whether a cluster is protected, or suspended by its file: then nothing is done to it."""
    suspend = document.cluster.spec.suspend
    suspended = suspend is not None and (not suspend.until or stamp(now) < suspend.until)
    return document.cluster.spec.deletion.protect or suspended


def recorded(
    record: Record,
    stored: Record | None,
    bundle: Bundle,
    requests: Iterable[Request],
    longest: float,
    now: float,
) -> Record:
    """The record with its end as of now. `stored`: as it was before, None of a new cluster or of one that is born again; `requests` of its
    own life; `longest`: seconds a cluster may live by extensions, 0 for no bound."""
    if bundle.tombstone is not None:
        return record
    ttl = ttl_of(bundle.document)
    if not ttl:
        return replace(record, expiry=None) if record.expiry else record
    return extended(record, Expiry(ttl, _ends(record, stored, ttl, longest, now)), requests, longest)


def extended(record: Record, end: Expiry, requests: Iterable[Request], longest: float) -> Record:
    """The record with this end, or a later one that a request asks for. An extension uses up what was approved of the end, from when it
    was asked for: whoever looks, and whenever, sees the same record, stored or not."""
    known, bound = record.expiry, record.born + longest if longest else NEVER
    asked = [one for one in requests if one.kind == "extend" and one.cluster == record.cluster]
    moves = [(min(one.expires, bound), -one.created) for one in asked]
    latest, since = max([(end.ends, 0.0), *moves])  # of those that move it as far, the first
    later = known is not None and latest > max(end.ends, known.ends)
    back = used_up(record, -since) if later else record.put_back
    return replace(record, expiry=Expiry(end.ttl, latest), put_back=back)


def used_up(record: Record, now: float) -> float:
    """`put_back` of a cluster whose removal or end is called off now: another time than any before, whatever the clock says. Of a removal
    under way it is the same whoever asks and when, for what is approved of the cluster after it."""
    at = record.tombstone.since if record.tombstone is not None and leaving(record) else now
    return max(at, record.put_back + 0.001)


def leaving(record: Record) -> bool:
    """Whether the cluster is being removed because its file left: that is called off where the file is put back."""
    return record.tombstone is not None and not record.tombstone.done and not record.tombstone.expired


def over(record: Record) -> bool:
    """Whether the cluster expired and its removal is done: the record stands for its file, which may still be in Git."""
    return record.tombstone is not None and record.tombstone.expired and record.tombstone.done


def lived(record: Record) -> bool:
    """Whether the life of a removed cluster is over by its ttl: whatever has its name next is born anew."""
    tombstone, end = record.tombstone, record.expiry
    return (
        tombstone is not None and tombstone.done and (over(record) or (end is not None and end.ends <= tombstone.since))
    )


def raised(record: Record, after: ClusterDocument) -> bool:
    """Whether a document gives a longer life than the one that ended: the cluster may be born again."""
    ttl = ttl_of(after)
    return not ttl or record.expiry is None or ttl > record.expiry.ttl


def decide(situation: Situation) -> Sleeping | None:
    """For good where its ttl ended (O6)."""
    expiry = situation.record.expiry
    ended = expiry is not None and expiry.ends <= situation.now
    return Sleeping(True, "expiry", "because its ttl ended", expiry.ends) if expiry and ended else None


def ending(situation: Situation) -> Ending | None:
    """How far the cluster is on its way to its end, None where it has none."""
    expiry, bundle, now = situation.record.expiry, situation.bundle, situation.now
    document = bundle.document
    if expiry is None or document is None or bundle.tombstone is not None:
        return None
    ends, deletion = expiry.ends, document.cluster.spec.deletion
    due = ends + (duration(deletion.grace) if deletion.grace else situation.grace)
    if deletion.protect or situation.end_waits:
        due = NEVER
    if now < ends:
        warned = next((name for name, before in WARNINGS if now >= ends - before), "")
        return Ending(ends, due, warned, f"expires at {stamp(ends)} (deletion.ttl)")
    waits = "it is protected and stays asleep" if deletion.protect else situation.end_waits
    goes = waits or f"policy {deletion.policy} is carried out at {stamp(due)}"
    return Ending(ends, due, OVER, f"its ttl ended at {stamp(ends)}; {goes}")


def turns(situation: Situation) -> list[float]:
    """Its warnings, its end, its deletion."""
    one = ending(situation)
    return [at for at in (one.at - DAY, one.at - HOUR, one.at, one.due) if at < NEVER] if one is not None else []


def _known(record: Record, before: ClusterDocument | None) -> float:
    """The ttl that counted so far: of the accepted document, where it cannot be read of the record."""
    return ttl_of(before) if before is not None else (record.expiry.ttl if record.expiry else 0.0)


def _harsher(record: Record, before: ClusterDocument | None, after: ClusterDocument, rules: Rules) -> bool:
    """Whether an end would destroy more by the new document, or sooner after it. Where the accepted one cannot be read, any other is."""
    new = after.cluster.spec.deletion
    if new.protect:
        return False
    if before is None:
        return record.digests.get("deletion") != digest(new)
    old = before.cluster.spec.deletion
    more = _HARSH[new.policy] > _HARSH[old.policy]
    return old.protect or more or grace_of(after, rules) < grace_of(before, rules)


def _ends(record: Record, stored: Record | None, ttl: float, longest: float, now: float) -> float:
    plain, known = record.born + ttl, record.expiry
    if stored is None:
        return plain
    if known is None:
        return max(plain, now + DAY)
    if ttl < known.ttl:
        latest = max(record.born + longest, known.ends) if longest else NEVER
        return min(max(plain, now + DAY), latest)  # a ttl that is lowered each day is no way around the longest life
    return known.ends if ttl == known.ttl else max(plain, known.ends)


def reborn(record: Record, stored: Record, now: float) -> Record:
    """A new life under the old name. Where data was kept, it is of the versions that ran. Where it was deleted, no hook ran in what is
    there now, and nothing was restored; in what was let go, no restore goes on."""
    policy = stored.tombstone.policy if stored.tombstone is not None else "Delete"
    hooks, restores = ({}, None) if policy == "Delete" else (record.hooks, record.restores)
    if policy == "Orphan" and restores is not None:
        restores = replace(restores, running=None, problem="")
    return replace(
        record,
        born=now,
        expiry=None,
        applied="",
        ready="",
        versions=stored.versions if policy == "Retain" else NO_VERSIONS,
        slept=None,
        hooks=hooks,
        restores=restores,
    )
