"""A folder as it would be with files that are not written yet: what would be wrong is told before anything is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import Stalled, UsageError
from reconciler.verbs import offline

if TYPE_CHECKING:
    from reconciler.model import Snapshot


def snapshot(folder: Path, more: Mapping[str, bytes] | None = None) -> Snapshot:
    """The folder as it is, or with more files, by their paths in it."""
    from reconciler.model import replace
    from reconciler.packs.blobs import beside
    from reconciler.source import folder as source

    terms = offline.anything()
    folder.mkdir(parents=True, exist_ok=True)
    revision, tree, read = source.read(folder, ".", terms.limits)
    data = {f"new:{path}": content for path, content in (more or {}).items()}
    for oid, content in data.items():
        path = oid.removeprefix("new:")
        tree = replace(tree, files={**tree.files, path: oid}, sizes={**tree.sizes, oid: len(content)})
    return offline.checked("new", (revision, tree, beside(data, read)), terms)[0]


def check(folder: Path, more: Mapping[str, bytes]) -> None:
    """Raises Stalled with the first mistake that the new files would bring."""
    before = set(snapshot(folder).violations)
    for one in snapshot(folder, more).violations:
        if one not in before:
            raise Stalled(f"{one.path}: {one.code} {one.message}", hint=one.hint or "nothing was written")


def write(folder: Path, more: Mapping[str, bytes]) -> None:
    """Write new files. Raises UsageError where one is there already, cannot be written, or would lie outside by a link on its way."""
    for path, content in more.items():
        file = folder / path
        if not file.parent.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{file} lies outside of {folder}: {file.parent.resolve()}", hint="--folder DIR")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as opened:
                opened.write(content)
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror or error}", hint="--folder DIR") from error
