"""From a tree to a snapshot: every spec read, checked alone and against the others, and nothing read twice (G7).

Files are kept by blob, profiles by document and files, clusters by document and what they use: a commit costs what it changed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.model import (
    NO_VERSIONS,
    ClusterDocument,
    ClusterProfile,
    Limits,
    NestedCluster,
    Policy,
    ProfileDocument,
    Revision,
    Snapshot,
    Specs,
    Tree,
    Versions,
    Violation,
)
from reconciler.spec import entries, files, manifests, profiles, rules, semver
from reconciler.spec.codes import Code
from reconciler.spec.entries import Entry, Item
from reconciler.spec.manifests import Facts
from reconciler.spec.profiles import Files, Profile

Keys = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A checked cluster, with what the verdict rests on."""

    item: Item
    uses: tuple[rules.Found, ...]
    accepted: str
    running: Versions
    document: ClusterDocument
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier loads found out, by path; entries of files that left the tree are dropped. Grows with the YAML in the tree."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    facts: Mapping[tuple[str, bool], Facts] = field(default_factory=dict)
    profiles: Mapping[tuple[str, str], Profile] = field(default_factory=dict)
    clusters: Mapping[str, _Cluster] = field(default_factory=dict)
    policy: Policy | None = None


NOTHING = Known()


def wanted(tree: Tree, known: Known) -> list[str]:
    """The blobs `load` needs that are not known yet: YAML outside charts, each once, in path order."""
    found: dict[str, None] = {}
    for path in _yaml(tree):
        entry, oid = known.entries.get(path), tree.files[path]
        if entry is None or entry.oid != oid:
            found[oid] = None
    return list(found)


def load(
    source: str,
    revision: Revision,
    tree: Tree,
    blobs: Mapping[str, bytes],
    known: Known,
    policy: Policy,
    limits: Limits,
    *,
    accepted: Mapping[str, ClusterDocument] | None = None,
    in_use: Keys | None = None,
    running: Mapping[str, Versions] | None = None,
    descends: bool = True,
    trailers: tuple[tuple[str, str], ...] = (),
) -> tuple[Snapshot, Known]:
    """The snapshot of one tree, and what to hand to the next call.

    `blobs`: content of at least `wanted(tree, known)`. `accepted`: documents the clusters were accepted with; `in_use`: digests of
    profile versions in use, by (name, version); `running`: the versions each cluster runs. Specs holds only documents free of
    violations; a cluster whose profile is broken is left out with a violation of its own (V4). Raises KeyError where a blob is missing.
    """
    read = {path: _entry(path, tree.files[path], blobs, known, limits) for path in _yaml(tree)}
    kept = {key: facts for key, facts in known.facts.items() if tree.files.get(key[0]) == facts.oid}
    view = _view(tree, read, kept, limits)
    named = _gather(read)
    checked = _profiles(named.profiles, known, view)
    use = _chooser(checked, named, in_use or {}, policy)
    same = known.clusters if known.policy == policy else {}
    clusters = _clusters(named.clusters, use, same, policy, accepted or {}, running or {})
    violations = [*tree.violations, *named.violations, *_lost(read, named, accepted or {}, limits)]
    for entry in read.values():
        violations += entry.violations
    for profile in checked.values():
        violations += profile.violations
    violations += _changed(checked, in_use or {}, policy)
    for cluster in clusters.values():
        violations += cluster.violations
    specs = _specs(checked, clusters, in_use or {}, policy)
    snapshot = Snapshot(source, revision, tree.oid, tree.files, specs, tuple(sorted(violations)), descends, trailers)
    return snapshot, Known(read, kept, checked, clusters, policy)


def _yaml(tree: Tree) -> Iterator[str]:
    charts = files.charts(tree.files)
    for path in tree.files:
        if path.endswith((".yaml", ".yml")) and not (charts and files.inside(path, charts)):
            yield path


def _entry(path: str, oid: str, blobs: Mapping[str, bytes], known: Known, limits: Limits) -> Entry:
    entry = known.entries.get(path)
    return entry if entry is not None and entry.oid == oid else entries.read(path, oid, blobs[oid], limits)


def _view(tree: Tree, read: Mapping[str, Entry], kept: dict[tuple[str, bool], Facts], limits: Limits) -> Files:
    """The tree for profiles; files named by packs are read when first asked for, and kept."""

    def facts(path: str, objects: bool) -> Facts | None:
        entry = read.get(path)
        if entry is None:
            return None
        if (path, objects) not in kept:
            kept[path, objects] = manifests.read(path, entry.oid, entry.data, limits, objects=objects)
        return kept[path, objects]

    return Files(tree.files, sorted(tree.files), files.charts(tree.files), facts)


@dataclass(slots=True)
class _Named:
    """Sound documents by name, each name once; `broken` are profiles that are not: (name, version or "")."""

    clusters: dict[str, Item] = field(default_factory=dict)
    profiles: dict[tuple[str, str], Item] = field(default_factory=dict)
    broken: set[tuple[str, str]] = field(default_factory=set)
    violations: list[Violation] = field(default_factory=list)


def _gather(read: Mapping[str, Entry]) -> _Named:
    named = _Named()
    claims: dict[str, list[Item]] = defaultdict(list)
    for entry in read.values():
        for item in entry.items:
            claims[item.subject].append(item)
        named.broken.update((name, version) for kind, name, version in entry.broken if kind == "ClusterProfile")
    for items in claims.values():
        item = items[0]
        name = item.spec.metadata.name
        if len(items) > 1:
            named.violations += [_duplicate(one, items) for one in items]
            if isinstance(item.spec, ClusterProfile):
                named.broken.add((name, item.spec.spec.version))
        elif isinstance(item.spec, ClusterProfile):
            named.profiles[name, item.spec.spec.version] = item
        else:
            named.clusters[name] = item
    return named


