"""Reads a folder on disk, for validate and plan only: a work tree of Git, or any folder.

Same rules for names, kinds and sizes as a commit of the mirror (S1); GitPython is not needed and not imported.
"""

import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from hashlib import sha1, sha256
from pathlib import Path

from msgspec import Struct

from reconciler.errors import Stalled, Unavailable
from reconciler.model import Limits, Revision, Tree
from reconciler.source import trees
from reconciler.source.address import inside
from reconciler.source.address import oid as checked

ADDED = (b"", "")
"""Mode and blob of a file that Git cannot tell: it has to be read."""
Blobs = Callable[[Collection[str]], dict[str, bytes]]
SAFE = 100  # folders of a person's configuration that are looked at
_DEADLINE = 30.0
_NO_GIT = 127  # as a shell says it
_ENV = {
    "PATH": os.defpath,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
_WALK = ("--branch", "--no-ahead-behind", "--no-renames", "--untracked-files=all", "--ignore-submodules=all")
_FIELDS = {b"1": 7, b"u": 9}
"""Kind of a changed file -> the fields before its name: an ordinary change, a conflict."""
# A person's own configuration may name programs: those that reading starts are left out, but for filters, which say what a commit holds.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "submodule.recurse=false")


def read(path: Path, sub: str, limits: Limits) -> tuple[Revision, Tree, Blobs]:
    """What is in `path`/`sub` now: tracked and untracked files, without what .gitignore leaves out.

    The revision is that of HEAD, dirty when anything below `sub` differs from it; without Git it is empty and dirty. Files that Git
    knows to be as they were added are not looked at: they are what a commit would hold, also where a filter changed them on disk. Other
    blobs are held in memory. Raises Stalled("PathMissing"), Stalled("TooBig"), UsageError for a `sub` that leads out of the folder,
    Unavailable (disk); and when blobs are read, Stalled("BlobMissing").
    """
    root = path / inside(sub)
    if not root.is_dir():
        raise Stalled(f"there is no folder {root}", reason="PathMissing")
    bounds = trees.bounds(limits)
    blobs: dict[str, bytes] = {}
    try:
        status = _status(root)
        names = _tracked(root, status)
        listed = dict.fromkeys(_walked(root), ADDED) if names is None else names
        sizes, place = _sizes(root, [oid for _, oid in listed.values() if oid]), os.fsencode(root)
        entries = (_entry(place, name, added, sizes, bounds, blobs) for name, added in listed.items())
        found = trees.tree("", filter(None, entries), bounds)
    except OSError as error:
        raise Unavailable(f"the folder cannot be read: {error.strerror}", reason="DiskFailed") from error
    oid = sha256("\n".join(map(" ".join, found.files.items())).encode()).hexdigest()
    tree = Tree(oid, found.files, found.sizes, found.violations)

    def read_blobs(oids: Collection[str]) -> dict[str, bytes]:
        stored = [oid for oid in oids if oid not in blobs]
        found = objects(root, stored) if stored else {}
        return {oid: found[oid] if oid in found else blobs[oid] for oid in oids}

    return status.revision if status else Revision("", "", dirty=True), tree, read_blobs


class _Status(Struct, frozen=True):
    """What `git status` says of a folder: the revision of HEAD, dirty where anything below differs from it; files that differ from the
    index, and files that Git does not know, both relative to the folder."""

    revision: Revision
    changed: frozenset[bytes]
    others: tuple[bytes, ...]


def _tracked(root: Path, status: _Status | None) -> dict[bytes, tuple[bytes, str]] | None:
    """The files Git would commit, sorted, with mode and blob of those that are as they were added; None where there is no Git."""
    listed = git(root, "ls-files", "-z", "-s", "-v", "--cached", "--", ".") if status else None
    if status is None or listed is None:
        return None
    found = dict.fromkeys((name.rstrip(b"/") for name in status.others), ADDED)
    for line in listed.split(b"\0")[:-1]:
        head, _, name = line.partition(b"\t")
        flag, mode, oid, stage = head.split()
        is_known = flag == b"H" and stage == b"0" and name not in status.changed and mode != b"160000"
        found[name] = (mode, oid.decode()) if is_known else ADDED
    return {name: found[name] for name in sorted(found)} if status.others else found  # as Git lists them: sorted


def _status(root: Path) -> _Status | None:
    """One walk of Git over the folder; None where there is no Git (git-status(1), "Porcelain Format Version 2")."""
    where, raw = _repository(root), git(root, "status", "--porcelain=v2", "-z", *_WALK, "--", ".")
    if where is None or raw is None:
        return None
    below = os.path.relpath(root.resolve(), Path(where["GIT_WORK_TREE"]).resolve())
    heads: dict[bytes, bytes] = {}
    changed: list[tuple[bytes, bytes]] = []
    others: list[bytes] = []
    start = 0 if below == "." else len(os.fsencode(below)) + 1  # names are relative to the work tree
    for line in raw.split(b"\0")[:-1]:
        kind, _, rest = line.partition(b" ")
        if kind == b"#":
            name, _, value = rest.partition(b" ")
            heads[name] = value
        elif kind == b"?":
            others.append(rest[start:])
        else:
            changed.append((rest[:2], rest.split(b" ", _FIELDS[kind])[-1][start:]))
    differ = frozenset(name for state, name in changed if state[1:] != b".")
    return _Status(_revision(heads, dirty=bool(changed or others)), differ, tuple(others))


def _revision(heads: Mapping[bytes, bytes], *, dirty: bool) -> Revision:
    commit = heads.get(b"branch.oid", b"(initial)").decode()
    if commit == "(initial)":
        return Revision("", "", dirty=True)
    branch = heads.get(b"branch.head", b"(detached)").decode("utf-8", "replace")
    return Revision("HEAD" if branch == "(detached)" else branch, commit, dirty=dirty)


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


def _sizes(root: Path, oids: Collection[str]) -> dict[str, int]:
    """The bytes of those blobs that the repository holds. A fifth of what asking the disk for each file costs."""
    given = "".join(f"{one}\n" for one in oids).encode()
    told = git(root, "cat-file", "--batch-check=%(objectsize)", "--buffer", given=given) if oids else None
    lines = told.splitlines() if told else []
    return {oid: int(line) for oid, line in zip(oids, lines, strict=True) if line.isdigit()} if lines else {}


def _entry(
    root: bytes,
    name: bytes,
    added: tuple[bytes, str],
    sizes: Mapping[str, int],
    bounds: trees.Bounds,
    blobs: dict[str, bytes],
) -> trees.Entry | None:
    """One file as Git would list it, None where it is gone. One that is not as it was added is read, unless it is too large, or no
    regular file."""
    mode, oid = added
    if oid in sizes:
        return trees.Entry(mode, b"blob", oid, sizes[oid], name)
    path = os.path.join(root, name)  # noqa: PTH118 (bytes)
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    mode, place = _mode(status.st_mode), Path(os.fsdecode(path))
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


def objects(root: Path, oids: Collection[str]) -> dict[str, bytes]:
    """Blobs of the repository around `root`. Raises Stalled("BlobMissing"), and for what is no object id."""
    wanted = [checked(one) for one in oids]
    given = "".join(f"{one}\n" for one in wanted).encode()
    raw = (git(root, "cat-file", "--batch", given=given) if wanted else None) or b""
    found, at = {}, 0
    for one in wanted:
        head = raw[at : raw.find(b"\n", at)]
        words = head.split()
        if len(words) != 3 or words[1] != b"blob":
            raise Stalled(f"blob {one[:12]} is not in this repository", reason="BlobMissing")
        begin = at + len(head) + 1
        at = begin + int(words[2]) + 1
        found[one] = raw[begin : at - 1]
    return found


def git(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """What git prints for the work tree around `root`, None when it refuses (no repository, another owner's) or is not installed.

    The repository is the one of the nearest `.git`. Git itself would take a folder that looks like a bare one first: its files, the
    configuration among them, come with any change.
    """
    where = _repository(root)
    return None if where is None else _run(root, arguments, given, where)


def says(root: Path, *arguments: str) -> bool:
    """Whether git says yes, of a command that says so by its exit status: 0 is yes and 1 is no. Raises Unavailable("DiskFailed") where it
    failed: that is no answer."""
    where = _repository(root)
    status, _ = _ended(root, arguments, b"", where) if where is not None else (_NO_GIT, b"")
    if status not in (0, 1):
        raise Unavailable(f"git {arguments[0]} failed in {root}", reason="DiskFailed")
    return status == 0


def _repository(root: Path) -> dict[str, str] | None:
    top = next((one for one in (root.absolute(), *root.absolute().parents) if os.path.lexists(one / ".git")), None)
    found = _git_dir(top, os.lstat(top / ".git").st_ino) if top else None
    return None if top is None or found is None else {"GIT_DIR": found, "GIT_WORK_TREE": str(top)}


@lru_cache(64)
def _git_dir(top: Path, _inode: int) -> str | None:
    """Where the repository of this work tree is, None where git refuses it: asked where `.git` lies, it judges the owner too. Folders of
    other owners that a person calls safe are read: in a pipeline's container the work tree is often of another user."""
    command = ("rev-parse", "--absolute-git-dir")
    found = _run(top, command, b"", {})
    if found is None and (safe := _safe()):
        found = _run(top, (*safe, *command), b"", {})
    return None if found is None else os.fsdecode(found.removesuffix(b"\n"))


@lru_cache(1)
def _safe() -> tuple[str, ...]:
    """What a person's own configuration says of folders (`safe.directory`), as words for git; nothing else of it counts."""
    home = {"HOME": str(Path.home())}
    listed = _run(Path("/"), ("config", "--global", "--null", "--get-all", "safe.directory"), b"", home) or b""
    return tuple(
        word for name in listed.split(b"\0")[:-1][-SAFE:] for word in ("-c", f"safe.directory={os.fsdecode(name)}")
    )


def _run(folder: Path, arguments: Sequence[str], given: bytes, where: Mapping[str, str]) -> bytes | None:
    status, printed = _ended(folder, arguments, given, where)
    return printed if status == 0 else None


def _ended(folder: Path, arguments: Sequence[str], given: bytes, where: Mapping[str, str]) -> tuple[int, bytes]:
    """The exit status of git, _NO_GIT where it is not installed, and what it printed."""
    import subprocess
    from shutil import (
        which,  # brings compressors, and subprocess signals and threads: a folder outside of Git goes without
    )

    git = which("git")
    if git is None:
        return _NO_GIT, b""
    try:
        done = subprocess.run(
            [git, *_SAFE, *arguments],
            cwd=folder,
            env={**_ENV, **where},
            input=given,
            capture_output=True,
            timeout=_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"git {arguments[0]} did not end within {_DEADLINE:g} s", reason="Timeout") from error
    return done.returncode, done.stdout
