"""How mistakes in documents are printed: causes before what follows from them, each with its line, a caret and the fix."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.errors import printable, prints

if TYPE_CHECKING:
    from reconciler.model import Snapshot, Violation

_WIDTH = 100
_NAMES = ("code", "path", "line", "column", "pointer", "message", "hint", "subject")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a folder. `causes` are mistakes in themselves, `following` only follow from those; `sources` are
    the files' contents by path."""

    folder: str
    snapshot: Snapshot
    causes: tuple[Violation, ...]
    following: tuple[Violation, ...]
    warnings: tuple[Violation, ...]
    sources: Mapping[str, bytes]


def as_json(found: Found) -> str:
    report = {
        "revision": str(found.snapshot.revision),
        "clusters": len(found.snapshot.specs.clusters),
        "profiles": len(found.snapshot.specs.profiles),
        "violations": [_plain(one) for one in (*found.causes, *found.following)],
        "warnings": [_plain(one) for one in found.warnings],
    }
    return json.dumps(report, indent=2)


def as_text(found: Found) -> str:
    """Paths are relative to the current folder, so that editors and terminals can open them."""
    lines: list[str] = []
    for one in found.warnings:
        lines += _block(found, one, "warning")
    for one in found.causes:
        lines += _block(found, one, str(one.code))
    if left := sorted({one.subject.removeprefix("cluster/") for one in found.following}):
        lines.append(f"left out until that is mended: {', '.join(left)}")
    return "\n".join([*lines, _summary(found)])


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _plain(one: Violation) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _NAMES}


def _block(found: Found, one: Violation, label: str) -> list[str]:
    red, bold, plain = _colours()
    if not one.path:
        place = ""
    else:
        inside = found.folder != "." and (one.path in found.snapshot.tree or one.path in found.sources)
        file = os.path.join(found.folder, one.path) if inside else one.path  # noqa: PTH118
        place = f"{bold}{printable(file)}:{one.line}:{one.column}:{plain} "
    lines = [f"{place}{red}{label}{':' if label == 'warning' else ''}{plain} {one.message}"]
    lines += _caret(found.sources.get(one.path, b""), one.line, one.column)
    return [*lines, f"    fix: {one.hint}"] if one.hint else lines


def _summary(found: Found) -> str:
    specs, mistakes = found.snapshot.specs, (*found.causes, *found.following)
    unsound = {one.subject for one in found.causes}  # also what loads but cannot be rendered
    profiles = sum(f"profile/{name}@{version}" not in unsound for name, version in specs.profiles)
    sound = f"{count(len(specs.clusters), 'cluster')} and {count(profiles, 'profile')} sound"
    if not mistakes:
        return f"{sound}, {count(len(found.warnings), 'warning')}" if found.warnings else f"{sound}, no mistakes"
    files = len({one.path for one in found.causes})
    return f"{count(len(found.causes), 'mistake')} in {count(files, 'file')}; {sound}"


def _caret(data: bytes, line: int, column: int) -> list[str]:
    """The line with a caret under the place; a long line is cut around it."""
    lines = ["".join(one if prints(one) or one == "\t" else "?" for one in line) for line in _lines(data)]
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


def parted(violations: Sequence[Violation]) -> tuple[tuple[Violation, ...], tuple[Violation, ...]]:
    """Mistakes in themselves, and those of clusters whose profile is broken: they follow from the profile's own."""
    from reconciler.spec.codes import Code

    follows = {one: one.code == Code.BROKEN_PROFILE for one in violations}
    causes = tuple(one for one in violations if not follows[one])
    following = tuple(one for one in violations if follows[one])
    return (causes, following) if causes else (following, ())
