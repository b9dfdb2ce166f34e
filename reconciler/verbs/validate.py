"""`nidus validate`: every mistake in a folder at once, with its place, its line and its fix; no cluster, no network."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.verbs import above, emptied, lookups, mistakes, offline, unadded

if TYPE_CHECKING:
    from reconciler.model import Limits, Snapshot, Violation
    from reconciler.packs.blobs import Read
    from reconciler.verbs.offline import Terms


EXAMPLES = (
    ("", "this folder"),
    ("repo --config nidus.yaml", "with the rules of a controller"),
    ("clusters/team-a.yaml", "as a hook of Git calls it"),
    ("-o json", "for programs"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="folder to check (default: this one); or files, for hooks of Git: the whole --folder is checked where one "
        "of them lies in it, because a change in one file can break another",
    )
    parser.add_argument(
        "--folder", default="", metavar="DIR", help="folder to check when files are named (default: this one)"
    )
    parser.add_argument("--no-render", action="store_true", help="check the documents only, render no pack")
    parser.add_argument(
        "--offline",
        action="store_true",
        help="fetch nothing: packs whose content is not in the store are named, not rendered",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")
    parser.add_argument("--config", default="", metavar="FILE", help="controller configuration, for its rules")


def run(args: argparse.Namespace) -> int:
    """Exit code 0: no mistakes (warnings are none), 1: mistakes."""
    folder = _folder(args.paths, args.folder)
    if folder is None:
        return 0
    gc.disable()  # a short process with many small objects: collecting them costs more than keeping them
    terms, wrong, config = _config(args.config)
    snapshot, blobs, read = _load(Path(folder), terms)
    sources = {args.config: config} | {path: blobs[oid] for path, oid in snapshot.tree.items() if oid in blobs}
    unrendered, homeless = (
        ((), ()) if args.no_render else _rendered(snapshot, read, terms, without_network=args.offline)
    )
    literal = _literals(snapshot, blobs)
    causes, following = mistakes.parted(sorted({*wrong, *snapshot.violations, *unrendered, *literal}))
    probable = (
        *_warnings(folder, snapshot, blobs, terms.limits),
        *unadded.warnings(folder, snapshot),
        *emptied.warnings(folder, snapshot, blobs),
    )
    warnings = (*probable, *snapshot.warnings, *lookups.warnings(snapshot, read), *homeless)
    found = mistakes.Found(folder, snapshot, causes, following, warnings, sources)
    print(mistakes.as_json(found) if args.output == "json" else mistakes.as_text(found))
    return 1 if causes else 0


def _folder(paths: Sequence[str], folder: str) -> str | None:
    """The folder to check, None where files are named and none of them lies in it. Raises UsageError."""
    if len(paths) <= 1 and not folder and all(Path(path).is_dir() for path in paths):
        return paths[0] if paths else "."
    if folder and not Path(folder).is_dir():
        raise UsageError(f"{folder} is not a folder", hint="nidus validate --folder DIR FILE ...")
    for path in paths:
        if not Path(path).is_file():
            told = "is a folder: name one folder, or files" if Path(path).is_dir() else "is not there"
            raise UsageError(f"{path} {told}", hint="nidus validate FOLDER, or nidus validate FILE ...")
    root = Path(folder or ".").resolve()
    return (folder or ".") if not paths or any(root in Path(path).resolve().parents for path in paths) else None


def _config(file: str) -> tuple[Terms, tuple[Violation, ...], bytes]:
    from reconciler.spec import config

    if not file:
        return offline.anything(), (), b""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}", hint="--config FILE") from error
    found, violations = config.read(data, file)
    if found is None:
        return offline.anything(), violations, data
    return (
        offline.Terms(config.rules(found.spec), config.facts(found.spec), found.spec.limits, found.spec.content),
        (),
        data,
    )


def _rendered(
    snapshot: Snapshot, read: Read, terms: Terms, *, without_network: bool
) -> tuple[tuple[Violation, ...], tuple[Violation, ...]]:
    from reconciler.verbs import rendering

    progress = rendering.Progress()
    try:
        return rendering.mistakes(snapshot, read, terms, progress, without_network=without_network)
    finally:
        progress.end()


def _load(folder: Path, terms: Terms) -> tuple[Snapshot, Mapping[str, bytes], Read]:
    from reconciler.source import folder as source
    from reconciler.verbs.parsed import FEW, Parsed

    found = source.read(folder, ".", terms.limits)
    kept = Parsed(folder, ".", terms.limits) if len(found[1].files) >= FEW else None
    return *offline.checked("validate", found, terms, kept), found[2]


def _literals(snapshot: Snapshot, blobs: Mapping[str, bytes]) -> Iterator[Violation]:
    """Keys and tokens in the YAML files that were read."""
    from reconciler.spec import files, literals

    for path, oid in snapshot.tree.items():
        if oid in blobs and files.is_yaml(path):
            yield from literals.found(path, blobs[oid])


def _warnings(folder: str, snapshot: Snapshot, blobs: Mapping[str, bytes], limits: Limits) -> Iterator[Violation]:
    """Documents that are probably meant for us and are not ours; and that there is no document at all."""
    from reconciler.model import Violation
    from reconciler.spec import near
    from reconciler.spec.codes import Code

    specs = snapshot.specs
    ours = {*(one.path for one in specs.clusters.values()), *(one.path for one in specs.profiles.values())}
    read = {path: blobs[oid] for path, oid in snapshot.tree.items() if oid in blobs}
    others = {path: data for path, data in read.items() if path not in ours or not near.single(data)}
    found = [one for path, data in others.items() for one in near.warnings(path, data, limits)]
    yield from found
    why, instead = above.told("validate", Path(folder), snapshot)
    if why:
        yield Violation("", 0, 0, Code.NOT_OURS, why, hint=instead)
    if not (found or snapshot.violations or snapshot.specs.clusters or snapshot.specs.profiles):
        message = f"no document of ours in {folder}: {mistakes.count(len(read), 'YAML file')} read"
        hint = "name the folder with the documents; they begin with apiVersion: nidus.dev/v1alpha1"
        yield Violation("", 0, 0, Code.NOT_OURS, message, hint=hint)
