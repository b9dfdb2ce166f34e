"""The mirror's folder: creates it, locks it for one process, removes what a killed git left, sets a broken one aside
(S7, M12)."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from reconciler.errors import Retry, Unavailable
from reconciler.source.answers import check
from reconciler.source.environment import reading
from reconciler.source.runner import run

_TEMPORARY = ("tmp_", ".tmp-", "incoming-")
_LOCKS = (".lock", ".keep")  # a pack is kept by git's fetch until its ref is written
_FANOUT = 8 + 4 * 256  # bytes of an index before the names
_FULL = 1 << 20  # bytes free on a disk that counts as full
# For the upload-pack of a local source, which reads no configuration of ours but this: the operator named that folder.
_GITCONFIG = "[safe]\n\tdirectory = *\n"


def own(folder: Path) -> int:
    """Takes the folder for this process; the lock lives as long as the returned file descriptor. Raises Retry("MirrorBusy")."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"the mirror's folder cannot be used: {error.strerror}", reason="DiskFailed") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Retry("the mirror is used by another process", reason="MirrorBusy") from error
    return descriptor


def prepare(folder: Path, deadline: float) -> None:
    """A clean, usable bare repository in `folder`; one that cannot be opened is created again."""
    try:
        shutil.rmtree(fresh(folder), ignore_errors=True)
        if (folder / "objects").is_dir():
            sweep(folder)
        if not _whole(folder):
            create(folder, deadline)
    except OSError as error:
        raise Unavailable(f"the mirror's folder cannot be used: {error.strerror}", reason="DiskFailed") from error


def create(folder: Path, deadline: float, form: str = "") -> None:
    """An empty bare repository without template, hooks or description. `form`: its object format, git's default where ""."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    (folder / "gitconfig").write_text(_GITCONFIG)
    wanted = (f"--object-format={form}",) if form else ()
    arguments = ("init", "--quiet", "--bare", "--template=", "--initial-branch=unborn", *wanted)
    answer = run(folder, arguments, reading(folder), deadline=deadline, written=1 << 20, output=1 << 16)
    check(answer, "creating the mirror")


def sweep(folder: Path) -> tuple[str, ...]:
    """Removes temporary packs, quarantines, packs without an index and stale locks; returns their names. Safe only while `own` is held
    and no git of ours writes. Raises OSError."""
    left: list[Path] = []
    for base, folders, files in os.walk(folder, onerror=_raise):
        place = Path(base)
        temporary = [name for name in folders if name.startswith(_TEMPORARY)]
        folders[:] = [name for name in folders if name not in temporary]
        left += [place / name for name in temporary]
        left += [place / name for name in files if name.startswith(_TEMPORARY) or name.endswith(_LOCKS)]
        if place.name == "pack":
            left += [place / name for name in files if name.startswith("pack-") and _indexless(name, files)]
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return tuple(sorted({str(path.relative_to(folder)) for path in left}))


def packs(folder: Path) -> frozenset[Path]:
    """The files of the packs that are there. Raises OSError."""
    return frozenset((folder / "objects" / "pack").glob("pack-*"))


def drop(files: Iterable[Path]) -> None:
    """Removes packs that no ref needs; the index first, so that git does not look for the rest. Raises OSError."""
    for path in sorted(files, key=lambda path: path.suffix != ".idx"):
        path.unlink(missing_ok=True)


def names(index: Path, length: int) -> set[bytes]:
    """The objects of a pack, by its index (git's pack format, version 2); `length` of a name in bytes. Raises OSError."""
    data = index.read_bytes()
    count, start = int.from_bytes(data[_FANOUT - 4 : _FANOUT]), _FANOUT
    return {data[start + length * number : start + length * (number + 1)] for number in range(count)}


def largest_temporary(folder: Path) -> int:
    """Bytes of the largest pack that was not finished, 0 where there is none. Raises OSError."""
    return max((path.stat().st_size for path in (folder / "objects" / "pack").glob("tmp_pack_*")), default=0)


def full(folder: Path) -> bool:
    """Whether the disk is full."""
    return shutil.disk_usage(folder).free < _FULL


def reclaim(folder: Path) -> None:
    """Deletes the content of a broken mirror that was kept. Its folder stays, because its time says when the mirror was
    replaced."""
    broken = aside(folder)
    if broken.is_dir():
        before = broken.stat()
        for path in broken.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.utime(broken, (before.st_atime, before.st_mtime))


def replace(folder: Path) -> None:
    """Puts the new clone in the place of the broken mirror, which is kept for inspection, one at most."""
    broken = aside(folder)
    shutil.rmtree(broken, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(broken)
        os.utime(broken)
    fresh(folder).rename(folder)


def fresh(folder: Path) -> Path:
    """Where a new clone is made beside a broken mirror."""
    return folder.with_name(folder.name + ".new")


def aside(folder: Path) -> Path:
    """Where a broken mirror is kept; its time says when it was last replaced (the backoff of S7)."""
    return folder.with_name(folder.name + ".broken")


def crowded(folder: Path) -> bool:
    """Whether there are many small packs or loose objects, by git's own estimate from one of 256 folders."""
    loose = folder / "objects" / "17"
    packs = folder / "objects" / "pack"
    return (loose.is_dir() and len([*loose.iterdir()]) > 27) or len([*packs.iterdir()]) > 150


def _indexless(name: str, files: Collection[str]) -> bool:
    """Whether a file belongs to a pack whose index never came: git was killed before it gave the pack its name."""
    return f"{name.partition('.')[0]}.idx" not in files


def _raise(error: OSError) -> None:
    raise error


def _whole(folder: Path) -> bool:
    """Whether the files that make a folder a repository exist and are not empty."""
    files = all(
        (folder / name).is_file() and (folder / name).stat().st_size for name in ("HEAD", "config", "gitconfig")
    )
    return files and all((folder / name).is_dir() for name in ("objects/pack", "refs"))