def _lost(
    read: Mapping[str, Entry], named: _Named, accepted: Mapping[str, ClusterDocument], limits: Limits
) -> Iterator[Violation]:
    """A file that held a cluster is looked at once more before the cluster counts as removed: a typo is not a removal."""
    for name, document in accepted.items():
        entry = read.get(document.path)
        if name not in named.clusters and entry is not None and not entry.violations:
            yield from entries.lost(document.path, name, entry.data, limits)


def _duplicate(item: Item, items: list[Item]) -> Violation:
    others = ", ".join(f"{one.path}:{one.line}" for one in items if one is not item)
    message = f"{item.subject.replace('/', ' ')} is also in {others}"
    return item.violation("/metadata/name", Code.DUPLICATE_NAME, message, "names are unique over all files")


def _profiles(items: Mapping[tuple[str, str], Item], known: Known, view: Files) -> dict[tuple[str, str], Profile]:
    return {key: _profile(item, known.profiles.get(key), view) for key, item in items.items()}


def _profile(item: Item, before: Profile | None, view: Files) -> Profile:
    """A profile is checked again each time (globs may match more files), but the object stays while nothing came of it."""
    now = profiles.check(item, view)
    if (
        before is not None
        and before.item is item
        and before.document == now.document
        and before.violations == now.violations
    ):
        return before
    return now


def _changed(checked: Mapping[tuple[str, str], Profile], in_use: Keys, policy: Policy) -> Iterator[Violation]:
    for key, profile in checked.items():
        if _moved(profile, key, in_use, policy):
            message = f"version {key[1]} of {key[0]} is in use, its content must not change"
            hint = "give the new content a new version"
            yield profile.item.violation("/spec/version", Code.VERSION_CHANGED, message, hint)


def _moved(profile: Profile, key: tuple[str, str], in_use: Keys, policy: Policy) -> bool:
    return policy.profile_versions == "Immutable" and key in in_use and in_use[key] != profile.document.digest


def _chooser(
    checked: Mapping[tuple[str, str], Profile], named: _Named, in_use: Keys, policy: Policy
) -> Callable[[str, str], rules.Found]:
    """Which profile a (name, range) means. Broken versions count: a cluster never falls back to an older one because of them."""
    of: dict[str, set[str]] = defaultdict(set)
    for name, version in [*checked, *named.broken]:
        of[name].add(version)
    answers: dict[tuple[str, str], rules.Found] = {}

    def choose(name: str, wanted: str) -> rules.Found:
        if (name, wanted) not in answers:
            answers[name, wanted] = _answer(name, wanted, of.get(name, set()), checked, in_use, policy)
        return answers[name, wanted]

    return choose


def _answer(
    name: str,
    wanted: str,
    all_versions: set[str],
    checked: Mapping[tuple[str, str], Profile],
    in_use: Keys,
    policy: Policy,
) -> rules.Found:
    if not all_versions:
        return Code.NO_PROFILE, f"no profile {name}", ""
    readable = {version for version in all_versions if _is_version(version)}
    try:
        best = semver.best(wanted, readable)
    except ValueError as error:
        return Code.BAD_RANGE, str(error), ""
    if wanted not in readable and readable != all_versions:
        best = "?"  # a version nobody can read may be the one that is meant
    if best is None:
        return Code.NO_VERSION, f"no version of {name} fits", f"there are: {', '.join(sorted(readable))}"
    profile = checked.get((name, best))
    if profile is None or profile.violations or _moved(profile, profile.key, in_use, policy):
        return Code.BROKEN_PROFILE, f"profile {name} {wanted} is broken, see its own errors", ""
    return profile


def _is_version(text: str) -> bool:
    try:
        semver.version(text)
    except ValueError:
        return False
    return True


def _clusters(
    items: Mapping[str, Item],
    choose: Callable[[str, str], rules.Found],
    known: Mapping[str, _Cluster],
    policy: Policy,
    accepted: Mapping[str, ClusterDocument],
    running: Mapping[str, Versions],
) -> dict[str, _Cluster]:
    found = {}
    for name, item in items.items():
        assert isinstance(item.spec, NestedCluster)
        uses = tuple([choose(use.name, use.version) for use in item.spec.spec.profiles])
        before = accepted.get(name)
        rests_on = before.digest if before else ""
        runs = running.get(name, NO_VERSIONS)
        old = known.get(name)
        if old is not None and old.item is item and (old.uses, old.accepted, old.running) == (uses, rests_on, runs):
            found[name] = old
            continue
        document = ClusterDocument(item.spec, item.path, item.line, item.digest)
        mistakes = [item.violation(*mistake) for mistake in rules.check(item.spec, uses, policy, before, runs)]
        found[name] = _Cluster(item, uses, rests_on, runs, document, tuple(sorted(set(mistakes))))
    return found


def _specs(
    checked: Mapping[tuple[str, str], Profile], clusters: Mapping[str, _Cluster], in_use: Keys, policy: Policy
) -> Specs:
    sound: dict[tuple[str, str], ProfileDocument] = {
        key: profile.document
        for key, profile in checked.items()
        if not profile.violations and not _moved(profile, key, in_use, policy)
    }
    return Specs({name: one.document for name, one in clusters.items() if not one.violations}, sound)
