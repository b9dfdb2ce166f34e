"""Entries of the tree that may not be read (S1), and what uses them: an entry that nothing uses is no mistake (V4).

The violation of an entry was made when the tree was listed. A symbolic link and a submodule may be a folder, so paths
below them are unread too.
"""

from collections.abc import Iterable, Mapping, Sequence

from reconciler.model import Violation
from reconciler.patterns import lazy
from reconciler.spec import files, linear
from reconciler.spec.codes import Code

Unread = Mapping[str, Violation]
POINTER = b"version https://git-lfs.github.com/spec/"
POINTER_LIMIT = 1024  # bytes; an LFS pointer is smaller (git-lfs, docs/spec.md)
_FOLDERS = frozenset({"NID010", "NID011"})
_ESCAPED = lazy(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")


def at(path: str, unread: Unread) -> list[Violation]:
    """The entry that is `path`, or is in the place of one of its folders; none where `path` can be read."""
    parts = path.split("/") if unread else []
    found = [unread[prefix] for end in range(1, len(parts) + 1) if (prefix := "/".join(parts[:end])) in unread]
    return found[:1]


def below(folder: str, unread: Unread) -> list[Violation]:
    """The entries at, above and below a folder, sorted."""
    inside = (one for path, one in unread.items() if not folder or path.startswith(f"{folder}/"))
    return sorted({*at(folder, unread), *inside})


def meant(pattern: str, unread: Unread) -> list[Violation]:
    """The entries that a pattern matches, and those that may hide files it matches, sorted. Raises
    linear.PatternError."""
    if not files.wild(pattern):
        return at(pattern, unread)
    return sorted(one for path, one in unread.items() if _means(pattern, path, one))


def _means(pattern: str, path: str, one: Violation) -> bool:
    """A character that does not print is shown as several and counts as one."""
    expression, plain = files.expression(pattern), _ESCAPED.sub("_", path)
    if linear.whole(expression, path) or linear.whole(expression, plain):
        return True
    return one.code in _FOLDERS and _leads(pattern.split("/"), plain.split("/"))


def _leads(pattern: Sequence[str], folder: Sequence[str]) -> bool:
    """Whether a pattern may match something below a folder."""
    for segment, name in zip(pattern, folder, strict=False):
        if segment == "**":
            return True
        if not linear.whole(files.expression(segment), name):
            return False
    return len(folder) < len(pattern)


def pointers(paths: Iterable[str], oids: Mapping[str, str], known: Mapping[str, bool]) -> list[Violation]:
    """The files that are Git LFS pointers, as far as `known` (oid -> whether it is one) tells."""
    message, hint = "a Git LFS pointer, not the content", "keep the files of packs out of LFS"
    found = [path for path in paths if known.get(oids[path], False)]
    return [Violation(path, 1, 1, Code.LFS_POINTER, message, hint=hint) for path in found]
