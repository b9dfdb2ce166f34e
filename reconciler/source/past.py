"""Reads an older commit of a work tree from its object database, for `plan` to compare with (P6). Nothing is fetched or
checked out."""

from pathlib import Path

from reconciler.errors import Stalled, UsageError, printable
from reconciler.model import Limits, Revision, Tree
from reconciler.source import trees
from reconciler.source.address import inside
from reconciler.source.address import oid as checked
from reconciler.source.folder import Blobs, git, objects


def read(path: Path, sub: str, commit: str, limits: Limits) -> tuple[Tree, Blobs]:
    """The files below `path`/`sub` at `commit`, by the rules of a mirror (S1).

    Raises Stalled("CommitMissing") where the work tree does not hold the commit or the folder in it, or is none;
    Stalled("TooBig"), Stalled("BlobMissing").
    """
    root = path / inside(sub)
    commit = checked(commit)
    place = f"{commit}:./"  # the folder that git is started in (gitrevisions(7))
    found = git(root, "rev-parse", "--verify", "--quiet", place)
    raw = git(root, "ls-tree", "-r", "-z", "-l", "--full-tree", place) if found else None
    if found is None or raw is None:
        raise Stalled(f"commit {commit[:12]} is not in this repository", reason="CommitMissing", hint="git fetch")
    tree = trees.tree(found.decode().strip(), trees.listing(raw), trees.bounds(limits))
    return tree, lambda oids: objects(root, oids)


def revision(path: Path, name: str) -> Revision:
    """The commit that `name` means in this work tree, as Git resolves it: a branch, a tag, `HEAD~1`, a part of an id.

    Raises UsageError where it means none.
    """
    found = None if name.startswith("-") else git(path, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if found is None:
        told = printable(name[:100])
        raise UsageError(
            f"no revision {told} in {path}", hint="a branch, a tag or a commit that git log shows; git fetch"
        )
    return Revision(name, checked(found.decode().strip()))


def common(path: Path, name: str, commit: str) -> Revision:
    """The newest commit that `name` and a commit have in common: what a branch began at. Raises UsageError where there is none."""
    other = revision(path, name)
    found = git(path, "merge-base", checked(other.commit), checked(commit))
    if found is None:
        told = f"{printable(name[:100])} and {commit[:12]} have no commit in common here"
        raise UsageError(told, hint="a clone with the whole history: git fetch --unshallow")
    return Revision(name, checked(found.decode().strip()))


def descends(path: Path, old: str, new: str) -> bool:
    """Whether `new` is `old` or came after it (S5). An `old` that is not there is no ancestor."""
    return git(path, "merge-base", "--is-ancestor", checked(old), checked(new)) is not None
