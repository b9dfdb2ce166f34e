"""Restores: what asks for one, whether it may go on, and what it tells (O9). Pure.

In place it destroys what is there, so it is held until somebody approves it, and the data of before is kept on the same volume until
the cluster is Ready again. `restoreFrom` is for a cluster that has no data yet. The engine stands still meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote

from reconciler.engine import versions
from reconciler.model import (
    NO_VERSIONS,
    Archive,
    Backup,
    Bundle,
    Consent,
    Held,
    InventoryEntry,
    Location,
    Observed,
    Record,
    Request,
    Restore,
    Restored,
    RestoreFrom,
    Restores,
    Sleeping,
    Versions,
    replace,
)
from reconciler.model.backups import Phase
from reconciler.operations import backup
from reconciler.operations.situation import Situation, newest, seen_of
from reconciler.plan import consent, fields
from reconciler.plan.mark import INSIDE, Key

KINDS = frozenset({"restore"})
POD = 3600.0  # seconds that the pod may take
MADE = 300.0  # seconds within which the host lets the pod be made
PROVEN = 1800.0  # seconds within which the archive is read once more, after the pod
COMES_UP = 900.0  # seconds within which the control plane answers with the data that was restored
READY = 3600.0  # seconds for which its layers are waited for before the restore counts as ended
LOOK = 5.0  # seconds between two looks at one under way
AGAIN = 300.0  # seconds before another try of one that nothing can be lost by
LONGEST = 3600.0  # seconds between two of them
STILL = frozenset({"stopping", "restoring", "proving", "restored"})
"""Phases in which the engine has no pods."""


def source_of(bundle: Bundle) -> RestoreFrom | None:
    """What the cluster's document says that it begins with; nothing of a cluster that is removed."""
    living = bundle.document is not None and bundle.tombstone is None
    return bundle.document.cluster.spec.restore_from if living and bundle.document else None


def known(record: Record) -> Restores:
    """What is on record of its restores."""
    return record.restores or Restores()


def running(record: Record) -> Restore | None:
    """The restore under way."""
    return known(record).running


def troubled(record: Record, why: str) -> Record:
    """The record with why the restore does not go on now."""
    return replace(record, restores=replace(known(record), problem=why))


def reading(run: Restore) -> str:
    """The name of the errand that reads its archive in the phase it is in."""
    return f"{run.id}-{run.phase}"


def owns(record: Record, name: str) -> bool:
    """Whether an errand of this name reads for the restore under way."""
    run = running(record)
    return run is not None and name.startswith(f"{run.id}-")


def undecided(bundle: Bundle, record: Record) -> bool:
    """Whether a new cluster is to begin with a snapshot, and nobody looked yet whether it has data."""
    there = known(record)
    return source_of(bundle) is not None and there.running is None and there.last is None


def decide(situation: Situation) -> Sleeping | None:
    """What a restore says of the cluster's sleep, None where it says nothing."""
    bundle, record = situation.bundle, situation.record
    run = running(record)
    if run is None:
        new = not record.applied and record.versions == NO_VERSIONS
        return (
            Sleeping(True, "restore", "before it begins with a snapshot") if new and undecided(bundle, record) else None
        )
    why = f"while snapshot {run.snapshot} is restored"
    if run.phase == "waking":
        return Sleeping(False, "restore", why)
    return Sleeping(True, "restore", why, run.at) if run.phase in STILL or run.fresh else None


def told(record: Record) -> str:
    """How far a restore is, as one sentence; "" where there is none that stops the cluster."""
    run, problem = running(record), known(record).problem
    if run is None or (run.phase in ("reading", "held", "comparing") and not run.fresh):
        return ""
    does = "goes back to the data of before" if run.back else f"restores snapshot {run.snapshot}"
    because = f" because {run.why}" if run.back and run.why else ""
    return f"{does}{because}, {run.phase}" + (f": {problem}" if problem else "")


def asked(requests: Sequence[Request], record: Record) -> Request | None:
    """The newest request to restore that is not answered yet."""
    return newest(requests, KINDS, record.cluster, seen_of(known(record)))


