"""`nidus new profile NAME --from VERSION`: the next version of a profile, in copies of its file and of the files its packs read.

A version in use never changes, nor does what it reads; so what is to change is copied first.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import Stalled, UsageError, few
from reconciler.verbs import drafts, usage

if TYPE_CHECKING:
    from reconciler.model import ClusterProfile, ProfileDocument, Snapshot

_SHOWN = 5  # files that are named


@dataclass(frozen=True, slots=True)
class Copied:
    """What was written: the profile's file, the other files as (from, to), files that both versions read, and clusters as
    (file:line, range, whether that takes the new version)."""

    file: Path
    version: str
    files: tuple[tuple[str, str], ...]
    shared: tuple[str, ...]
    clusters: tuple[tuple[str, str, bool], ...]

    def told(self, folder: Path) -> Iterator[str]:
        """What was written into the folder, one line each, and what to do."""
        yield str(folder / self.file)
        yield from (f"{folder / new}  (from {old})" for old, new in self.files)
        yield "next: change these files, and say in the clusters which version they want"
        if self.shared:
            yield f"both versions read {few(self.shared, _SHOWN)}: copy it before you change it"
        for place, wanted, takes in self.clusters:
            does = "takes it with the next commit" if takes else f"write {self.version} there for the new one"
            yield f"{place} wants {wanted}: {does}"


def profile(folder: Path, name: str, old: str, new: str = "") -> Copied:
    """Write the next version of a profile. `old`: a version or a range that there is; `new` "" stands for the next minor version.

    Raises UsageError for a version that is none, and Stalled where the copy cannot be made or would not validate: nothing is then written.
    """
    known = drafts.snapshot(folder)
    document = _document(known, name, old)
    taken = [version for one, version in known.specs.profiles if one == name]
    version = _next(taken, new)
    data = (folder / document.path).read_bytes()
    moves = _moves(document.profile, document.profile.spec.version, version)
    path = _file(document.path, document.profile.spec.version, version)
    more = {path: _edited(data, {"/spec/version": version, **{at: to for at, _, to in moves}}, document)}
    files = list(_files(document, [(was, to) for _, was, to in moves]))
    for was, to in files:
        more[to] = (folder / was).read_bytes()
    if there := [one for one in more if one in known.tree]:
        raise UsageError(f"{there[0]} is there already", hint="--version names another version")
    drafts.check(folder, more)
    drafts.write(folder, more)
    read = {one for used in document.files.values() for one, _ in used if one in known.tree}
    shared = tuple(sorted(read - {was for was, _ in files}))
    return Copied(Path(path), version, _folded(files), shared, tuple(_clusters(known, name, version)))


def _document(known: Snapshot, name: str, old: str) -> ProfileDocument:
    from reconciler.spec import semver

    versions = [version for one, version in known.specs.profiles if one == name]
    if not versions:
        names = sorted({one for one, _ in known.specs.profiles})
        raise usage.absent(
            f"no sound profile {name} in this folder", name, names, "there are", "nidus new profile NAME"
        )
    try:
        best = semver.best(old, versions)
    except ValueError as error:
        raise UsageError(f"--from {old}: {error}", hint=f"its versions: {', '.join(sorted(versions))}") from None
    if best is None:
        raise usage.absent(f"no version {old} of profile {name}", old, versions, "its versions")
    return known.specs.profiles[name, best]


def _next(taken: Sequence[str], new: str) -> str:
    from reconciler.spec import semver

    if new:
        if not semver.is_version(new):
            raise UsageError(f"--version {new} is no version", hint="such as 1.3.0")
        if new in taken:
            raise UsageError(f"version {new} is there already", hint=f"its versions: {', '.join(sorted(taken))}")
        return new
    newest = max(map(semver.version, filter(semver.is_version, taken)))
    return f"{newest.major}.{newest.minor + 1}.0"


def _moves(document: ClusterProfile, old: str, new: str) -> list[tuple[str, str, str]]:
    """(pointer, path as written, path of the copy) of everything local that the packs name."""
    found = []
    for index, pack in enumerate(document.spec.packs):
        place = f"/spec/packs/{index}"
        if pack.manifests:
            found += [(f"{place}/manifests/files/{at}", one) for at, one in enumerate(pack.manifests.files)]
        if pack.helm:
            found += [(f"{place}/helm/valuesFiles/{at}", one) for at, one in enumerate(pack.helm.values_files)]
            if pack.helm.chart.path:
                found.append((f"{place}/helm/chart/path", pack.helm.chart.path))
        if pack.kustomize:
            found.append((f"{place}/kustomize/path", pack.kustomize.path))
    return [(at, one, _moved(one, old, new)) for at, one in found]


def _renamed(path: str, old: str, new: str) -> str:
    """With the one version for the other, wherever it stands for itself: 1.0.0 is no part of 11.0.0."""
    first, *others = path.split(old)
    for rest in others:
        part = first[-1:].isdigit() or first[-1:] == "." or rest[:1].isdigit()
        first += (old if part else new) + rest
    return first


def _moved(path: str, old: str, new: str) -> str:
    """Where the copy lies: the version in the name is replaced, or stands behind the name of the file or of the folder."""
    from reconciler.spec.files import is_yaml, wild

    if (moved := _renamed(path, old, new)) != path:
        return moved
    parts = path.rstrip("/").split("/")
    first = next((at for at, part in enumerate(parts) if wild(part)), None)
    if first is None:
        stem, suffix = posixpath.splitext(parts[-1]) if is_yaml(parts[-1]) else (parts[-1], "")
        named = [*parts[:-1], f"{stem}-{new}{suffix}"] if stem.strip(".") else [*parts, new]
        return "/".join(named)
    if first == 0 or not parts[first - 1].strip("."):
        return "/".join([*parts[:first], new, *parts[first:]])
    return "/".join([*parts[: first - 1], f"{parts[first - 1]}-{new}", *parts[first:]])


def _file(path: str, old: str, new: str) -> str:
    head, name = posixpath.split(path)
    return posixpath.join(head, _moved(name, old, new))


def _files(document: ProfileDocument, moves: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(file, its copy) of every file in the folder that lies below one of the moved paths."""
    from reconciler.spec.files import beside

    prefixes = {}
    for was, to in moves:
        old, new = (beside(document.path, _fixed(one)) for one in (was, to))
        prefixes[old] = new
    for path in sorted({one for used in document.files.values() for one, _ in used}):
        for old, new in prefixes.items():
            if path == old or path.startswith(f"{old}/" if old else ""):
                yield path, posixpath.join(new, path[len(old) :].lstrip("/")) if path != old else new
                break


