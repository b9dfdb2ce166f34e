"""Renders of the engine's chart, kept in the user's cache folder between commands: it is the same in most of them, and Helm's library is
half of what a render worker costs.

It saves time and decides nothing else: a file is named by all that a render depends on, and what is damaged, of another user or of another
state of the program counts as not there. Charts and manifests of people are not kept, because they may hold what is secret.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from reconciler import __version__, packs, plan, settings, spec
from reconciler.verbs import kept


class Shelf:
    """As `packs.render.Shelf`. A command adds no more than are kept."""

    def __init__(self) -> None:
        self._left = kept.MOST

    def get(self, key: bytes) -> bytes | None:
        """What was rendered for a key, None where nothing is to be believed."""
        with suppress(OSError):
            data = kept.own(self._file(key))
            if data[32:] and hashlib.sha256(data[32:]).digest() == data[:32]:
                return data[32:]
        return None

    def put(self, key: bytes, found: bytes) -> None:
        """Keep it. A disk that cannot be written costs the next command time, and nothing else."""
        if self._left > 0:
            self._left -= 1
            with suppress(OSError):
                kept.replace(self._file(key), hashlib.sha256(found).digest() + found)

    def _file(self, key: bytes) -> Path:
        return settings.rendered_folder() / hashlib.sha256(self._stamp + key).hexdigest()

    @cached_property
    def _stamp(self) -> bytes:
        """Renders depend on what reads charts, and on what is made of their objects."""
        return repr((__version__, *kept.program(packs, plan, spec))).encode()
