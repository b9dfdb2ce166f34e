"""Upgrades: a change of the engine's or Kubernetes' version waits for a snapshot (O8); several minors are walked one by one (O11). Pure.

What was there before it can then be restored. A snapshot that fails holds the change; an approval of exactly this change goes on
without one. How far a walk may go is chosen before (`engine.choose`): a step is done, and the next begins, only when every pod of the
engine is of it, the API server inside says so, and all is Ready. Where a commit comes between its pods and the record, what the live
workload runs is put on record first: every rule about steps begins there.
"""

from collections.abc import Mapping, Sequence

from reconciler.engine import lowers, readiness
from reconciler.engine.live import running
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
    asks = backup.of(bundle)
    if asks is None or not asks.before_upgrade or _same(bundle, record):
        return ""
    wanted = _spelt(bundle.versions)
    return "" if backup.known(record).cleared == wanted else wanted


def decided(known: Backups, bundle: Bundle, record: Record, requests: Sequence[Request], now: float) -> Backups:
    """The record with whether the change may go on: a whole snapshot is young enough, or somebody approved it without one."""
    wanted = pending(bundle, replace(record, backups=known))
    if not wanted:
        same = _same(bundle, record)
        return replace(known, tried="", cleared="") if same and (known.tried or known.cleared) else known
    whole = (one for one in known.archives if one.completed and one.at > now - FRESH)
    young = any((one.engine, one.kubernetes) == (record.versions.engine, record.versions.kubernetes) for one in whole)
    if young or approved(approval(bundle, record), requests, bundle.cluster, record.source, now):
        return replace(known, cleared=wanted)
    return known


def walks(bundle: Bundle) -> bool:
    """Whether its file lets several minors be walked."""
    return bundle.document is not None and bundle.document.cluster.spec.upgrade.steps == "Auto"


def expects(bundle: Bundle, record: Record) -> str:
    """The version that the API server inside must say before a step of a walk is done, "" where there is none."""
    if not walks(bundle) or (record.versions.settled and _same(bundle, record)):
        return ""
    return bundle.versions.kubernetes


def proven(runs: Versions, bundle: Bundle, *, ready: bool) -> Versions:
    """What is on record once the engine is rolled out. A step of a walk is settled when the cluster is Ready."""
    first, same = runs == NO_VERSIONS, replace(runs, settled=True) == bundle.versions
    return replace(bundle.versions, settled=not walks(bundle) or ready or first or (same and runs.settled))


def steps(bundle: Bundle, record: Record) -> tuple[str, ...]:
    """The versions of a walk, that which runs first; () where no step is ahead."""
    if not bundle.ahead:
        return ()
    way = (record.versions, bundle.versions, *bundle.ahead)
    pairs = tuple(dict.fromkeys((one.engine, one.kubernetes) for one in way))
    alone = len({engine for engine, _ in pairs}) == 1
    return tuple(kubernetes if alone else f"engine {engine} with {kubernetes}" for engine, kubernetes in pairs)


def told(bundle: Bundle, record: Record) -> str:
    """What to know of a step that is not done, "" where none is under way."""
    if not expects(bundle, record) or record.versions == NO_VERSIONS:
        return ""
    last = f"; {_spelt(record.versions)} was Ready last" if record.versions.settled else ""
    return f"step to {_spelt(bundle.versions)}{last}; no other step begins before it is Ready"


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
    """A change of versions waits for its snapshot, and versions that run are not lowered though they are not on record yet. An engine
    without pods comes up as it was, falls asleep as it was, and is restored as it was: its snapshot needs it awake."""
    engine = next((one for one in desired if one.layer.role == "engine"), None)
    if engine is None:
        return Amendment(desired)
    runs = _unrecorded(situation, engine, observed)
    why = _waits(situation, runs)
    if not why:
        return Amendment(desired, runs=runs)
    if _runs(engine, observed) and not _rests(situation):
        return Amendment(desired, stops=why, runs=runs)
    before = replace(engine, objects=tuple(_before(item, _live(engine, item, observed)) for item in engine.objects))
    return Amendment(tuple(before if one is engine else one for one in desired), runs=runs)


def _waits(situation: Situation, runs: Versions) -> str:
    """Why the engine keeps its versions for now, "" where it does not."""
    at, wanted = situation.record.versions if runs == NO_VERSIONS else runs, situation.bundle.versions
    if lowers(at, wanted):
        return f"{_spelt(at)} runs: {_spelt(wanted)} cannot follow it"
    change = pending(situation.bundle, situation.record)
    return f"waits for a snapshot before the change to {change}" if change else ""


def _unrecorded(situation: Situation, engine: Desired, observed: Mapping[Key, Observed]) -> Versions:
    """The versions that the live engine runs, where they are not on record and this pass would hide them: it is to be of older ones, or
    to have no pods."""
    bundle, record = situation.bundle, situation.record
    workloads = [_live(engine, item, observed) for item in engine.objects if item["kind"] in readiness.ROLLOUTS]
    found = (running(one) for one in workloads if one is not None)
    runs = next((one for one in found if one != NO_VERSIONS), NO_VERSIONS)
    if NO_VERSIONS in (runs, bundle.versions) or runs == replace(record.versions, settled=True):
        return NO_VERSIONS
    hides = _rests(situation) or lowers(runs, bundle.versions)
    return replace(runs, settled=not walks(bundle) or record.versions == NO_VERSIONS) if hides else NO_VERSIONS


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


def _same(bundle: Bundle, record: Record) -> bool:
    """Whether no other versions are asked for than those that run; also where one of them is not known."""
    if NO_VERSIONS in (record.versions, bundle.versions):
        return True
    return replace(record.versions, settled=True) == bundle.versions


def _spelt(versions: Versions) -> str:
    return f"engine {versions.engine}, Kubernetes {versions.kubernetes}"
