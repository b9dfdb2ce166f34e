"""Paths inside one tree: what is YAML, what is a chart, and which files a pack names (relative to the document that names them)."""

import posixpath
from bisect import bisect_left
from collections.abc import Collection, Mapping

from reconciler.spec import linear

CHART = "Chart.yaml"
_WILD = ("*", "?")
_SHOWN = 100
_SAME_LETTERS = {0x130: "i"}  # a capital I with a dot: Go's small letter of it is i, Python's is not


YAML = (".yaml", ".yml")
"""How the names of YAML files end."""


def is_yaml(path: str) -> bool:
    """Whether the name says YAML."""
    return path.endswith(YAML)


def charts(paths: Collection[str]) -> frozenset[str]:
    """Folders that are charts: those with a Chart.yaml. The root is ""."""
    found = [path for path in paths if path.endswith(CHART)]
    return frozenset(posixpath.dirname(path) for path in found if posixpath.basename(path) == CHART)


def inside(path: str, folders: frozenset[str]) -> bool:
    """Whether the path lies in one of the folders, at any depth."""
    if not folders:
        return False
    folder = posixpath.dirname(path)
    while folder:
        if folder in folders:
            return True
        folder = posixpath.dirname(folder)
    return "" in folders


OUTSIDE = "move it below the source's path, or set the source's `path` to a folder above both"


class NoPath(ValueError):
    """What a document names is no path in the tree."""

    def __init__(self, told: str, hint: str) -> None:
        super().__init__(told)
        self.hint = hint


def beside(document: str, relative: str) -> str:
    """The path in the tree that `relative` means in the file `document`. Raises NoPath outside the tree, and for what another reader
    would not take for the same path: `k/https://a` is no file of the folder `k/https:`, however the tree is made up."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(document), relative))
    if relative.startswith("/") or joined == ".." or joined.startswith("../"):
        raise NoPath("outside the source path", OUTSIDE)
    bare = relative.removeprefix("./").removesuffix("/")
    if ":" in bare:
        raise NoPath("a path has no colon: addresses have", "rename the file")
    if bare and posixpath.normpath(bare) != bare:
        raise NoPath("not the plain form of a path", f"write {posixpath.normpath(bare)[:_SHOWN]}")
    return "" if joined == "." else joined


def remote(path: str) -> bool:
    """Whether kustomize may take the path for a repository or an address, whatever lies in the tree (`NewRepoSpecFromURL` and
    `IsRemoteFile` of kustomize 5.8: a scheme, a query, a user before the host, a host that is GitHub in letters of any case)."""
    first = path.partition("/")[0].translate(_SAME_LETTERS).casefold()
    return any(sign in path for sign in (":", "?", "//")) or "@" in first or first == "github.com"


def under(folder: str, ordered: list[str]) -> list[str]:
    """The paths below a folder, from a sorted list of all paths."""
    prefix = f"{folder}/" if folder else ""
    start = bisect_left(ordered, prefix)
    found = []
    for path in ordered[start:]:
        if not path.startswith(prefix):
            break
        found.append(path)
    return found


def matching(pattern: str, files: Mapping[str, str], ordered: list[str]) -> list[str]:
    """The paths a pattern names: `*` and `?` within one folder, a `**` segment over any number of folders."""
    if not wild(pattern):
        return [pattern] if pattern in files else []
    segments = pattern.split("/")
    fixed = next(index for index, segment in enumerate(segments) if wild(segment))
    regular = expression(pattern)
    return [path for path in under("/".join(segments[:fixed]), ordered) if linear.whole(regular, path)]


def named(document: str, path: str) -> str:
    """How the file `document` has to name a path of the tree: the opposite of `beside`."""
    return posixpath.relpath(path, posixpath.dirname(document) or ".")


def meant(document: str, pattern: str, files: Mapping[str, str], ordered: list[str]) -> str:
    """What to write where a pattern of `document` names no file: usual is to name it from the root of the repository."""
    path = posixpath.normpath(pattern)
    found = not path.startswith((".", "/")) and matching(path, files, ordered)
    return f"did you mean {named(document, path)}?" if found else "paths are relative to this file"


def wild(pattern: str) -> bool:
    """Whether a pattern can match more than itself."""
    return any(sign in pattern for sign in _WILD)


def expression(pattern: str) -> str:
    """The regular expression of a pattern."""
    segments = pattern.split("/")
    parts: list[str] = []
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == "**":
            parts.append(".*" if last else "(?:[^/]+/)*")
            continue
        text = "".join(_sign(sign) for sign in segment)
        parts.append(text if last else text + "/")
    return "".join(parts)


def _sign(sign: str) -> str:
    if sign in _WILD:
        return "[^/]*" if sign == "*" else "[^/]"
    return sign if sign.isalnum() or sign in "_-/= @" else "\\" + sign
