"""Files of keys in a folder that an operator mounts and that may change at any time (K12, K14)."""

import os
import stat
from collections.abc import Callable
from pathlib import Path


def names(folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """The wanted names in it, sorted; those that begin with a dot are a mounted Secret's own. Raises OSError."""
    return sorted(one.name for one in os.scandir(folder) if not one.name.startswith(".") and wanted(one.name))


def read(path: Path, most: int) -> bytes | None:
    """At most so many bytes and one more; None where it is no regular file. Nothing is waited for: a named pipe has no writer.

    Raises OSError.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return file.read(most + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
