"""`fleet.admit`: what one revision may do over all clusters of its source (AD1, AD2, V4, S5)."""

from collections.abc import Callable, Collection, Mapping, Sequence

from reconciler import engine
from reconciler.fleet import expired, hosts, removal, rewritten
from reconciler.fleet.situation import CLUSTER, PROFILE, Situation, done
from reconciler.model import (
    ClusterDocument,
    Content,
    Held,
    Merge,
    Record,
    Request,
    Rollout,
    Rules,
    Snapshot,
    Tombstone,
    replace,
)
from reconciler.operations import expiry


def admit(
    snapshot: Snapshot,
    accepted: Mapping[str, Content],
    records: Mapping[str, Record],
    requests: Sequence[Request],
    rules: Rules,
    now: float,
    brought: Callable[[str], Collection[Merge | None]] = lambda name: (None,),
) -> Rollout:
    """The rollout of one revision of one source.

    `accepted`: cluster -> its specs at its record's commit, missing where they can no longer be read (S8); `records`
    are those of all sources, to find names that another source has: such a cluster is in `held` as NameTaken, and the
    other source's cluster is not changed. So it is with host names, as HostTaken. A cluster that is neither admitted nor
    a tombstone is left alone. `now` in seconds; `brought` as in Situation.
    """
    situation = Situation(snapshot, accepted, records, requests, rules, now, brought)
    halted, followed = rewritten.judge(situation)
    if halted is not None:
        return _stand_still(situation, halted)
    wanted, held = _admissions(situation)
    tombstones, kept = removal.judge(situation, approved=followed is not None)
    admitted, taken = hosts.settle(situation, _as_accepted(situation, wanted, kept))
    held = {**taken, **held, **kept}
    waits = expired.waits(situation, admitted, held)
    admitted = {name: one for name, one in admitted.items() if name not in expired.begun(situation, waits)}
    return _rollout(situation, *_ended(situation, admitted, tombstones, {**held, **waits}), followed)


def _as_accepted(situation: Situation, wanted: Mapping[str, Content], kept: Collection[str]) -> dict[str, Content]:
    """What is wanted, where the `kept` clusters stay as they were accepted: nothing is admitted of one whose accepted content cannot be
    read (S8), or whose removal is done, or began and is held."""
    begun = removal.stopped(situation)
    there = [
        name for name in kept if name in situation.mine and situation.accepted_document(name) and name not in begun
    ]
    before = {name: situation.accepted[name] for name in there}
    return {name: one for name, one in wanted.items() if name not in kept} | before


def _ended(
    situation: Situation,
    admitted: dict[str, Content],
    tombstones: dict[str, Tombstone],
    held: dict[str, Held],
) -> tuple[dict[str, Content], dict[str, Tombstone], dict[str, Held]]:
    """The rollout without the clusters whose time is over (O6)."""
    due, over = expired.due(situation, admitted, held), expired.over(situation)
    unread = [name for name in expired.left(situation) if removal.unparsed(situation, name) is None]
    left = {name: one for name, one in expired.left(situation).items() if name in unread}
    admitted = {name: one for name, one in admitted.items() if name not in due and name not in over}
    return admitted, {**left, **tombstones, **due}, {**held, **over}


def _stand_still(situation: Situation, halted: Held) -> Rollout:
    """For a rewritten history that would destroy something: all clusters stay at the accepted content; removals and ends
    that began go on."""
    halted, tombstones = replace(halted, end=f"its end waits: {halted.message}"), removal.continued(situation)
    waits = expired.waits(situation, {}, dict.fromkeys({*situation.mine} - {*tombstones}, halted))
    tombstones = {name: one for name, one in tombstones.items() if name not in waits}
    names = sorted(set(situation.mine) - set(tombstones))
    begun = removal.stopped(situation) | expired.begun(situation, waits)
    admitted = {
        name: situation.accepted[name] for name in names if situation.accepted_document(name) and name not in begun
    }
    standing = {*situation.taken, *tombstones}
    held = {name: halted for name in sorted({*names, *situation.present}) if name not in standing}
    return _rollout(situation, admitted, tombstones, {**held, **waits, **_taken(situation)})


def _admissions(situation: Situation) -> tuple[dict[str, Content], dict[str, Held]]:
    admitted: dict[str, Content] = {}
    held: dict[str, Held] = _taken(situation)
    content, changed = situation.snapshot.content, _changed_profiles(situation)
    for name in situation.present:
        if name in situation.taken:
            continue
        problem = _broken(situation, name) or _unlike_in_use(situation, name, changed)
        if problem is None:
            admitted[name] = content
        elif situation.accepted_document(name) and not (name in situation.records and done(situation.records[name])):
            admitted[name] = situation.accepted[name]
            held |= {name: problem} if problem.reason != "Invalid" else {}
        elif name in situation.mine:
            held[name] = removal.UNREADABLE
        else:
            held[name] = problem
    return admitted, held


