"""Sleep: the engine without pods, and none of the tenant's; everything else stays (O1-O5).

Awake, the three annotations with which the engine's own command pauses a cluster are removed, whoever wrote them: it would
call the cluster paused.
"""

from collections.abc import Iterable, Mapping

from reconciler.engine import leftovers, readiness
from reconciler.errors import one_line
from reconciler.model import (
    AWAKE,
    Desired,
    IgnoreRule,
    Object,
    Observed,
    Record,
    Request,
    Sleep,
    Sleeping,
    Slept,
    replace,
)
from reconciler.operations import restore_pod
from reconciler.operations.situation import Amendment, Situation, newest
from reconciler.plan import fields, paths
from reconciler.plan.lines import stamp
from reconciler.plan.mark import Key, ref_of
from reconciler.spec import schedule

KINDS = frozenset({"sleep", "wake"})
PAUSED, REPLICAS, DATE = "loft.sh/paused", "loft.sh/paused-replicas", "loft.sh/paused-date"
RESTORING = "loft.sh/restoring"
NOTES = (PAUSED, REPLICAS, DATE, RESTORING)
_NOTES = "metadata.annotations"
TOLD = 86400.0  # seconds for which the end of a request is told


def decide(situation: Situation) -> Sleeping | None:
    """What Git says of sleep, else the newest request that stands, else the schedule (O1)."""
    bundle = situation.bundle
    asks = (bundle.document.cluster.spec.sleep if bundle.document is not None else None) or Sleep()
    if asks.state != "Auto":
        return Sleeping(asks.state == "Asleep", "git", f"by its file (spec.sleep.state: {asks.state})")
    asked = newest(situation.requests, KINDS, bundle.cluster)
    if asked is None:
        return _scheduled(asks, situation.now)
    ends = _ends(asked, asks)
    if ends is None or situation.now < ends:
        return _requested(asked, ends)
    return replace(_scheduled(asks, situation.now), ended=_ended(asked, ends, situation.now))


def turns(situation: Situation) -> tuple[float, ...]:
    """The next turn."""
    until = situation.sleeping.until
    return (until,) if until is not None else ()


def later(sleeping: Sleeping) -> str:
    """When the layers inside a sleeping cluster are looked at; "" while it is awake."""
    if not sleeping.asleep:
        return ""
    return f"after it wakes at {stamp(sleeping.until)}" if sleeping.until is not None else "after it wakes"


def told(sleeping: Sleeping) -> str:
    """Why it sleeps, since when and until when, as one sentence; "" while it is awake."""
    if not sleeping.asleep:
        return ""
    since = f" since {stamp(sleeping.since)}" if sleeping.since is not None else ""
    ends = f"wakes at {stamp(sleeping.until)}" if sleeping.until is not None else "no turn is scheduled"
    return f"asleep {sleeping.why}{since}; {ends}"


def recorded(record: Record, sleeping: Sleeping, now: float) -> Record:
    """The record with when the cluster fell asleep, or was woken."""
    slept = record.slept
    if sleeping.asleep and (slept is None or slept.woken):
        return replace(record, slept=Slept(now))
    if not sleeping.asleep and slept is not None and not slept.woken:
        return replace(record, slept=replace(slept, woken=now))
    return record


def waking(record: Record) -> bool:
    """Whether it was woken and is not Ready since."""
    return record.slept is not None and record.slept.woken > 0


def amend(situation: Situation, desired: tuple[Desired, ...], observed: Mapping[Key, Observed]) -> Amendment:
    """The engine's workloads with no replicas while the cluster sleeps, and the tenant's pods absent once they have none."""
    bundle, asleep = situation.bundle, situation.sleeping.asleep
    engine = next((one for one in desired if one.layer.role == "engine"), None)
    if engine is None:
        return Amendment(desired)
    live = {ref_of(item): _live(engine, item, observed) for item in engine.objects if _rolls_out(item)}
    if not asleep and not any(_noted(one) for one in live.values()):
        return Amendment(desired)
    objects = tuple(
        _turned(item, live[ref_of(item)], situation) if _rolls_out(item) else item for item in engine.objects
    )
    layer = replace(engine.layer, ignore=tuple(_heeding(engine.layer.ignore)))
    turned = replace(engine, layer=layer, objects=objects)
    amended = tuple(turned if one is engine else one for one in desired)
    stands_still = all(one is None or readiness.replicas(one) == 0 for one in live.values())
    pods = leftovers.pods(bundle.namespace, restore_pod.names(situation.record, bundle))
    return Amendment(amended, (pods,) if asleep and stands_still else ())


def _requested(asked: Request, ends: float | None) -> Sleeping:
    because = f": {asked.reason}" if asked.reason else ""
    why = f"by request of {asked.who}{because}"
    return Sleeping(asked.kind == "sleep", "request", why, asked.created, until=ends)


def _scheduled(asks: Sleep, now: float) -> Sleeping:
    if not asks.schedule:
        return AWAKE
    turn = schedule.at(asks.schedule, now)
    return Sleeping(turn.asleep, "schedule", "by its schedule", turn.since, turn.until)


def _ends(asked: Request, asks: Sleep) -> float | None:
    """When a request ends: at its own time or at the next turn of the schedule, whichever is earlier."""
    turn = schedule.at(asks.schedule, asked.created).until if asks.schedule else None
    return min((end for end in (asked.expires or None, turn) if end is not None), default=None)


def _ended(asked: Request, ends: float, now: float) -> str:
    if now - ends > TOLD:
        return ""
    how = "as it said" if ends == asked.expires else "at the next turn of the schedule"
    return f"the request to {asked.kind} of {asked.who} ended at {stamp(ends)}, {how}"


def _rolls_out(item: Object) -> bool:
    return item["kind"] in readiness.ROLLOUTS


def _live(engine: Desired, item: Object, observed: Mapping[Key, Observed]) -> Object | None:
    seen = observed.get((engine.layer.target, ref_of(item)))
    return seen.live if seen is not None else None


def _noted(live: Object | None) -> Mapping[str, str]:
    """The annotations of a pause that it carries."""
    annotations = (live or {}).get("metadata", {}).get("annotations") or {}
    return {key: str(annotations[key]) for key in NOTES if key in annotations}


def _turned(item: Object, live: Object | None, situation: Situation) -> Object:
    """A workload of the engine paused as the engine's command does it, or without the annotations that would say so.

    Those that somebody else wrote have to become ours first: what was never ours, no apply removes.
    """
    metadata, spec, before = item["metadata"], item.get("spec") or {}, _noted(live)
    if situation.sleeping.asleep:
        since = before.get(DATE) if before.get(PAUSED) == "true" else None
        date = one_line(since, 64) if since else stamp(situation.now)
        notes = {PAUSED: "true", REPLICAS: str(spec.get("replicas", 1)), DATE: date}
        notes |= {RESTORING: "true"} if situation.sleeping.by == "restore" else {}
        spec = {**spec, "replicas": 0}
    else:
        mine = frozenset(fields.managed(live or {}))
        notes = {key: value for key, value in before.items() if paths.child(_NOTES, key) not in mine}
    annotations = {**(metadata.get("annotations") or {}), **notes}
    return {**item, "metadata": {**metadata, "annotations": annotations}, "spec": spec}


def _heeding(rules: Iterable[IgnoreRule]) -> Iterable[IgnoreRule]:
    """The rules without the fields that are ours here."""
    ours = {f"/metadata/annotations/{key.replace('/', '~1')}" for key in NOTES}
    for rule in rules:
        pointers = tuple(one for one in rule.pointers if one not in ours)
        if pointers:
            yield replace(rule, pointers=pointers)
