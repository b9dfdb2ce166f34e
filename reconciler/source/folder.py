"""Reads a folder on disk, for validate and plan only: a work tree of Git, or any folder.

Same rules for names, kinds and sizes as a commit of the mirror (S1); GitPython is not needed and not imported.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Collection, Sequence
from hashlib import sha1, sha256
from pathlib import Path

from reconciler.errors import Stalled, Unavailable
from reconciler.model import Limits, Revision, Tree
from reconciler.source import trees
from reconciler.source.address import inside

Blobs = Callable[[Collection[str]], dict[str, bytes]]
_DEADLINE = 30.0
_ENV = {
    "PATH": os.defpath,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
# The folder's own configuration may name programs; these are the ones reading it would start.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "submodule.recurse=false")


def read(path: Path, sub: str, limits: Limits) -> tuple[Revision, Tree, Blobs]:
    """What is in `path`/`sub` now: tracked and untracked files, without what .gitignore leaves out.

    The revision is that of HEAD, dirty when anything below `sub` differs from it; without Git it is empty and dirty. The blobs are held in
    memory. Raises Stalled("PathMissing"), Stalled("TooBig"), UsageError for a `sub` that leads out of the folder, Unavailable (disk).
    """
    root = path / inside(sub)
    if not root.is_dir():
        raise Stalled(f"there is no folder {root}", reason="PathMissing")
    bounds = trees.bounds(limits)
    blobs: dict[str, bytes] = {}
    try:
        names = _tracked(root)
        entries = (_entry(root, name, bounds, blobs) for name in (_walked(root) if names is None else names))
        found = trees.tree("", entries, bounds)
    except OSError as error:
        raise Unavailable(f"the folder cannot be read: {error.strerror}", reason="DiskFailed") from error
    oid = sha256("\n".join(f"{name} {blob}" for name, blob in found.files.items()).encode()).hexdigest()
    tree = Tree(oid, found.files, found.sizes, found.violations)
    return _revision(root), tree, lambda oids: {oid: blobs[oid] for oid in oids}


def _tracked(root: Path) -> list[bytes] | None:
    """The files Git would commit, sorted; None where there is no Git."""
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", ".")
    if listed is None:
        return None
    names = sorted(set(listed.split(b"\0")) - {b""})
    return [name.rstrip(b"/") for name in names if os.path.lexists(os.path.join(os.fsencode(root), name))]  # noqa: PTH118 (bytes)


def ignored(path: Path, folders: Sequence[str]) -> list[str]:
    """The files below these folders that Git would not commit, relative to `path`, sorted; none where there is no Git."""
    wanted = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *folders)
    listed = git(path, "--literal-pathspecs", *wanted) or b""
    return sorted(trees.readable(name) for name in listed.split(b"\0") if name)


def _walked(root: Path) -> list[bytes]:
    """Every file below a plain folder, sorted, without Git's own; links are listed, never followed."""
    base = os.fsencode(root)
    names = []
    for folder, folders, files in os.walk(base, onerror=_raise):
        folders[:] = [name for name in folders if name != b".git"]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        names += [os.path.relpath(os.path.join(folder, name), base) for name in (*files, *links)]  # noqa: PTH118
    return sorted(names)


def _raise(error: OSError) -> None:
    """Raise for a folder that cannot be listed: it is not empty (S3)."""
    raise error


def _entry(root: Path, name: bytes, bounds: trees.Bounds, blobs: dict[str, bytes]) -> trees.Entry:
    """One file as Git would list it. A file that is too large, or no regular file, is not read."""
    place = Path(os.fsdecode(os.path.join(os.fsencode(root), name)))  # noqa: PTH118
    status = place.lstat()
    mode = _mode(status.st_mode)
    entry = trees.Entry(mode, b"commit" if mode == b"160000" else b"blob", "", status.st_size, name)
    if trees.violation(entry, bounds) is not None:
        return entry
    data = place.read_bytes()
    oid = sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    blobs[oid] = data
    return trees.Entry(mode, b"blob", oid, len(data), name)


def _mode(mode: int) -> bytes:
    if stat.S_ISREG(mode):
        return b"100755" if mode & stat.S_IXUSR else b"100644"
    if stat.S_ISLNK(mode):
        return b"120000"
    return b"160000" if stat.S_ISDIR(mode) else b"%06o" % mode


def _revision(root: Path) -> Revision:
    commit = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if commit is None:
        return Revision("", "", dirty=True)
    branch = git(root, "symbolic-ref", "--quiet", "--short", "HEAD") or b"HEAD"
    status = git(root, "status", "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=all", "--", ".")
    return Revision(branch.decode("utf-8", "replace").strip(), commit.decode().strip(), dirty=status != b"")


def git(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """What git prints, None when it refuses (no repository, another owner's) or is not installed."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, *_SAFE, *arguments],
            cwd=root,
            env=_ENV,
            input=given,
            capture_output=True,
            timeout=_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"git {arguments[0]} did not end within {_DEADLINE:g} s", reason="Timeout") from error
    return done.stdout if done.returncode == 0 else None