def in_place(request: Request, record: Record, asks: Backup | None, now: float) -> Restore | str:
    """The restore that somebody asks for, or why there is none."""
    wanted = request.items[0] if request.items else ""
    one = next((each for each in backup.known(record).archives if each.id == wanted), None)
    if asks is None:
        return "its file asks for no snapshots (spec.backup), so there are no credentials to read one"
    if one is None or not one.completed:
        return f"there is no whole snapshot {wanted[:100]} of it"
    if why := skew(one, record.versions):
        return why
    run = _run(one.id, one.location, one.key, asks.credentials, f"request of {request.who}", now)
    return replace(run, sha256=one.sha256, ends=request.expires, request=request.name)


def afresh(asks: RestoreFrom, archive: Archive | None, bundle: Bundle, now: float) -> Restore | str:
    """The restore that a new cluster begins with, or why it cannot begin. `archive`: what is on record of the snapshot it names."""
    if asks.url:
        location, key = located(asks)
        run = _run(asks.url, location, key, asks.credentials, "its file", now)
        return replace(run, fresh=True, clone=True)
    if archive is None or not archive.completed:
        return f"cluster {asks.cluster} has no whole snapshot {asks.id} on record"
    if why := skew(archive, bundle.versions):
        return why
    run = _run(archive.id, archive.location, archive.key, asks.credentials, "its file", now)
    return replace(run, fresh=True, clone=asks.cluster != bundle.cluster, sha256=archive.sha256)


def whose(asks: RestoreFrom, source: str, records: Iterable[Record]) -> str:
    """Whose data a new cluster of `source` is to begin with, "" where it is that of its own source. An archive that `url` names is
    looked for by bucket and key alone: one store may have several addresses. One that is on nobody's record is nobody's."""
    found = sorted((one.source, one.cluster) for one in records if _holds(one, asks))
    others = [f"cluster {cluster} of source {other}" for other, cluster in found if other != source]
    return " and ".join(others[:3])


def awaited(records: Iterable[Record]) -> frozenset[tuple[str, str]]:
    """The archives, by bucket and key, of all restores that are under way, also of those that wait for an approval."""
    runs = (running(one) for one in records if one.restores is not None)
    return frozenset((run.location.bucket, run.key) for run in runs if run is not None)


def _holds(record: Record, asks: RestoreFrom) -> bool:
    if not asks.url:
        return record.cluster == asks.cluster
    there, (location, key) = backup.known(record), located(asks)
    held = {(one.location.bucket, _plain(one.key)) for one in there.archives}
    key = _plain(key)
    under_way = there.running is not None and key == _plain(there.running.key)
    return (location.bucket, key) in held or under_way


def _plain(key: str) -> str:
    return "/".join(part for part in unquote(key).split("/") if part)


def located(asks: RestoreFrom) -> tuple[Location, str]:
    """The store and the name of an archive that a document names by address: ENDPOINT/BUCKET/KEY."""
    scheme, _, rest = asks.url.partition("://")
    host, _, path = rest.partition("/")
    bucket, _, key = path.partition("/")
    return Location("s3", bucket, f"{scheme}://{host}", asks.region), key


def skew(one: Archive, runs: Versions) -> str:
    """Why a snapshot does not fit the version of Kubernetes that reads it, "" where it does or nobody knows."""
    if not one.kubernetes or not runs.kubernetes:
        return ""
    why = versions.step(one.kubernetes, runs.kubernetes)
    return f"snapshot {one.id} is of Kubernetes {one.kubernetes}, and {why}" if why else ""


def after_reading(run: Restore) -> Phase:
    """What destroys data, and what shows that of others, waits for an approval."""
    return "held" if run.owner or not run.fresh else "stopping"


