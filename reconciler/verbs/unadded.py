"""Files of charts that Git leaves out of a commit: on the disk of who wrote them they are there, in the repository they are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reconciler.errors import few

if TYPE_CHECKING:
    from reconciler.model import Snapshot, Violation

_FOLDERS = ("charts", "crds", "templates")
_FILES = ("values.schema.json", "values.yaml")
_SHOWN = 3


def warnings(folder: str, snapshot: Snapshot) -> Iterator[Violation]:
    """A warning for each chart of the folder that a .gitignore takes files from which Helm would read."""
    from reconciler.model import Violation
    from reconciler.source import folder as source
    from reconciler.spec import files
    from reconciler.spec.codes import Code

    found = files.charts(snapshot.tree)
    charts = sorted(one for one in found if not files.inside(one, found))
    hidden = source.ignored(Path(folder), charts) if charts else []
    for chart in charts:
        left = [path for path in hidden if path.startswith(f"{chart}/") and _read(path.removeprefix(f"{chart}/"))]
        if left:
            message = f"Git leaves out files of this chart, as a .gitignore says: {few(left, _SHOWN)}"
            hint = f"git add --force {chart}, if they belong to it"
            yield Violation(f"{chart}/{files.CHART}", 1, 1, Code.LEFT_OUT, message, hint=hint)


def _read(path: str) -> bool:
    """Whether Helm reads this file of a chart as more than a file that templates may name. What begins with a dot is none."""
    parts = PurePosixPath(path).parts
    return (parts[0] in _FOLDERS or path in _FILES) and not any(part.startswith(".") for part in parts)
