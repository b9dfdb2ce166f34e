"""Files in the user's cache folder, for the next command: what is damaged, of another user or writable by others counts as not there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

LARGEST: Final = 64 << 20
"""Bytes of one file."""
MOST: Final = 16
"""Files of a folder that are kept; the one that was written longest ago goes first."""
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def program(*packages: ModuleType) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of the files that decide what is kept: a work tree of ours changes without its version."""
    for package in packages:
        for folder in package.__path__:
            with os.scandir(folder) as listed:
                files = sorted((one for one in listed if one.is_file()), key=lambda one: one.name)
            yield from ((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files)


def own(file: Path) -> bytes:
    """The bytes of a file that nobody else can have written. Raises OSError for any other."""
    _check(file.parent.lstat(), stat.S_ISDIR)
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
        _check(os.fstat(opened.fileno()), stat.S_ISREG)
        return opened.read(LARGEST)


def _check(found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    """Raises PermissionError for what is of another kind or user, or may be written by others."""
    if not is_kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
        raise PermissionError


def replace(file: Path, data: bytes) -> None:
    """Write the whole file or nothing, for its owner alone. Raises OSError."""
    if len(data) > LARGEST:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check(file.parent.lstat(), stat.S_ISDIR)
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as opened:
            opened.write(data)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    _forget(file.parent)


def _forget(folder: Path) -> None:
    """Remove what was written longest ago, and what a command left that was ended. Another command may remove the same meanwhile; a
    folder is nothing that a command keeps."""
    found: list[tuple[float, Path]] = []
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            about = file.lstat()
            if not stat.S_ISDIR(about.st_mode):
                found.append((about.st_mtime, file))
    for _, file in sorted(found, reverse=True)[MOST:]:
        file.unlink(missing_ok=True)
