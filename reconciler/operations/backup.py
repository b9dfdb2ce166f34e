"""Snapshots: when one is due, how it is asked of the engine, which of them go (O7, O10). Pure.

The engine's own contract (vCluster 0.36, api pkg/snapshot): a Secret with the options, then a ConfigMap of the same name with the request.
"""

import base64
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from reconciler.engine.leftovers import REQUESTS as LABEL
from reconciler.errors import UNREADABLE, one_line
from reconciler.model import (
    Archive,
    Backup,
    BackupRun,
    Backups,
    Bundle,
    Keys,
    Location,
    Object,
    ObjectRef,
    Record,
    Versions,
    replace,
)
from reconciler.operations.situation import Situation, newest, seen_of
from reconciler.plan.lines import stamp
from reconciler.spec import schedule
from reconciler.spec.units import duration

KINDS = frozenset({"backup"})
LONGEST = 3600.0  # seconds a snapshot may take at the engine
LOOK = 5.0  # seconds between two looks at one under way
FAILURES = 10  # failed ones that are kept
ACCESS, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
ENDED = frozenset({"Failed", "PartiallyFailed", "Canceled", "Deleted"})


def of(bundle: Bundle) -> Backup | None:
    """What the cluster's document says of snapshots; nothing of a cluster that is removed."""
    return bundle.document.cluster.spec.backup if bundle.document is not None and bundle.tombstone is None else None


def known(record: Record) -> Backups:
    """What is on record of its snapshots."""
    return record.backups or Backups()


def running(record: Record) -> BackupRun | None:
    """The snapshot under way."""
    return known(record).running


def concerned(bundle: Bundle, record: Record) -> bool:
    """Whether anything is to be done at all."""
    return of(bundle) is not None or running(record) is not None


def troubled(record: Record, why: str) -> Record:
    """The record with why no snapshot can be made or removed now."""
    return replace(record, backups=replace(known(record), problem=why))


def turns(situation: Situation) -> tuple[float, ...]:
    """The next time of the schedule."""
    asks = of(situation.bundle)
    at = schedule.following(asks.schedule, asks.timezone, situation.now) if asks and asks.schedule else None
    return (at,) if at is not None else ()


def place(run: BackupRun, asks: Backup) -> Location:
    """Where its archive lies, whatever the document says by now."""
    return run.location or asks.location


def due(situation: Situation, asks: Backup) -> BackupRun | None:
    """The snapshot that is to be made now: because somebody asked for it, or by schedule. One that was missed, because the cluster slept
    or nobody was there, is made up once."""
    handled = known(situation.record).handled
    asked = newest(situation.requests, KINDS, situation.record.cluster, seen_of(known(situation.record)))
    if asked is not None:
        return _run(situation, asks, f"request of {asked.who}")
    last = schedule.last(asks.schedule, asks.timezone, situation.now) if asks.schedule else None
    if last is None or last <= max(handled, situation.record.born):
        return None
    return _run(situation, asks, "schedule")


def before(situation: Situation, asks: Backup, versions: str) -> BackupRun:
    """The snapshot before a change of versions (O8)."""
    return _run(situation, asks, f"the change to {versions}")


def keys_of(secret: Object | None) -> Keys | None:
    """The credentials in a Secret, None where they are not there."""
    data = (secret or {}).get("data")
    found = {name: _text(data.get(name)) for name in (ACCESS, SECRET, TOKEN)} if isinstance(data, dict) else {}
    if not found.get(ACCESS) or not found.get(SECRET):
        return None
    return Keys(found[ACCESS], found[SECRET], found.get(TOKEN, ""))


def request_of(
    run: BackupRun, bundle: Bundle, location: Location, keys: Keys, versions: Versions
) -> tuple[Object, Object]:
    """The Secret and the ConfigMap that ask the engine for a snapshot, in the order in which they are made."""
    name = name_of(run, bundle)
    labels = {
        LABEL: "",
        "vcluster.loft.sh/vcluster-namespace": bundle.namespace,
        "vcluster.loft.sh/vcluster-name": bundle.cluster,
    }
    metadata = {"name": name, "namespace": bundle.namespace, "labels": labels}
    options = _json(_options(run, bundle, location, keys, versions))
    asked = {
        "metadata": {"name": name, "creationTimestamp": stamp(run.at)},
        "spec": {"url": url_of(location, run.key)},
        "status": {},
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}
    secret |= {"data": {"snapshotOptions": base64.b64encode(options.encode()).decode()}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"snapshotRequest": _json(asked)}}
    return secret, config


