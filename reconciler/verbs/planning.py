"""What `nidus plan` shows: reads the folder or a commit of it, the records and the live state, and reviews them. Writes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler import fleet
from reconciler.errors import Stalled, UsageError
from reconciler.inventory.store import Loaded, Store
from reconciler.model import (
    Bundle,
    ClusterReview,
    Content,
    HostFacts,
    Review,
    Revision,
    Snapshot,
    SourceConfig,
    Tree,
    replace,
)
from reconciler.plan import shown
from reconciler.source import folder, past
from reconciler.spec import load
from reconciler.verbs import above, baseline, connection, offline, usage
from reconciler.verbs.parsed import Parsed

if TYPE_CHECKING:
    from reconciler.gather import Reader
    from reconciler.kube.client import Client
    from reconciler.packs.blobs import Read
    from reconciler.packs.render import Renderer
    from reconciler.settings import Settings

_BARE = "without --config the rules are those of `nidus run --repo`: nothing that spec.ceilings would allow is allowed"


class Documents(Struct, frozen=True):
    """The documents to plan: their revision, files, and a reader of those."""

    revision: Revision
    tree: Tree
    read: Read


class _Ground(Struct, frozen=True):
    """What every part of a plan is made with: the operator's settings, what is known of the host, its client and records, and render
    workers, which may still start."""

    told: Settings
    facts: HostFacts
    client: Client
    loaded: Loaded
    renderer: Renderer


class Checked(Struct, frozen=True):
    """A snapshot checked against the accepted contents, those contents, a reader of the files of both, and what a reader of the
    plan has to know. `before`: only what differs from it is planned."""

    snapshot: Snapshot
    accepted: Mapping[str, Content]
    read: Read
    notes: tuple[str, ...]
    before: Snapshot | None = None


def review(args: argparse.Namespace) -> Review:
    """The review that the flags ask for. Raises NidusError where the flags, the folder or the host cannot be used."""
    from reconciler.kube import edge

    told = connection.configured(args, repo="" if args.config else args.path)
    source = source_of(args, told)
    documents = documents_of(Path(args.path), source.path, args.revision, told)
    client = edge.host(told.config.host)
    with offline.starting(1, offline.elsewhere(told.config.content)) as renderer:
        facts = told.facts(client.version())
        loaded = _recalled(Store(client, told.config.namespace).load(), client, told.config.namespace)
        return _planned(args, source, documents, _Ground(told, facts, client, loaded, renderer))


def _planned(args: argparse.Namespace, source: SourceConfig, documents: Documents, ground: _Ground) -> Review:
    told, loaded = ground.told, ground.loaded
    kept = Parsed(Path(args.path), source.path, told.limits)
    checked = _checked(kept, source.name, documents, ground)
    if args.base:
        older = before(Path(args.path), source.path, args.base, documents.revision, told)
        given = _checked(kept, source.name, older, ground).snapshot
        notes = (*checked.notes, f"only what differs from {args.base} at {older.revision.commit[:12]} is planned")
        checked = replace(checked, before=given, notes=notes)
    named = {*checked.snapshot.specs.clusters, *_broken(checked.snapshot)}
    _known(args.clusters, {*named, *loaded.states, *loaded.unreadable}, "cluster")
    found = _reviewed(args, ground, checked)
    if not (args.config or args.source):
        found = replace(found, clusters=tuple(map(_stranger, found.clusters)))
    strict = not args.config and any("ceilings" in one.message for one in found.violations)
    notes = (*checked.notes, _BARE) if strict else checked.notes
    found = _complete(replace(found, notes=notes), args.clusters)
    chosen = shown.only(found, args.clusters)
    if args.layer and all(one.plan for one in chosen.clusters):
        _known([args.layer], shown.layers(chosen), "layer")
    return shown.only(found, args.clusters, args.layer)


def source_of(args: argparse.Namespace, told: Settings) -> SourceConfig:
    """The source that the folder is: one of the configuration, or without one the folder under the name that is given."""
    import msgspec

    sources = told.config.sources
    if not args.config:
        return msgspec.structs.replace(sources[0], name=args.source) if args.source else sources[0]
    return connection.source(args.config, sources, args.source)


def before(place: Path, sub: str, name: str, revision: Revision, told: Settings) -> Documents:
    """The documents where a revision left the branch, tag or commit `name`. Raises UsageError where it is none."""
    left = past.common(place, name, revision.commit)
    tree, read = past.read(place, sub, left.commit, told.limits)
    return Documents(left, tree, read)


def documents_of(place: Path, sub: str, name: str, told: Settings) -> Documents:
    """The folder as it is, or at the commit that `name` means. Raises UsageError where neither is in Git."""
    if name:
        revision = past.revision(place, name)
        tree, read = past.read(place, sub, revision.commit, told.limits)
        return Documents(revision, tree, read)
    revision, tree, read = folder.read(place, sub, told.limits)
    if not revision.commit:
        why = "it is in no Git repository, in one without a commit, or in one of another user"
        hint = "a plan compares with the commits that were accepted: nidus plan WORK_TREE"
        raise UsageError(f"no commit of {place} can be read: {why}", hint=hint)
    return Documents(revision, tree, read)


def _known(names: Collection[str], known: Collection[str], what: str) -> None:
    """Raises Stalled for a name that is none: a plan of nothing would look like one without changes."""
    for name in names:
        if name not in known:
            raise usage.absent(f"no {what} {name[:100]}", name, sorted(known), f"{what}s", f"there is no {what}")


def _complete(review: Review, names: Collection[str]) -> Review:
    """With the clusters that were asked for and that this source neither has nor had."""
    missing = set(names) - {one.cluster for one in review.clusters}
    why = f"it does not belong to source {review.source}, or its removal is over"
    more = [ClusterReview(name, unseen=why) for name in missing]
    return replace(review, clusters=tuple(sorted((*review.clusters, *more), key=lambda one: one.cluster)))


def _stranger(one: ClusterReview) -> ClusterReview:
    """Without a configuration the name of the source is only the folder's: what another source has was not compared at all."""
    if one.held is None or one.held.reason != "NameTaken" or one.plan:
        return one
    return replace(one, held=None, unseen=f"{one.held.message}: --source names it, --config FILE gives its rules")


