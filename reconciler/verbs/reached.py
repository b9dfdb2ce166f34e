"""Whether the controller has read a revision: that one, or a later one that the work tree here knows to come after it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import UsageError, parted, printable, short
from reconciler.verbs import seen

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.report.view import SourceView

PAUSE = 1.0  # seconds between two looks at the sources: it is the clusters that are watched
_COMMIT = re.compile("[0-9a-f]{7,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A commit, whole where the work tree here has it (`here`), else its first digits."""

    commit: str
    here: bool

    def reached(self, source: SourceView) -> bool:
        """Whether the source was read at this commit, or at a later one."""
        at = parted(source.revision)[2]
        if at.startswith(self.commit):
            return True
        return self.here and bool(at) and _after(self.commit, at)


def wanted(name: str) -> Wanted:
    """What `name` means in the work tree here, if it means something; else it has to be a commit. Raises UsageError."""
    from reconciler.source import past

    try:
        return Wanted(past.revision(Path(), name).commit, True)
    except UsageError:
        if _COMMIT.fullmatch(name):
            return Wanted(name, False)
        raise


def _after(old: str, new: str) -> bool:
    from reconciler.source import past

    return past.descends(Path(), old, new)


def sources(
    client: Client,
    namespace: str,
    commit: Wanted,
    asked: Collection[str],
    timeout: float,
    tell: Callable[[str], None],
) -> tuple[seen.Seen, list[str]]:
    """What is seen once sources have reached the commit, and their names: those of the clusters `asked`, or any, where none is. No name
    where that did not happen in time."""
    ends = time.monotonic() + timeout
    while True:
        with seen.patiently():
            found = seen.read(client, namespace)
            chosen = {found.clusters[name].source for name in asked if name in found.clusters} or found.sources.keys()
            there = [one for name, one in sorted(found.sources.items()) if name in chosen]
            at = [one.source for one in there if commit.reached(one)]
            if at and (not asked or len(at) == len(there)):
                return found, at
            tell(f"not read yet: {commit.commit[:7]}; {stand(found)}")
        left = ends - time.monotonic()
        if left <= 0:
            return found, []
        time.sleep(min(PAUSE, left))


def stand(found: seen.Seen) -> str:
    """Where each source is, and why it cannot be read."""
    there = found.sources.values()
    told = [f"{one.source} is at {short(one.revision)}" + (f" ({one.error})" if one.error else "") for one in there]
    return printable(", ".join(told)) or "no source is known"