def refs_of(run: BackupRun, bundle: Bundle) -> tuple[ObjectRef, ObjectRef]:
    """The names of both."""
    name = name_of(run, bundle)
    return ObjectRef("", "Secret", bundle.namespace, name), ObjectRef("", "ConfigMap", bundle.namespace, name)


def name_of(run: BackupRun, bundle: Bundle) -> str:
    return f"{bundle.cluster}-snapshot-request-{run.id[:15].lower()}"


def url_of(location: Location, key: str) -> str:
    return f"{location.type}://{location.bucket}/{key}"


def answer_of(config: Object) -> tuple[str, str]:
    """(phase, message) of the engine, in a request it may have written to."""
    text = (config.get("data") or {}).get("snapshotRequest")
    try:
        found: Any = msgspec.json.decode(text) if isinstance(text, str) and len(text) < 1 << 16 else {}
    except UNREADABLE:
        return "", ""
    status = found.get("status") if isinstance(found, dict) else None
    status = status if isinstance(status, dict) else {}
    error = status.get("error") if isinstance(status.get("error"), dict) else {}
    return one_line(status.get("phase"), 40), one_line(error.get("message") if isinstance(error, dict) else "", 300)


def options(location: Location, key: str, keys: Keys) -> dict[str, Any]:
    """An archive in the engine's options (api pkg/snapshot/options.go), with the credentials."""
    s3 = {
        "bucket": location.bucket,
        "key": key,
        "region": location.region,
        "url": location.endpoint,
        "force-path-style": True,
        "access-key-id": keys.access,
        "secret-access-key": keys.secret,
        **({"session-token": keys.token} if keys.token else {}),
    }
    return {"type": location.type, "s3": s3}


def ended(known: Backups, run: BackupRun, location: Location, record: Record, **fields: Any) -> Backups:
    """The record once the snapshot under way ended. Of failed ones the newest are kept."""
    commit, runs = record.commit, record.versions
    one = Archive(
        run.id, run.key, location, run.at, engine=runs.engine, kubernetes=runs.kubernetes, commit=commit, **fields
    )
    archives = (*known.archives, one)
    failed = [each.id for each in archives if not each.completed][:-FAILURES]
    return replace(known, running=None, archives=tuple(each for each in archives if each.id not in failed))


def surplus(known: Backups, asks: Backup, now: float, awaited: Container[tuple[str, str]] = ()) -> tuple[Archive, ...]:
    """The archives that retention removes, oldest first: beyond `keep`, or older than `period`; never the newest one, and none that a
    restore under way is `awaited` of, by bucket and key."""
    whole = [one for one in known.archives if one.completed]
    period = duration(asks.retention.period) if asks.retention.period else None
    old = [one for one in whole[:-1] if period is not None and one.at < now - period]
    goes = [one for one in whole if one in old or one in whole[: -asks.retention.keep]]
    return tuple(one for one in goes if (one.location.bucket, one.key) not in awaited)


def _run(situation: Situation, asks: Backup, by: str) -> BackupRun:
    """Its name and that of its request have whole seconds: one that is taken bears the next that is free."""
    taken = {one.id.partition("-")[0] for one in known(situation.record).archives}
    seconds = (datetime.fromtimestamp(situation.now + more, UTC).strftime("%Y%m%dT%H%M%S") for more in count())
    at = next(one for one in seconds if one not in taken)
    found = f"{at}-{situation.record.commit[:7] or 'none'}"
    prefix = f"{asks.location.prefix.strip('/')}/" if asks.location.prefix.strip("/") else ""
    key = f"{prefix}{situation.record.cluster}/{found}.tar.gz"
    return BackupRun(found, key, situation.now, by, location=asks.location)


def _options(run: BackupRun, bundle: Bundle, location: Location, keys: Keys, versions: Versions) -> Mapping[str, Any]:
    values: Mapping[str, Any] = next(
        (layer.spec.get("values", {}) for layer in bundle.layers if layer.role == "engine"), {}
    )
    release = {
        "releaseName": bundle.cluster,
        "releaseNamespace": bundle.namespace,
        "chartName": "vcluster",
        "chartVersion": versions.engine,
        "values": base64.b64encode(_json(values).encode()).decode(),
    }
    return {**options(location, run.key, keys), "release": release}


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _text(encoded: Any) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().strip() if isinstance(encoded, str) else ""
    except ValueError:
        return ""
