"""S5: a branch that does not continue the accepted history is followed, unless that would delete, replace or
downgrade."""

from collections.abc import Iterator

from reconciler import engine
from reconciler.engine import versions
from reconciler.fleet import removal
from reconciler.fleet.approvals import approved, consent_of, named
from reconciler.fleet.situation import Situation, chosen
from reconciler.model import ClusterDocument, Content, Held, ProfileUse
from reconciler.spec import semver


def judge(situation: Situation) -> tuple[Held | None, frozenset[str] | None]:
    """(why the revision is held as a whole, the clusters that stay and lose something by it where it was approved as a whole)."""
    if situation.snapshot.descends:
        return None, None
    losses = dict(_losses(situation))
    lines = [line for found in losses.values() for line in found]
    asked = consent_of([*removal.asked(situation, removal.fresh(situation)), *lines])
    if not asked.items:
        return None, None
    about = tuple(sorted({*situation.mine, *situation.present} - situation.taken.keys()))  # it is followed as a whole
    source = situation.snapshot.source
    if approved(asked, situation.counted(about), situation.trailers, situation.now, about, source):
        return None, frozenset(losses)
    message = f"the history was rewritten and would destroy: {'; '.join(asked.items)}"
    return Held("HistoryRewritten", message, asked.digest, asked.items, about=about), None


def _losses(situation: Situation) -> Iterator[tuple[str, list[str]]]:
    """The clusters that stay and lose something: one line per replaced store, lowered version and dropped profile."""
    for name in sorted(set(situation.mine) & set(situation.snapshot.specs.clusters)):
        before, content = situation.accepted_document(name), situation.accepted.get(name)
        if before is None or content is None:
            continue
        after = situation.snapshot.specs.clusters[name]
        if before.digest == after.digest and content.specs.profiles == situation.snapshot.specs.profiles:
            continue
        place = named(situation.mine[name])
        lines = [f"replace {place} {line}" for line in _replaced(before, after)]
        lines += [f"downgrade {place} {line}" for line in _lowered(situation, before, after)]
        lines += _profiles(situation, place, content, before, after)
        if lines:
            yield name, lines


def _replaced(before: ClusterDocument, after: ClusterDocument) -> Iterator[str]:
    old, new = before.cluster.spec.control_plane.store, after.cluster.spec.control_plane.store
    if old.type != new.type:
        yield f"store {old.type} by {new.type}"


def _lowered(situation: Situation, before: ClusterDocument, after: ClusterDocument) -> Iterator[str]:
    """Compares with the running versions; where nothing ran yet, with those of the accepted document."""
    runs, meant = situation.running(after.cluster.metadata.name), engine.asked(before.cluster, situation.rules)
    wanted = engine.asked(after.cluster, situation.rules)
    pairs = {
        "engine": (runs.engine or meant.engine, wanted.engine),
        "kubernetes": (runs.kubernetes or meant.kubernetes, wanted.kubernetes),
    }
    for what, (past, now) in pairs.items():
        if versions.lower(past, now):
            yield f"{what} {past} to {now}"


def _profiles(
    situation: Situation, place: str, content: Content, before: ClusterDocument, after: ClusterDocument
) -> Iterator[str]:
    kept = {use.name: use for use in after.cluster.spec.profiles}
    for use in before.cluster.spec.profiles:
        if use.name not in kept:
            yield f"remove {place} profile {use.name}"
            continue
        old, new = _accepted_version(content, use), situation.version(use.name, kept[use.name].version)
        if old and new and semver.version(new) < semver.version(old):
            yield f"downgrade {place} profile {use.name} {old} to {new}"


def _accepted_version(content: Content, use: ProfileUse) -> str:
    return chosen(use.name, use.version, [version for name, version in content.specs.profiles if name == use.name])
