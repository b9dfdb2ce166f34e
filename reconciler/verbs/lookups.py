"""Warnings for charts that ask the cluster while they are rendered: `lookup` finds nothing, so they make up what they had kept (K8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.patterns import lazy

if TYPE_CHECKING:
    from reconciler.model import Snapshot, Violation
    from reconciler.packs.blobs import Read

CALL = lazy(rb"\{\{[^{}]*?\blookup\s+[\"'(.$]")
HINT = "where it keeps a password by that, helm.random: Freeze keeps it (docs/tasks/secrets.md)"


def warnings(snapshot: Snapshot, read: Read) -> Iterator[Violation]:
    """One for each line of a chart in the repository that calls it."""
    from reconciler.model import Violation
    from reconciler.spec.codes import Code

    found: dict[str, str] = {}
    for profile in snapshot.specs.profiles.values():
        for pack in profile.profile.spec.packs:
            if pack.helm is not None:
                found |= {path: oid for path, oid in profile.files.get(pack.name, ()) if _counts(path)}
    blobs = read(sorted({oid for path, oid in found.items() if oid == snapshot.tree.get(path)})) if found else {}
    for path, oid in sorted(found.items()):
        for number, line in enumerate(blobs.get(oid, b"").splitlines(), 1):
            if (match := CALL.search(line)) is not None:
                message = "the chart calls lookup, which finds nothing"
                yield Violation(path, number, match.start() + 1, Code.LOOKUP, message, hint=HINT)


def _counts(path: str) -> bool:
    """Whether what a file of a chart makes is kept: notes are not."""
    return "/templates/" in f"/{path}" and not path.endswith("/NOTES.txt")
