"""Renders every pack as every cluster uses it, so that a chart that cannot be rendered is a mistake before the push.

Packs that come to the same are rendered once. What the host would answer (its API versions) is not known here.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.errors import Stalled, few
from reconciler.model import replace
from reconciler.verbs import offline, spaces, unrun

if TYPE_CHECKING:
    from reconciler.model import HostFacts, Layer, ProfileDocument, Rules, Snapshot, Violation
    from reconciler.packs.blobs import Read
    from reconciler.spec.codes import Code
    from reconciler.verbs.offline import Terms

WORKERS = 4
SILENT = 2.0  # seconds before progress is told
_STEP = 0.5
_LEVEL = "change the manifest or the chart's values: no pod of it runs in these clusters"
_SHOWN = 3  # clusters that one message names


class _Pack(Struct, frozen=True):
    """One pack as some clusters use it: the layer is that of the first."""

    layer: Layer
    profile: ProfileDocument
    version: str
    clusters: tuple[str, ...]


class _Made(Struct, frozen=True):
    """What is asked of the objects of a pack."""

    spaces: spaces.Spaces
    refused: list[unrun.Refused]


def mistakes(
    snapshot: Snapshot, read: Read, terms: Terms, progress: Callable[[int, int], None], *, without_network: bool = False
) -> tuple[tuple[Violation, ...], tuple[Violation, ...]]:
    """A mistake for each pack of a sound cluster that cannot be rendered, at the pack in its profile; and warnings, such as packs whose
    content is not here `without_network`. `progress` is told how many are done, of how many, twice a second. Raises Retry where no render
    worker can be started."""
    packs = _packs(snapshot, terms.rules, terms.facts)
    if not packs:
        return (), ()
    workers = max(1, min(WORKERS, os.cpu_count() or 1, len(packs)))
    with offline.renderer(workers, offline.elsewhere(terms.content, offline=without_network)) as renderer:
        used = {name: one.cluster for name, one in snapshot.specs.clusters.items()}

        def made(pack: _Pack) -> _Made:
            objects = renderer.render(pack.layer, read, host_version=pack.version)
            refused = unrun.of({name: used[name] for name in pack.clusters}, objects, terms.rules)
            return _Made(spaces.of(pack.clusters, pack.layer.namespace, objects), refused)

        tried = _tried(packs, made, workers, progress)
    errors = [(pack, found) for pack, found in tried if isinstance(found, Stalled)]
    wrong, absent = _parted(errors)
    rendered = [(pack, found) for pack, found in tried if isinstance(found, _Made)]
    spaced = [(pack, found.spaces) for pack, found in rendered]
    failed = {name for pack, _ in errors for name in pack.clusters}  # what else they make is not known
    homeless = _homeless(spaced, failed, snapshot, read)
    warnings = (*_told(absent, snapshot, read), *homeless, *_unrun(rendered, snapshot, read))
    return tuple(sorted(_told(wrong, snapshot, read))), tuple(sorted(warnings))


def _parted(errors: list[Failed]) -> tuple[list[Failed], list[Failed]]:
    """Those that are mistakes, and those whose content was not fetched, or whose keys are the controller's."""
    from reconciler.packs import keys
    from reconciler.packs.content import ABSENT

    absent = [one for one in errors if one[1].reason in (ABSENT, keys.KEYS_ABSENT)]
    return [one for one in errors if one not in absent], absent


Failed = tuple[_Pack, Stalled]


