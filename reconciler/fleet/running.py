"""The versions that run in each cluster."""

from collections.abc import Mapping
from typing import Any

from reconciler import engine
from reconciler.fleet.standing import documents
from reconciler.model import NO_VERSIONS, ClusterDocument, Content, Record, Rules, Versions, replace


def running(record: Record | None, accepted: ClusterDocument | None, rules: Rules) -> Versions:
    """The versions that were rolled out last, "" where nothing ran yet.

    For a record of an older format without versions, of a cluster that was Ready once: those of its accepted document.
    """
    known = record.versions if record else NO_VERSIONS
    if record is None or accepted is None or not record.applied or (known.engine and known.kubernetes):
        return known
    meant = engine.asked(accepted.cluster, rules)
    return Versions(known.engine or meant.engine, known.kubernetes or meant.kubernetes)


def all_running(records: Mapping[str, Record], accepted: Mapping[str, Content], rules: Rules) -> dict[str, Versions]:
    """`running` of every cluster on record, by name."""
    known = documents(accepted)
    return {name: running(record, known.get(name), rules) for name, record in records.items()}


def unversioned(record: Record) -> bool:
    """Whether a record may be of the format without versions: whatever wrote `inputs` wrote the versions too, "" for none."""
    return record.versions == NO_VERSIONS and not record.inputs


def recalled(record: Record, status: Mapping[str, Any]) -> Record:
    """A record of an older format without versions, completed with those in its status object from when it was last
    Ready."""
    shown, ready = status.get("versions"), record.applied or (status.get("revision") or {}).get("applied")
    if not unversioned(record) or not ready or not isinstance(shown, Mapping):
        return record
    return replace(record, versions=Versions(str(shown.get("engine") or ""), str(shown.get("kubernetes") or "")))
