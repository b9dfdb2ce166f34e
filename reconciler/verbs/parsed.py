"""What was read of a folder's files, kept in the user's cache folder between commands: of a large repository a command then reads only
what changed.

It saves time and decides nothing: what is damaged, of another user, of another state of the program or of other limits counts as not
there. It holds what the repository holds, for its owner alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import schemas
from reconciler import __version__, model, settings, spec
from reconciler.errors import UNREADABLE
from reconciler.model import Limits
from reconciler.spec import load, stored
from reconciler.spec.entries import Entry

LARGEST: Final = 64 << 20
"""Bytes of one folder's file."""
FOLDERS: Final = 16
"""Folders that are remembered; the one that was written longest ago goes first."""
FEW: Final = 64
"""Files that may be read anew before it is worth writing what was read."""
_SHARE: Final = 20  # or a twentieth of all, where that is more
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Parsed:
    """What is kept of the files below `place`/`sub`, as read within `limits`."""

    place: Path
    sub: str
    limits: Limits

    @cached_property
    def known(self) -> load.Known:
        """For `load`; nothing where there is nothing to believe."""
        with suppress(OSError, *UNREADABLE):
            data = _own(self._file)
            head = self._head(data[len(self._stamp) + 32 :])
            if data.startswith(head):
                return load.Known(entries=stored.decode(data[len(head) :]))
        return load.NOTHING

    def keep(self, entries: Mapping[str, Entry]) -> None:
        """Keep what was read where much of it is new. A disk that cannot be written costs the next command time, and nothing else."""
        worth = {path: entry for path, entry in entries.items() if stored.worth(entry)}
        new = sum(entry is not self.known.entries.get(path) for path, entry in worth.items())
        if new >= max(FEW, len(worth) // _SHARE):
            body = stored.encode(worth)
            with suppress(OSError):
                _replace(self._file, self._head(body) + body)

    @cached_property
    def _file(self) -> Path:
        place = os.fsencode(self.place.resolve()) + b"\0" + self.sub.encode()
        return settings.parsed_folder() / hashlib.sha256(place).hexdigest()

    @cached_property
    def _stamp(self) -> bytes:
        return stored.stamp(self.limits, (__version__, *_program())).encode()

    def _head(self, body: bytes) -> bytes:
        return self._stamp + hashlib.sha256(body).digest()


def _program() -> Iterator[tuple[str, int, int]]:
    """Name, size and time of the files that decide how a document is read: a work tree of ours changes without its version."""
    for package in (spec, model, schemas):
        for folder in package.__path__:
            with os.scandir(folder) as listed:
                files = sorted((one for one in listed if one.is_file()), key=lambda one: one.name)
            yield from ((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files)


def _own(file: Path) -> bytes:
    """The bytes of a file that nobody else can have written. Raises OSError for any other."""
    _check(file.parent.lstat(), stat.S_ISDIR)
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
        _check(os.fstat(opened.fileno()), stat.S_ISREG)
        return opened.read(LARGEST)


def _check(found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    """Raises PermissionError for what is of another kind or user, or may be written by others."""
    if not is_kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
        raise PermissionError


def _replace(file: Path, data: bytes) -> None:
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
    """Remove what was written longest ago, and what a command left that was ended."""
    found = sorted(folder.iterdir(), key=lambda one: one.lstat().st_mtime, reverse=True)
    for file in found[FOLDERS:]:
        file.unlink(missing_ok=True)