def _fixed(path: str) -> str:
    """The part of a pattern before its first wild name."""
    from reconciler.spec.files import wild

    parts = path.split("/")
    return "/".join(parts[: next((at for at, part in enumerate(parts) if wild(part)), len(parts))]) or "."


def _edited(data: bytes, values: Mapping[str, str], document: ProfileDocument) -> bytes:
    """The file with other scalars at these pointers; comments and layout stay. Raises Stalled where one is written in another form."""
    from reconciler.spec import marks

    documents = marks.read(data)
    if len(documents) != 1:
        raise Stalled(f"{document.path} holds several documents", hint="move the profile into a file of its own first")
    lines = data.decode().splitlines(keepends=True)
    places = sorted(
        ((*marks.find(documents[0], at), at) for at in values), reverse=True
    )  # the last first: columns stay
    for line, column, at in places:
        text = lines[line - 1]
        found = re.compile(r"\"[^\"\\]*\"|'[^']*'|[^\s,\]}#\"'][^\s,\]}]*").match(text, column - 1)
        if found is None or at not in documents[0]:
            raise Stalled(
                f"{document.path}:{line}: cannot be copied in this form", hint="write the path in one line, in quotes"
            )
        quote = found[0][0] if found[0][0] in "\"'" else ""
        lines[line - 1] = f"{text[: column - 1]}{quote}{values[at]}{quote}{text[found.end() :]}"
    return "".join(lines).encode()


def _folded(files: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Folders in the place of the files in them, where all moved together."""
    found: dict[tuple[str, str], None] = {}
    for old, new in files:
        while posixpath.basename(old) == posixpath.basename(new) and posixpath.dirname(old) != posixpath.dirname(new):
            old, new = posixpath.dirname(old), posixpath.dirname(new)
        found[old, new] = None
    return tuple(found)


def _clusters(known: Snapshot, name: str, version: str) -> Iterator[tuple[str, str, bool]]:
    from reconciler.spec import semver

    for _, one in sorted(known.specs.clusters.items()):
        for use in one.cluster.spec.profiles:
            if use.name == name:
                yield f"{one.path}:{one.line}", use.version, semver.best(use.version, [version]) is not None