def held(run: Restore, bundle: Bundle) -> Held:
    """What a restore waits for: the approval of this one restore. Data of a cluster of another source is for who may approve all."""
    if run.owner:
        told = f"snapshot {run.snapshot} ({run.keys} keys) holds the data of {run.owner}, with its Secrets"
        begins = f"{bundle.cluster} {run.id} begins with snapshot {run.snapshot} of {run.owner}"
        items = (f"{begins} sha256 {run.sha256[:16]}",)
        return Held(
            "RestoreOthers",
            f"{told}: who may approve for all clusters decides",
            consent.digest(items),
            items,
            about=(bundle.cluster, run.owner),
        )
    items = (f"{bundle.cluster} {run.id} replaced by snapshot {run.snapshot} sha256 {run.sha256[:16]}",)
    message = f"restore of snapshot {run.snapshot} ({run.keys} keys) replaces everything inside, asked for by {run.by}"
    return Held("Restore", message, consent.digest(items), items)


def waits(situation: Situation) -> Held | None:
    """What the restore under way waits for."""
    run = running(situation.record)
    return held(run, situation.bundle) if run is not None and run.phase == "held" else None


def approved(what: Held, requests: Sequence[Request], cluster: str, source: str, now: float) -> bool:
    """Whether somebody approved exactly this, who may approve for this cluster of this source, or for all: `cluster` and `source` are ""
    then."""
    return consent.approved(Consent(what.items, what.consent), requests, now, (cluster,), source)


def moved(run: Restore, phase: Phase, now: float, why: str = "") -> Restore:
    """The restore in another phase, from `now` on; `why`: because it failed, so that it goes back to the data of before."""
    back = run.back or bool(why and not run.fresh)
    return replace(run, phase=phase, since=now, uid="", back=back, why=run.why or why)


def pause(run: Restore, now: float, least: float) -> float:
    """Seconds until a new cluster tries again: as long as it has tried, but `least` at least and an hour at most."""
    return min(max(now - run.at, least), LONGEST)


def backwards(run: Restore, why: str, now: float) -> Restore:
    """The restore that failed after the engine stopped: back to the data of before, or another try where there was none."""
    if run.fresh:
        return moved(run, "reading", now + pause(run, now, AGAIN))
    return moved(run, "stopping", now, why)


def ended(record: Record, run: Restore, now: float, *, whole: bool, why: str = "") -> Restores:
    """What is on record once a restore ended."""
    last = Restored(run.id, run.snapshot, now, whole, why, run.keys)
    return replace(known(record), running=None, problem="", last=last)


def taken_over(
    run: Restore | None,
    entries: tuple[InventoryEntry, ...],
    observed: Mapping[Key, Observed],
    layers: Mapping[Key, str],
) -> tuple[InventoryEntry, ...]:
    """The inventory while a cluster wakes with other data: objects inside it that carry our marks, whatever cluster they were made for,
    are ours under the UID they have now. `layers`: the layer of each desired object."""
    if run is None or run.phase != "waking":
        return entries
    found = {(one.target, one.ref): one for one in entries}
    for key, seen in observed.items():
        entry = found.get(key)
        name = layers.get(key) or (entry.layer if entry is not None else "")
        if name and _replaced(seen, entry):
            owned = tuple(sorted(fields.managed(seen.live or {})))
            found[key] = InventoryEntry(*key, name, seen.uid, "owned", owned)
    return tuple(sorted(found.values(), key=lambda one: (one.target, one.ref)))


def _replaced(seen: Observed, entry: InventoryEntry | None) -> bool:
    """Whether it is another object inside than the one on record, and was made by us."""
    if not seen.target.nested or seen.live is None or (entry is not None and entry.uid == seen.uid):
        return False
    return _made_by_us(seen)


def _made_by_us(seen: Observed) -> bool:
    metadata = (seen.live or {}).get("metadata", {})
    applied = any(one.get("manager") == "nidus" for one in metadata.get("managedFields") or ())
    return applied and (metadata.get("labels") or {}).get(f"{INSIDE}/managed-by") == "nidus"


def _run(snapshot: str, location: Location, key: str, credentials: str, by: str, now: float) -> Restore:
    at = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dt%H%M%S")
    return Restore(at, snapshot, location, key, credentials, by, now, now)
