"""From a tree to a snapshot: every spec is read once, checked alone and against the others (G7).

Results are kept: files by blob, profiles by document and files, clusters by document and what they use. So a commit
costs only what it changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct, field

from reconciler.errors import few
from reconciler.model import (
    NO_VERSIONS,
    ClusterDocument,
    HostFacts,
    Limits,
    NestedCluster,
    ProfileDocument,
    Revision,
    Rules,
    Snapshot,
    Specs,
    Tree,
    Versions,
    Violation,
    replace,
)
from reconciler.spec import choice, entries, files, hosts, lock, lost, manifests, outline, profiles, unread
from reconciler.spec.choice import Keys
from reconciler.spec.codes import Code
from reconciler.spec.content import Elsewhere
from reconciler.spec.entries import Entry, Item
from reconciler.spec.manifests import Facts
from reconciler.spec.named import Named, gathered
from reconciler.spec.outline import Outline
from reconciler.spec.profiles import Profile
from reconciler.spec.rules import Found, Mistake, alone, judged
from reconciler.spec.uses import Files

_SHOWN = 5  # files that one message names


class _Cluster(Struct, frozen=True):
    """A checked cluster, with the inputs of the check; `alone` are its mistakes that nothing but `item` and `uses` decides."""

    item: Item
    uses: tuple[Found, ...]
    alone: tuple[Mistake, ...]
    accepted: str
    running: Versions
    document: ClusterDocument
    violations: tuple[Violation, ...]


class Known(Struct, frozen=True):
    """Results of earlier loads, by path; those of files no longer in the tree are dropped. Grows with the YAML in the
    tree."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    facts: Mapping[tuple[str, bool], Facts] = field(default_factory=dict)
    profiles: Mapping[tuple[str, str], Profile] = field(default_factory=dict)
    clusters: Mapping[str, _Cluster] = field(default_factory=dict)
    judged_by: tuple[Rules, HostFacts] | None = None
    pointers: Mapping[str, bool] = field(
        default_factory=dict
    )  # small files in charts, by blob: is it a Git LFS pointer?


NOTHING = Known()


def wanted(tree: Tree, known: Known) -> list[str]:
    """The blobs `load` needs that are not known yet: YAML outside charts, and in charts what is small enough for a Git LFS
    pointer, each once, in path order."""
    seen = outline.of(tree)
    unread_yet = [path for path in seen.documents if _known(path, tree.files[path], known) is None]
    found = [tree.files[path] for path in unread_yet] + [oid for oid in seen.small if oid not in known.pointers]
    return list(dict.fromkeys(found))


