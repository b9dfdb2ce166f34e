"""`nidus plan --offline`: two revisions rendered and compared, object by object. Nothing live is read, so nothing is said of drift,
allocations, or what a server would refuse."""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NidusError
from reconciler.model import Change, ClusterReview, Object, ObjectRef, Plan, Review, Target, replace
from reconciler.plan import consent, diff, fields, flags, mark, order, redact, shown
from reconciler.verbs import connection, offline, planning, render

if TYPE_CHECKING:
    from reconciler.model import Bundle, Snapshot
    from reconciler.packs.blobs import Read
    from reconciler.packs.render import Renderer

Key = tuple[Target, ObjectRef]
Placed = tuple[str, Object]  # the layer's name, and the object


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two revisions."""

    snapshot: Snapshot
    read: Read


@dataclass(frozen=True, slots=True)
class _Made:
    """A cluster of one revision: its objects, the layers that cannot be rendered, and what is not known."""

    bundle: Bundle | None
    objects: Mapping[Key, Placed]
    broken: Mapping[str, str]
    notes: tuple[str, ...] = ()


NOTHING = _Made(None, {}, {})


def review(args: argparse.Namespace) -> Review:
    """What differs between the folder (or --revision) and --base. Raises NidusError where one of them cannot be read."""
    told = connection.configured(args, repo="" if args.config else args.path)
    source, given = planning.source_of(args, told), render.given_by(args.config, args.source)
    documents = planning.documents_of(Path(args.path), source.path, args.revision, told)
    older = planning.before(Path(args.path), source.path, args.base, documents.revision, told)
    after, before = (_side(source.name, one, given) for one in (documents, older))
    salt, clusters, notes = secrets.token_bytes(32), list[ClusterReview](), dict[str, None]()
    with offline.renderer(1, offline.elsewhere(given.terms.content, offline=True)) as renderer:
        for name in sorted({*before.snapshot.specs.clusters, *after.snapshot.specs.clusters}):
            old, new = (_made(name, side, given, renderer) for side in (before, after))
            found = _compared(name, old, new, salt)
            if args.all or name in args.clusters or (found.plan and (found.plan.changes or found.plan.unknown)):
                clusters.append(found)
                notes |= dict.fromkeys((*old.notes, *new.notes))
    wrong, doubts = after.snapshot.violations, after.snapshot.warnings
    first = f"offline: compared with {args.base} at {older.revision.commit[:12]}, not with a cluster"
    told_of = (first, *(f"not known offline: {note}" for note in notes))
    made = Review(
        source.name, documents.revision, "", time.time(), tuple(clusters), wrong, notes=told_of, warnings=doubts
    )
    return shown.only(planning.new(made, before.snapshot), args.clusters, args.layer)


def _side(name: str, documents: planning.Documents, given: render.Given) -> _Side:
    from reconciler.packs.blobs import beside

    found = (documents.revision, documents.tree, documents.read)
    return _Side(offline.checked(name, found, given.terms)[0], beside(given.charts, documents.read))


def _made(name: str, side: _Side, given: render.Given, renderer: Renderer) -> _Made:
    """Everything that one revision makes of a cluster; nothing where it has no sound one."""
    if name not in side.snapshot.specs.clusters:
        return NOTHING
    try:
        bundle = render.bundle_of(name, side.snapshot, given)
    except NidusError as error:
        return _Made(None, {}, {"bundle": error.told})
    layers = render.chosen(bundle, "", known_engine=given.known_engine)
    made, broken, notes = render.rendered(bundle, layers, given, side.read, renderer)
    objects = {
        (one.layer.target, mark.ref_of(item)): (one.layer.name, item)
        for one in made
        for item in (*one.objects, *one.unplaced)
    }
    return _Made(bundle, objects, broken, tuple(notes))


def _compared(name: str, old: _Made, new: _Made, salt: bytes) -> ClusterReview:
    """The changes of one cluster. Of a layer that cannot be rendered in one of the two nothing is said but that."""
    broken = {**old.broken, **new.broken}
    changes = [one for one in _changes(old.objects, new.objects, salt) if one.layer not in broken]
    kept = [one for one in changes if one.action != "delete"]
    gone = [one for one in changes if one.action == "delete"]
    bundle = new.bundle or old.bundle
    if bundle is None:
        return ClusterReview(name, unseen="; ".join(broken.values()) or "it has no sound document")
    ordered = order.arranged(kept, gone, bundle.layers)
    return ClusterReview(name, Plan(name, bundle.revision, ordered, consent.of(ordered), broken))


def _changes(old: Mapping[Key, Placed], new: Mapping[Key, Placed], salt: bytes) -> Iterator[Change]:
    for key in sorted({*old, *new}, key=str):
        target, ref = key
        if key not in new:
            layer, item = old[key]
            yield Change("delete", target, ref, layer, flags=flags.destroying(ref, item))
        elif key not in old:
            layer, item = new[key]
            yield Change("create", target, ref, layer, desired=item)
        else:
            layer, item = new[key]
            found = diff.diff(item, old[key][1], item, (*fields.owned(item), *fields.owned(old[key][1])), ())
            told = redact.redact(target, ref, found, salt)
            change = Change("configure", target, ref, layer, desired=item, fields=told)
            if found:
                yield replace(change, flags=flags.of(change, told))
