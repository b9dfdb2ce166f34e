"""Finds folders of a chart that are no folders in the tree (such as links): Helm would leave out their content without
an error."""

from collections.abc import Sequence

from reconciler.model import Violation
from reconciler.spec.codes import Code

_FOLDERS = ("templates", "crds", "charts")


def misplaced(folder: str, paths: Sequence[str]) -> list[Violation]:
    """Files in the place of a chart's folder, such as a link that was checked in from a file system without links."""
    message, hint = "a file, where a chart has a folder", "commit the files themselves, below a folder of that name"
    found = [path for path in paths if _split(folder, path)[1] in _FOLDERS]
    return [Violation(path, 1, 1, Code.NOT_A_CHART, message, hint=hint) for path in found]


def headless(folder: str, paths: Sequence[str], charts: frozenset[str]) -> list[str]:
    """The subcharts without a Chart.yaml. `paths` are the files below the chart, `charts` the folders that have one."""
    found = dict.fromkeys(_split(folder, path)[0] for path in paths)
    return [base for base in found if base != folder and base not in charts]


def _split(folder: str, path: str) -> tuple[str, str]:
    """(the innermost chart that holds the file, the path inside that chart)."""
    base, rest = folder, path[len(folder) + 1 :] if folder else path
    while (parts := rest.split("/", 2))[0] == "charts" and len(parts) == 3 and not parts[1].startswith(("_", ".")):
        base = "/".join(part for part in (base, "charts", parts[1]) if part)
        rest = parts[2]
    return base, rest