def load(
    source: str,
    revision: Revision,
    tree: Tree,
    blobs: Mapping[str, bytes],
    known: Known,
    rules: Rules,
    facts: HostFacts,
    limits: Limits,
    *,
    accepted: Mapping[str, ClusterDocument] | None = None,
    in_use: Keys | None = None,
    running: Mapping[str, Versions] | None = None,
    origins: Keys | None = None,
    descends: bool = True,
    trailers: tuple[tuple[str, str], ...] = (),
) -> tuple[Snapshot, Known]:
    """The snapshot of one tree, and the results for the next call.

    `blobs`: content of at least `wanted(tree, known)`. `accepted`: documents the clusters were accepted with; `in_use`:
    digests of profile versions in use, by (name, version); `running`: the versions each cluster runs; `origins`: the
    files profile versions were accepted from. Specs holds only documents free of violations; a cluster whose profile is
    broken is left out with a violation of its own (V4), and so is a profile that uses a file that may not be read.
    Raises KeyError where a blob is missing.
    """
    shape, in_use = outline.of(tree), in_use or {}
    read = {path: _entry(path, tree.files[path], blobs, known, limits) for path in shape.documents}
    pointers = {oid: _is_pointer(oid, blobs, known) for oid in shape.small}
    kept = {key: one for key, one in known.facts.items() if tree.files.get(key[0]) == one.oid}
    locked, unlocked = _locked(read, limits)
    view = _view(tree, shape, read, kept, pointers, limits, Elsewhere(locked, rules.content))
    named = gathered(read)
    gone = _lost(lost.Seen(tree.files, shape, read, limits), named, accepted or {}, origins or {}, in_use)
    checked = _profiles(named.profiles, known, view)
    use = choice.chooser(checked, named.broken, in_use, rules)
    clusters = _clusters(named.clusters, use, known, rules, facts, accepted or {}, running or {})
    each = _hosted(clusters, accepted or {})
    violations = [*(one for one in shape.hiding if files.is_yaml(one.path)), *named.violations, *gone, *unlocked]
    for entry in read.values():
        violations += entry.violations
    for profile in checked.values():
        violations += profile.violations
    violations += _changed(checked, in_use, rules)
    for cluster in each.values():
        violations += cluster.violations
    specs = _specs(checked, each, in_use, rules)
    told = tuple(sorted(violations))
    doubts = _doubts(read, checked, lost.emptied(accepted or {}, named.clusters, read, limits))
    refused = _refused(each, read)
    snapshot = Snapshot(
        source, revision, tree.oid, tree.files, specs, told, descends, trailers, shape.hiding, doubts, refused
    )
    return snapshot, Known(read, kept, checked, clusters, (rules, facts), pointers)


def _doubts(
    read: Mapping[str, Entry], checked: Mapping[tuple[str, str], Profile], more: Iterable[Violation]
) -> tuple[Violation, ...]:
    """What is probably wrong, each once."""
    in_files = (one for entry in read.values() for one in entry.warnings)
    in_packs = (one for profile in checked.values() for one in profile.warnings)
    return tuple(sorted({*in_files, *in_packs, *more}))


def _refused(each: Mapping[str, _Cluster], read: Mapping[str, Entry]) -> dict[str, ClusterDocument]:
    """The documents that break a rule, but those whose name a document has that cannot be read: either may be meant."""
    found = {name: one.document for name, one in each.items() if one.violations}
    for entry in read.values() if found else ():
        for _, name, _ in entry.broken:
            found.pop(name, None)
    return found


def _known(path: str, oid: str, known: Known) -> Entry | None:
    entry = known.entries.get(path)
    return entry if entry is not None and entry.oid == oid else None


def _entry(path: str, oid: str, blobs: Mapping[str, bytes], known: Known, limits: Limits) -> Entry:
    return _known(path, oid, known) or entries.read(path, oid, blobs[oid], limits)


def _is_pointer(oid: str, blobs: Mapping[str, bytes], known: Known) -> bool:
    return known.pointers[oid] if oid in known.pointers else blobs[oid].startswith(unread.POINTER)


def _locked(read: Mapping[str, Entry], limits: Limits) -> tuple[lock.Entries, tuple[Violation, ...]]:
    found = read.get(lock.FILE)
    return lock.read(found.data, limits) if found is not None else ({}, ())


def _view(
    tree: Tree,
    shape: Outline,
    read: Mapping[str, Entry],
    kept: dict[tuple[str, bool], Facts],
    pointers: Mapping[str, bool],
    limits: Limits,
    elsewhere: Elsewhere,
) -> Files:
    """The tree for profiles; files named by packs are read when first asked for, and kept."""

    def facts(path: str, objects: bool) -> Facts | None:
        entry = read.get(path)
        if entry is None:
            return None
        if (path, objects) not in kept:
            kept[path, objects] = manifests.read(path, entry.oid, entry.data, limits, objects=objects)
        return kept[path, objects]

    def data(path: str) -> bytes | None:
        entry = read.get(path)
        return entry.data if entry is not None else None

    return Files(tree.files, sorted(tree.files), shape.charts, facts, shape.unread, pointers, elsewhere, data, limits)


