"""The mirror's folder: made, owned by one process at a time, swept of what a killed git left, set aside when broken (S7, M12)."""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from reconciler.errors import Retry, Unavailable
from reconciler.source.answers import check
from reconciler.source.environment import reading
from reconciler.source.runner import run

_TEMPORARY = ("tmp_*", ".tmp-*")
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
    """A swept, usable bare repository in `folder`; one that is not whole enough to be opened is made anew."""
    try:
        if (folder / "objects").is_dir():
            sweep(folder)
        if not _whole(folder):
            create(folder, deadline)
    except OSError as error:
        raise Unavailable(f"the mirror's folder cannot be used: {error.strerror}", reason="DiskFailed") from error


def create(folder: Path, deadline: float) -> None:
    """An empty bare repository without template, hooks or description."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    (folder / "gitconfig").write_text(_GITCONFIG)
    arguments = ("init", "--quiet", "--bare", "--template=", "--initial-branch=unborn")
    answer = run(folder, arguments, reading(folder), deadline=deadline, written=1 << 20, output=1 << 16)
    check(answer, "creating the mirror")


def sweep(folder: Path) -> tuple[str, ...]:
    """Removes temporary packs and stale locks and returns their names. Safe only while `own` is held: no git of ours runs."""
    places = (folder / "objects", folder / "objects" / "pack")
    loose = (place for place in (folder / "objects").iterdir() if len(place.name) == 2)
    left = [path for place in (*places, *loose) for pattern in _TEMPORARY for path in place.glob(pattern)]
    left += [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock"), *(folder / "objects").rglob("*.lock")]
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return tuple(sorted(str(path.relative_to(folder)) for path in left))


def replace(folder: Path, fresh: Path) -> None:
    """Puts `fresh` in the place of a broken mirror, which is kept as evidence, one at most."""
    broken = aside(folder)
    shutil.rmtree(broken, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(broken)
        os.utime(broken)
    fresh.rename(folder)


def aside(folder: Path) -> Path:
    """Where a broken mirror is kept; its time says when it was last replaced (the backoff of S7)."""
    return folder.with_name(folder.name + ".broken")


def crowded(folder: Path) -> bool:
    """Whether small packs or loose objects have piled up: git's own rule of thumb, one folder of 256 looked at."""
    loose = folder / "objects" / "17"
    packs = folder / "objects" / "pack"
    return (loose.is_dir() and len([*loose.iterdir()]) > 27) or len([*packs.iterdir()]) > 150


def _whole(folder: Path) -> bool:
    """What git needs to call a folder a repository, each of it at least there and not empty."""
    files = all(
        (folder / name).is_file() and (folder / name).stat().st_size for name in ("HEAD", "config", "gitconfig")
    )
    return files and all((folder / name).is_dir() for name in ("objects/pack", "refs"))