def _recalled(loaded: Loaded, client: Client, namespace: str) -> Loaded:
    """Records of an older format without versions, completed from their status objects."""
    if not any(fleet.unversioned(state.record) for state in loaded.states.values()):
        return loaded
    objects = client.list("nidus.dev", "NestedCluster", namespace=namespace)[0]
    said = {str(item["metadata"]["name"]): item.get("status") or {} for item in objects}
    return loaded.recalled(lambda name: said.get(name, {}))


def _checked(kept: Parsed, name: str, documents: Documents, ground: _Ground) -> Checked:
    told, facts, states = ground.told, ground.facts, ground.loaded.states
    place, tree, read = kept.place, documents.tree, documents.read
    records = {key: state.record for key, state in states.items() if state.record.source == name}
    base = baseline.Baseline(place, kept.sub, told.limits, list(records.values()), kept.known)
    snapshot, known = load.load(
        name,
        documents.revision,
        tree,
        read(load.wanted(tree, base.known)),
        base.known,
        told.rules,
        facts,
        told.limits,
        accepted=fleet.documents(base.accepted),
        in_use=fleet.in_use(records.values(), name),
        running=fleet.all_running(records, base.accepted, told.rules),
        origins=fleet.profiles(base.accepted),
        descends=base.descends(place, documents.revision.commit),
    )
    kept.keep(known.entries)

    def both(oids: Collection[str]) -> dict[str, bytes]:
        try:
            return read(oids)
        except (KeyError, Stalled):
            return base.blobs(oids)

    stood_for = {one: snapshot.content for one in base.missing if one in snapshot.specs.clusters}
    return Checked(snapshot, base.accepted | stood_for, both, _notes(place, snapshot, sorted(stood_for)))


def _notes(place: Path, snapshot: Snapshot, missing: Sequence[str]) -> tuple[str, ...]:
    """What the numbers do not say. `missing`: clusters whose accepted commit is not in this repository, and which are compared
    with the planned revision itself."""
    notes = []
    if not snapshot.specs.clusters:
        broken = f"every NestedCluster in {place} has mistakes"
        notes.append(broken if _broken(snapshot) else f"there is no NestedCluster in {place}")
    why, instead = above.told("plan", place, snapshot)
    notes += [f"{why}: {instead}"] if why else []
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        told = f"the accepted commit of {missing[0]}{more} is not in this repository (git fetch)"
        notes.append(f"{told}: changes of profile versions in use are not found")
    return tuple(notes)


def _broken(snapshot: Snapshot) -> set[str]:
    """The clusters whose documents have mistakes, by name."""
    subjects = {one.subject for one in snapshot.violations}
    return {one.removeprefix("cluster/") for one in subjects if one.startswith("cluster/")}


def _reviewed(args: argparse.Namespace, ground: _Ground, checked: Checked) -> Review:
    import time
    from contextlib import ExitStack

    from reconciler import review
    from reconciler.gather import servers
    from reconciler.inventory import requests
    from reconciler.inventory.salt import seen
    from reconciler.kube.targets import Targets
    from reconciler.packs.blobs import beside
    from reconciler.verbs.known import installed

    told, facts, client, loaded = ground.told, ground.facts, ground.client, ground.loaded
    namespace = told.config.namespace
    known = dict.fromkeys(loaded.unreadable, 0.0) | {name: one.begun for name, one in loaded.states.items()}
    with installed("Request"):
        asked = requests.load(client, namespace, known, time.time())
    salted = seen(client, namespace)
    standing = review.Standing(loaded.states, checked.accepted, asked.standing, salted, loaded.held)
    targets, blobs = Targets(client, inside=told.inside), beside(told.charts, checked.read)

    with ExitStack() as ends:
        ends.callback(targets.forget_all)
        offline.check_confinement(ground.renderer)

        def reader(bundle: Bundle) -> Reader:
            return servers.reader(bundle, client, targets, ground.renderer, blobs, facts, None)

        now, given, before = time.time(), (told.rules, facts), checked.before
        against = review.base(before, standing, *given, now) if before else None
        asked_for = {"every": args.all, "named": args.clusters, "against": against}
        found = review.review(checked.snapshot, standing, *given, reader, now, **asked_for)
        return new(found, before) if before else found


def new(review: Review, before: Snapshot) -> Review:
    """Without the mistakes and warnings that `before` has."""
    wrong = tuple(one for one in review.violations if one not in before.violations)
    return replace(
        review, violations=wrong, warnings=tuple(one for one in review.warnings if one not in before.warnings)
    )