def _broken(situation: Situation, name: str) -> Held | None:
    """V4: the cluster's own file, or the profile content it would use, has a violation."""
    document = situation.snapshot.specs.clusters.get(name)
    if document is not None and not situation.broken:
        return None
    subjects = [f"{CLUSTER}{name}"]
    for use, version in _uses(situation, document) if document else ():
        subjects += [
            f"{PROFILE}{use}@{version}",
            f"{PROFILE}{use}@",
        ]  # no version: the file does not say which
    message = next((situation.broken[subject] for subject in subjects if subject in situation.broken), "")
    return Held("Invalid", message) if message or document is None else None


def _changed_profiles(situation: Situation) -> frozenset[tuple[str, str]]:
    """Profile versions in use whose content changed. A version in use is immutable."""
    if situation.rules.profile_versions != "Immutable":
        return frozenset()
    used = {item for record in situation.mine.values() for item in record.digests.items()}
    now = {f"{PROFILE}{name}@{version}": (name, version) for name, version in situation.snapshot.specs.profiles}
    profiles = situation.snapshot.specs.profiles
    return frozenset(now[key] for key, digest in used if key in now and profiles[now[key]].digest != digest)


def _unlike_in_use(situation: Situation, name: str, changed: frozenset[tuple[str, str]]) -> Held | None:
    document = situation.snapshot.specs.clusters[name] if changed else None
    found = [use for use in _uses(situation, document) if use in changed] if document else []
    if not found:
        return None
    profile, version = found[0]
    return Held("ProfileVersionChanged", f"{profile}@{version} is in use with other content: publish a new version")


def _uses(situation: Situation, document: ClusterDocument) -> list[tuple[str, str]]:
    uses = document.cluster.spec.profiles
    return [(use.name, situation.version(use.name, use.version)) for use in uses]


def _taken(situation: Situation) -> dict[str, Held]:
    taken = situation.taken
    return {
        name: Held("NameTaken", f"{name} belongs to source {taken[name]}", waits_for=frozenset({name}))
        for name in situation.present
        if name in taken
    }


def _steps(situation: Situation, admitted: Mapping[str, Content]) -> dict[str, Held]:
    """Clusters that keep their running versions, because the step to those asked for is not allowed."""
    found = {}
    for name, content in admitted.items():
        document = content.specs.clusters[name].cluster
        choice = engine.choose(document, situation.rules, situation.running(name))
        if choice.held is not None:
            found[name] = choice.held
    return found


def _put_back(situation: Situation, admitted: Mapping[str, Content], lost: Collection[str]) -> dict[str, float]:
    """When what was approved of a cluster was used up, where this revision calls its removal or end off, or does what was asked for.
    A file that is put back calls its removal off, admitted or not. `lost`: clusters that an approved rewrite takes something from."""
    known, now, found = situation.records, situation.now, dict[str, float]()
    for name in sorted({*situation.present, *admitted} & known.keys()):
        if _called_off(situation, name, admitted.get(name)):
            found[name] = expiry.used_up(known[name], now)
    for name in sorted({*expired.hastened(situation), *lost} & admitted.keys()):
        if admitted[name].revision == situation.snapshot.revision:
            record = replace(known[name], tombstone=None, put_back=found.get(name, known[name].put_back))
            found[name] = expiry.used_up(record, now)
    return found


def _called_off(situation: Situation, name: str, content: Content | None) -> bool:
    record = situation.mine.get(name)
    if record is not None and expiry.leaving(record) and name in situation.present:
        return True
    if content is None:
        return False
    removed = situation.records[name].tombstone is not None
    return removed or expired.put_off(situation, name, content.specs.clusters[name])


def _rollout(
    situation: Situation,
    admitted: Mapping[str, Content],
    tombstones: Mapping[str, Tombstone],
    held: Mapping[str, Held],
    lost: Collection[str] | None = None,
) -> Rollout:
    future = [one.due for one in tombstones.values() if one.due > situation.now] + expired.times(situation, admitted)
    return Rollout(
        admitted=dict(sorted(admitted.items())),
        tombstones=dict(sorted(tombstones.items())),
        held=dict(sorted({**_steps(situation, admitted), **held}.items())),
        next_at=min(future, default=None),
        put_back=_put_back(situation, admitted, lost or ()),
    )
