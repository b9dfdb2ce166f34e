"""What was read of a folder's files, kept in the user's cache folder between commands: of a large repository a command then reads only
what changed.

It saves time and decides nothing: what is damaged, of another user, of another state of the program or of other limits counts as not
there. It holds what the repository holds, for its owner alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import Struct

import schemas
from reconciler import __version__, model, settings, spec
from reconciler.errors import UNREADABLE
from reconciler.model import Limits
from reconciler.spec import load, stored
from reconciler.spec.entries import Entry
from reconciler.verbs import kept

FEW: Final = 64
"""Files that may be read anew before it is worth writing what was read."""
_SHARE: Final = 20  # or a twentieth of all, where that is more


class Parsed(Struct, frozen=True, dict=True):
    """What is kept of the files below `place`/`sub`, as read within `limits`."""

    place: Path
    sub: str
    limits: Limits

    @cached_property
    def known(self) -> load.Known:
        """For `load`; nothing where there is nothing to believe."""
        with suppress(OSError, *UNREADABLE):
            data = kept.own(self._file)
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
                kept.replace(self._file, self._head(body) + body)

    @cached_property
    def _file(self) -> Path:
        place = os.fsencode(self.place.resolve()) + b"\0" + self.sub.encode()
        return settings.parsed_folder() / hashlib.sha256(place).hexdigest()

    @cached_property
    def _stamp(self) -> bytes:
        return stored.stamp(self.limits, (__version__, *kept.program(spec, model, schemas))).encode()

    def _head(self, body: bytes) -> bytes:
        return self._stamp + hashlib.sha256(body).digest()