def _lost(
    seen: lost.Seen, named: Named, accepted: Mapping[str, ClusterDocument], origins: Keys, in_use: Keys
) -> list[Violation]:
    """A file that held a document is checked again before the document counts as removed: a typing error is not a
    removal."""
    used = {key: path for key, path in origins.items() if key in in_use}
    found, meant = lost.profiles(used, {*named.profiles, *named.broken}, seen)
    named.broken |= meant
    return found + lost.clusters(accepted, named.clusters, seen)


def _profiles(items: Mapping[tuple[str, str], Item], known: Known, view: Files) -> dict[tuple[str, str], Profile]:
    return {key: _profile(item, known.profiles.get(key), view) for key, item in items.items()}


def _profile(item: Item, before: Profile | None, view: Files) -> Profile:
    """A profile is checked again each time (patterns may match more files), but the same object is kept if the result
    is the same."""
    now = profiles.check(item, view, before)
    if (
        before is not None
        and before.item is item
        and before.document == now.document
        and (before.violations, before.warnings) == (now.violations, now.warnings)
    ):
        return before
    return now


def _changed(checked: Mapping[tuple[str, str], Profile], in_use: Keys, rules: Rules) -> Iterator[Violation]:
    for key, profile in checked.items():
        if choice.moved(profile, key, in_use, rules):
            read = sorted({path for used in profile.document.files.values() for path, _ in used})
            what = f", nor that of {few(read, _SHOWN)}" if read else ""
            message = f"version {key[1]} of {key[0]} is in use, its content must not change{what}"
            command = f"nidus new profile {key[0]} --from {key[1]}"
            hint = f"put it back; the change is a new version, in copies of the files, which {command} makes"
            yield profile.item.violation("/spec/version", Code.VERSION_CHANGED, message, hint)


def _clusters(
    items: Mapping[str, Item],
    choose: Callable[[str, str], Found],
    known: Known,
    rules: Rules,
    facts: HostFacts,
    accepted: Mapping[str, ClusterDocument],
    running: Mapping[str, Versions],
) -> dict[str, _Cluster]:
    found, same = {}, known.judged_by == (rules, facts)
    for name, item in items.items():
        assert isinstance(item.spec, NestedCluster)
        uses = tuple([choose(use.name, use.version) for use in item.spec.spec.profiles])
        before = accepted.get(name)
        rests_on = before.digest if before else ""
        runs = running.get(name, NO_VERSIONS)
        old = known.clusters.get(name)
        if old is not None and (old.item is not item or old.uses != uses):
            old = None
        if same and old is not None and (old.accepted, old.running) == (rests_on, runs):
            found[name] = old
            continue
        own = old.alone if old is not None else tuple(alone(item.spec, uses))
        document = old.document if old is not None else ClusterDocument(item.spec, item.path, item.line, item.digest)
        told = [item.violation(*one) for one in (*own, *judged(item.spec, uses, rules, facts, before, runs))]
        found[name] = _Cluster(item, uses, own, rests_on, runs, document, entries.capped(told))
    return found


def _hosted(clusters: Mapping[str, _Cluster], accepted: Mapping[str, ClusterDocument]) -> dict[str, _Cluster]:
    """The clusters, with the mistake of those whose host name another has."""
    found, documents = dict(clusters), {name: one.document.cluster for name, one in clusters.items()}
    for name, mistake in hosts.shared(documents, accepted):
        one = found[name]
        told = entries.capped((*one.violations, one.item.violation(*mistake)))
        found[name] = replace(one, violations=told)
    return found


def _specs(
    checked: Mapping[tuple[str, str], Profile], clusters: Mapping[str, _Cluster], in_use: Keys, rules: Rules
) -> Specs:
    sound: dict[tuple[str, str], ProfileDocument] = {
        key: profile.document
        for key, profile in checked.items()
        if not profile.violations and not choice.moved(profile, key, in_use, rules)
    }
    return Specs({name: one.document for name, one in clusters.items() if not one.violations}, sound)
