"""`nidus validate`: every mistake in a folder at once, with its place, its line and its fix; no cluster, no network."""

import argparse
import gc
import json
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from reconciler.errors import UsageError, printable
from reconciler.model import HostFacts, Limits, Rules, Snapshot, Violation

HELP = "check the documents of a repository, without a cluster"
_WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", default=".", metavar="PATH", help="folder to check (default: this one)")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")
    parser.add_argument("--config", default="", metavar="FILE", help="controller configuration, for its rules")


def run(args: argparse.Namespace) -> int:
    """Exit code 0: no mistakes, 1: mistakes, 2: the command itself is wrong."""
    folder = Path(args.path)
    if not folder.is_dir():
        raise UsageError(f"{args.path} is not a folder", hint="nidus validate FOLDER")
    gc.disable()  # a short process with many small objects: collecting them costs more than keeping them
    (rules, facts), limits, wrong, config = _config(args.config)
    snapshot, blobs = _load(folder, rules, facts, limits)
    violations = tuple(sorted({*wrong, *snapshot.violations}))
    sources = {args.config: config} | {path: blobs[oid] for path, oid in snapshot.tree.items() if oid in blobs}
    if args.output == "json":
        _print_json(snapshot, violations)
    else:
        _print_text(snapshot, violations, sources, args.path)
    return 1 if violations else 0


def _config(file: str) -> tuple[tuple[Rules, HostFacts], Limits, tuple[Violation, ...], bytes]:
    from reconciler.spec import config

    if not file:
        return (config.anything(), config.NOWHERE), Limits(), (), b""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}", hint="--config FILE") from error
    found, violations = config.read(data, file)
    if found is None:
        return (config.anything(), config.NOWHERE), Limits(), violations, data
    return (config.rules(found.spec), config.facts(found.spec)), found.spec.limits, (), data


def _load(folder: Path, rules: Rules, facts: HostFacts, limits: Limits) -> tuple[Snapshot, Mapping[str, bytes]]:
    from reconciler.source import folder as source
    from reconciler.spec import load

    revision, tree, read = source.read(folder, ".", limits)
    blobs = read(load.wanted(tree, load.NOTHING))
    snapshot, _ = load.load("validate", revision, tree, blobs, load.NOTHING, rules, facts, limits)
    return snapshot, blobs


def _print_json(snapshot: Snapshot, violations: Collection[Violation]) -> None:
    names = ("code", "path", "line", "column", "pointer", "message", "hint", "subject")
    report = {
        "revision": str(snapshot.revision),
        "clusters": len(snapshot.specs.clusters),
        "profiles": len(snapshot.specs.profiles),
        "violations": [{name: getattr(one, name) for name in names} for one in violations],
    }
    print(json.dumps(report, indent=2))


def _print_text(
    snapshot: Snapshot, violations: Collection[Violation], sources: Mapping[str, bytes], folder: str
) -> None:
    """Print mistakes with paths relative to the current folder, so that editors and terminals can open them."""
    red, bold, plain = _colours()
    for one in violations:
        file = os.path.join(folder, one.path) if folder != "." and one.path in snapshot.tree else one.path  # noqa: PTH118
        print(f"{bold}{printable(file)}:{one.line}:{one.column}:{plain} {red}{one.code}{plain} {one.message}")
        for line in _caret(sources.get(one.path, b""), one.line, one.column):
            print(line)
        if one.hint:
            print(f"    fix: {one.hint}")
    print(_summary(snapshot, violations))


def _summary(snapshot: Snapshot, violations: Collection[Violation]) -> str:
    sound = (
        f"{_count(len(snapshot.specs.clusters), 'cluster')} and {_count(len(snapshot.specs.profiles), 'profile')} sound"
    )
    if not violations:
        return f"{sound}, no mistakes"
    files = len({one.path for one in violations})
    return f"{_count(len(violations), 'mistake')} in {_count(files, 'file')}; {sound}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _caret(data: bytes, line: int, column: int) -> list[str]:
    """The line with a caret under the place; a long line is cut around it."""
    lines = ["".join(one if one.isprintable() or one == "\t" else "?" for one in line) for line in _lines(data)]
    if not 1 <= line <= len(lines) or not lines[line - 1].strip():
        return []
    text, start = lines[line - 1].replace("\t", " "), max(0, column - 1 - _WIDTH // 2)
    margin = f"{line:>5} | "
    return [margin + text[start : start + _WIDTH], " " * (len(margin) - 2) + "| " + " " * (column - 1 - start) + "^"]


def _lines(data: bytes) -> list[str]:
    return data.decode(errors="replace").splitlines()


def _colours() -> tuple[str, str, str]:
    if not sys.stdout.isatty():
        return "", "", ""
    from reconciler import settings

    return ("", "", "") if settings.no_colour() else ("\x1b[31m", "\x1b[1m", "\x1b[0m")
