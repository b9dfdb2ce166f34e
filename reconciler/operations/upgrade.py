"""Before an upgrade: a change of the engine's or Kubernetes' version waits for a snapshot (O8). Pure.

What was there before it can then be restored. A snapshot that fails holds the change; an approval of exactly this change goes on
without one.
"""

from collections.abc import Mapping, Sequence

from reconciler.engine import readiness
from reconciler.model import (
    NO_VERSIONS,
    Backups,
    Bundle,
    Desired,
    Held,
    Object,
    Observed,
    Record,
    Request,
    Versions,
    replace,
)
from reconciler.operations import backup
from reconciler.operations.restore import approved
from reconciler.operations.situation import Amendment, Situation
from reconciler.plan import consent
from reconciler.plan.mark import Key, ref_of

FRESH = 3600.0  # seconds: the snapshot before a change of versions is younger
DOWN = "its control plane does not answer"


def pending(bundle: Bundle, record: Record) -> str:
    """The versions that wait for a snapshot, "" where nothing does."""
    asks, runs = backup.of(bundle), record.versions
    if asks is None or not asks.before_upgrade or NO_VERSIONS in (runs, bundle.versions) or runs == bundle.versions:
        return ""
    wanted = _spelt(bundle.versions)
    return "" if backup.known(record).cleared == wanted else wanted


def decided(known: Backups, bundle: Bundle, record: Record, requests: Sequence[Request], now: float) -> Backups:
    """The record with whether the change may go on: a whole snapshot is young enough, or somebody approved it without one."""
    wanted = pending(bundle, replace(record, backups=known))
    if not wanted:
        same = NO_VERSIONS in (record.versions, bundle.versions) or record.versions == bundle.versions
        return replace(known, tried="", cleared="") if same and (known.tried or known.cleared) else known
    young = any(one.completed and one.at > now - FRESH for one in known.archives)
    if young or approved(approval(bundle, record), requests, bundle.cluster, now):
        return replace(known, cleared=wanted)
    return known


def held(situation: Situation) -> Held | None:
    """Why a change of versions waits for a human: no snapshot could be made before it."""
    bundle, record = situation.bundle, situation.record
    wanted, known = pending(bundle, record), backup.known(record)
    if not wanted or situation.sleeping.asleep or known.running is not None:
        return None
    tried = known.tried == wanted
    failed = next((one.why for one in reversed(known.archives) if not one.completed), "") if tried else ""
    why = known.problem or failed or ("" if situation.up or tried else DOWN)
    if not why:
        return None
    return replace(approval(bundle, record), message=f"no snapshot could be made before the change to {wanted}: {why}")


def approval(bundle: Bundle, record: Record) -> Held:
    """What an approval names: this change of versions, without a snapshot."""
    items = (f"{bundle.cluster} {_spelt(record.versions)} to {_spelt(bundle.versions)} without a snapshot",)
    return Held("BackupFailed", "", consent.digest(items), items)


def amend(situation: Situation, desired: tuple[Desired, ...], observed: Mapping[Key, Observed]) -> Amendment:
    """A change of versions waits. An engine without pods comes up as it was, falls asleep as it was, and is restored as it was: its
    snapshot needs it awake."""
    engine = next((one for one in desired if one.layer.role == "engine"), None)
    wanted = pending(situation.bundle, situation.record)
    if engine is None or not wanted:
        return Amendment(desired)
    if _runs(engine, observed) and not _rests(situation):
        return Amendment(desired, stops=f"waits for a snapshot before the change to {wanted}")
    before = replace(engine, objects=tuple(_before(item, _live(engine, item, observed)) for item in engine.objects))
    return Amendment(tuple(before if one is engine else one for one in desired))


def _before(item: Object, live: Object | None) -> Object:
    """An object with what its live one runs."""
    if live is not None and item["kind"] in readiness.ROLLOUTS:
        return {**item, "spec": {**item["spec"], "template": live["spec"]["template"]}}
    if live is not None and item["kind"] == "Secret" and "data" in live:
        return {**{key: value for key, value in item.items() if key != "stringData"}, "data": live["data"]}
    return item


def _rests(situation: Situation) -> bool:
    """Whether it sleeps, or is restored: both end with what ran before."""
    return situation.sleeping.asleep or situation.sleeping.by == "restore"


def _runs(engine: Desired, observed: Mapping[Key, Observed]) -> bool:
    """Whether the engine has pods."""
    workloads = [_live(engine, item, observed) for item in engine.objects if item["kind"] in readiness.ROLLOUTS]
    return any(one is not None and readiness.replicas(one) > 0 for one in workloads)


def _live(engine: Desired, item: Object, observed: Mapping[Key, Observed]) -> Object | None:
    seen = observed.get((engine.layer.target, ref_of(item)))
    return seen.live if seen is not None else None


def _spelt(versions: Versions) -> str:
    return f"engine {versions.engine}, Kubernetes {versions.kubernetes}"
