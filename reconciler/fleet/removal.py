"""Clusters that are no longer in Git: which become tombstones, and which are held (AD2, V4, D1)."""

from collections.abc import Collection, Iterable

from reconciler.fleet import expired
from reconciler.fleet.approvals import approved, consent_of, goes
from reconciler.fleet.situation import Situation
from reconciler.model import Consent, Held, Record, Tombstone
from reconciler.spec import units

UNREADABLE = Held(
    "AcceptedUnreadable",
    "its accepted content can no longer be read; nothing of it is changed until Git can be read again",
)
PROTECTED = Held(
    "Protected", "spec.deletion.protect is true: put the file back; to remove the cluster, set it to false there first"
)


def judge(situation: Situation, *, approved: bool) -> tuple[dict[str, Tombstone], dict[str, Held]]:
    """(tombstones, held) of the clusters missing from the tree; the held ones stay as they are: as accepted, or half removed where
    their removal began. As accepted stay those that the revision would end within a day, where it removes too much with them (O6).

    `approved`: the whole revision was approved already (S5).
    """
    over = None if approved else _over_budget(situation)
    tombstones: dict[str, Tombstone] = {}
    held: dict[str, Held] = {}
    for name in situation.missing:
        standing = situation.mine[name].tombstone
        reason = _reason(situation, name) or unparsed(situation, name) or (over if standing is None else None)
        if reason is not None:
            held[name] = reason
        else:
            tombstones[name] = standing or _tombstone(situation, name)
    if over is not None:
        held |= dict.fromkeys(expired.hastened(situation), over)
    return tombstones, held


def continued(situation: Situation) -> dict[str, Tombstone]:
    """Tombstones set by an earlier revision, of clusters that are still missing and that nothing holds, and of those that expired, whose
    file stays."""
    standing = {name: one.tombstone for name, one in situation.mine.items()}
    return {
        name: tombstone
        for name, tombstone in standing.items()
        if tombstone is not None
        and not tombstone.protect
        and (tombstone.expired if name in situation.present else unparsed(situation, name) is None)
    }


def stopped(situation: Situation) -> frozenset[str]:
    """Clusters whose removal began, and that are still missing: where it is held, nothing of them is made again (D1)."""
    return frozenset(name for name in situation.missing if situation.mine[name].tombstone is not None)


def fresh(situation: Situation) -> tuple[str, ...]:
    """Clusters this revision removes: missing, and no tombstone yet."""
    return tuple(name for name in situation.missing if situation.mine[name].tombstone is None)


def removal_of(record: Record, tombstone: Tombstone | None) -> str:
    """One removal as approved. None where its accepted content can no longer be read: then it is held."""
    return goes("remove", record, _how(tombstone) if tombstone is not None else "")


def asked(situation: Situation, gone: Iterable[str]) -> list[str]:
    """What a revision that removes these clusters asks for, as approved: their removals, and its ends within a day."""
    removals = [
        removal_of(situation.mine[name], _tombstone(situation, name) if situation.accepted_document(name) else None)
        for name in gone
    ]
    return [*removals, *(expired.asked(situation, name) for name in expired.hastened(situation))]


def consent(situation: Situation) -> Consent:
    """What a human approves to permit this revision's removals, and ends within a day; protected clusters do not leave, and are not in
    it."""
    return consent_of(asked(situation, _removable(situation)))


def _removable(situation: Situation) -> tuple[str, ...]:
    return tuple(name for name in fresh(situation) if _reason(situation, name) is None)


def _reason(situation: Situation, name: str) -> Held | None:
    """Why this removal cannot be approved, "" if it can."""
    standing, document = situation.mine[name].tombstone, situation.accepted_document(name)
    if standing is not None:
        return PROTECTED if standing.protect else None
    if document is None:
        return UNREADABLE
    return PROTECTED if document.cluster.spec.deletion.protect else None


def unparsed(situation: Situation, name: str) -> Held | None:
    """V4: the missing cluster may be described in a file, or below a folder, that could not be read."""
    path = situation.records[name].path
    for one in situation.unread:
        if one.path in ("", ".") or one.path.endswith((".yaml", ".yml")) or path.startswith(f"{one.path}/"):
            place = f"{one.path}:{one.line}: {one.message}"
            return Held("Unparsed", f"the removal waits until everything can be read: {place}")
    return None


def _over_budget(situation: Situation) -> Held | None:
    gone, ends, wanted = fresh(situation), expired.hastened(situation), consent(situation)
    count, budget = len(gone) + len(ends), situation.rules.budget.clusters
    last = bool(gone) and not [name for name in situation.present if name not in situation.taken and name not in ends]
    over = last or count > budget
    if not count or not (over or situation.rules.unreviewed == "Hold"):
        return None
    about = (*_removable(situation), *ends)
    source = situation.snapshot.source
    if approved(wanted, situation.counted(about), situation.trailers, situation.now, about, source):
        return None
    does, listed = _does(situation, gone, ends), _listed(situation, gone, ends)
    if not over:
        told = f"{does} what nobody reviewed (policy.unreviewed: Hold): {listed}"
        return Held("Unreviewed", told, wanted.digest, wanted.items, about=about)
    why = "the last clusters of the source" if last else f"{count} clusters in one revision, budget {budget}"
    return Held("RemovalBudget", f"{does} {why}: {listed}", wanted.digest, wanted.items, about=about)


def _does(situation: Situation, gone: Collection[str], ends: Collection[str]) -> str:
    """`removes`, or `removes or ends within a day`."""
    ending = "ends by a ttl" if situation.rules.unreviewed == "Hold" else "ends within a day"
    return " or ".join([*(["removes"] if gone else []), *([ending] if ends else [])])


def _listed(situation: Situation, gone: Collection[str], ends: Collection[str]) -> str:
    """Each with what becomes of it."""
    removed = (_named(situation, name) for name in gone)
    return ", ".join([*removed, *(f"{name} ({expired.how(situation, name)})" for name in ends)])


def _tombstone(situation: Situation, name: str) -> Tombstone:
    document = situation.accepted_document(name)
    if document is None:
        raise AssertionError(f"{name}: a removal without accepted content is held before")
    deletion = document.cluster.spec.deletion
    grace = units.duration(deletion.grace) if deletion.grace else situation.rules.grace
    due, commit = situation.now + grace, str(situation.snapshot.revision)
    return Tombstone(since=situation.now, due=due, policy=deletion.policy, protect=False, commit=commit)


def _named(situation: Situation, name: str) -> str:
    """With what its removal does; a protected one is not removed."""
    if _reason(situation, name) is not None:
        return name
    return f"{name} ({_how(_tombstone(situation, name))})"


def _how(tombstone: Tombstone) -> str:
    """`Delete after 24h`."""
    return f"{tombstone.policy} after {units.lasting(tombstone.due - tombstone.since)}"