class Progress:
    """Writes how far the rendering is, to a terminal and not in the first two seconds; `end` removes that again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._start, self._told = clock, clock(), False

    def __call__(self, done: int, total: int) -> None:
        if self._clock() - self._start >= SILENT and sys.stderr.isatty():
            sys.stderr.write(f"\rrendering: {done} of {total} packs")
            sys.stderr.flush()
            self._told = True

    def end(self) -> None:
        if self._told:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _packs(snapshot: Snapshot, rules: Rules, facts: HostFacts) -> list[_Pack]:
    """The packs of all sound clusters, those that render alike once."""
    from reconciler.spec import resolve
    from reconciler.spec.entries import digest

    first: dict[str, _Pack] = {}
    used: dict[str, list[str]] = defaultdict(list)
    for name, document in sorted(snapshot.specs.clusters.items()):
        version = document.cluster.spec.kubernetes.version or offline.newest(rules)
        for layer, profile in resolve.packs(name, snapshot.content, rules, facts):
            spec = [profile.path, layer.name, layer.kind, layer.spec, layer.files, layer.context, layer.namespace]
            key = digest([*spec, version])
            first.setdefault(key, _Pack(replace(layer, digest=key), profile, version, ()))
            used[key].append(name)
    return [replace(pack, clusters=tuple(used[key])) for key, pack in first.items()]


def _tried(
    packs: Sequence[_Pack], made: Callable[[_Pack], _Made], workers: int, progress: Callable[[int, int], None]
) -> list[tuple[_Pack, Stalled | _Made]]:
    from concurrent.futures import (  # brings logging: nothing to render goes without
        FIRST_COMPLETED,
        Future,
        ThreadPoolExecutor,
        wait,
    )

    def attempt(pack: _Pack) -> Stalled | _Made:
        try:
            return made(pack)
        except Stalled as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        tried: dict[Future[Stalled | _Made], _Pack] = {pool.submit(attempt, pack): pack for pack in packs}
        left = set(tried)
        while left:
            _, left = wait(left, _STEP, FIRST_COMPLETED)
            progress(len(tried) - len(left), len(tried))
    return [(pack, future.result()) for future, pack in tried.items()]


def _told(failed: Sequence[tuple[_Pack, Stalled]], snapshot: Snapshot, read: Read) -> Iterator[Violation]:
    """One mistake a pack, with every cluster it concerns: uses that differ in values mostly fail alike."""
    from reconciler.spec.codes import Code

    grouped: dict[tuple[str, str, str], list[tuple[_Pack, Stalled]]] = defaultdict(list)
    for pack, error in failed:
        grouped[pack.profile.path, pack.profile.profile.spec.version, pack.layer.name].append((pack, error))
    for uses in grouped.values():
        pack, error = uses[0]
        clusters = sorted({name for one, _ in uses for name in one.clusters})
        what = (Code.RENDER, "cannot be rendered for", f": {error.message}", error.hint)
        yield _violation(replace(pack, clusters=tuple(clusters)), what, snapshot, read)


def _unrun(rendered: Sequence[tuple[_Pack, _Made]], snapshot: Snapshot, read: Read) -> Iterator[Violation]:
    """A warning for each pack that makes pods which the pod security level of clusters refuses."""
    from reconciler.spec.codes import Code

    for pack, made in rendered:
        for one in made.refused:
            before = f"makes pods that isolation.podSecurity {one.level} refuses, for"
            what = (Code.REFUSED, before, f": {one.told}", _LEVEL)
            yield _violation(replace(pack, clusters=one.clusters), what, snapshot, read)


def _homeless(
    rendered: Sequence[tuple[_Pack, spaces.Spaces]], failed: set[str], snapshot: Snapshot, read: Read
) -> Iterator[Violation]:
    """A warning for each namespace that a pack uses and nothing in the repository makes, with every cluster that lacks it."""
    from reconciler.plan.kinds import MAKE_NAMESPACE
    from reconciler.spec.codes import Code

    clusters = {name: one.cluster for name, one in snapshot.specs.clusters.items() if name not in failed}
    grouped: dict[tuple[str, str, str, str], list[tuple[_Pack, tuple[str, ...]]]] = defaultdict(list)
    for index, space, lacking in spaces.missing([found for _, found in rendered], clusters):
        pack = rendered[index][0]
        grouped[pack.profile.path, pack.profile.profile.spec.version, pack.layer.name, space].append((pack, lacking))
    for (*_, space), uses in grouped.items():
        pack = replace(uses[0][0], clusters=tuple(sorted({name for _, names in uses for name in names})))
        told = f"puts objects into namespace {space}, which nothing makes, for"
        yield _violation(pack, (Code.NO_NAMESPACE, told, "", MAKE_NAMESPACE), snapshot, read)


def _violation(pack: _Pack, what: tuple[Code, str, str, str], snapshot: Snapshot, read: Read) -> Violation:
    """At the pack in its profile. `what`: the code, what is told before and after the clusters, and the fix."""
    from reconciler.model import Violation

    code, before, after, hint = what
    document, name = pack.profile.profile, pack.layer.name.partition("/")[2]
    index = next(index for index, one in enumerate(document.spec.packs) if one.name == name)
    pointer = f"/spec/packs/{index}"
    message = f"pack {name} {before} {few(pack.clusters, _SHOWN)}{after}"
    subject = f"profile/{document.metadata.name}@{document.spec.version}"
    line, column = _place(pack.profile, f"{pointer}/name", snapshot, read)
    return Violation(pack.profile.path, line, column, code, message, pointer, hint, subject)


def _place(profile: ProfileDocument, pointer: str, snapshot: Snapshot, read: Read) -> tuple[int, int]:
    """Where a pointer of a profile stands in its file, which may hold several documents."""
    from reconciler.spec import marks

    oid = snapshot.tree[profile.path]
    found = (one for one in marks.read(read([oid])[oid]) if "" in one and one[""][0][0] == profile.line)
    return marks.find(next(found, {}), pointer)
