"""The accepted contents of the clusters, read from the repository of the planned folder (P6, S8)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.errors import Stalled
from reconciler.model import Limits, Record, Tree
from reconciler.source import accepted, past
from reconciler.source.folder import Blobs
from reconciler.spec import load


class Baseline:
    """The accepted contents of a source's clusters; `blobs` reads what they name, `missing` are clusters whose commit is not here, `known`
    is what was read, for the next `load`. Given `known`, what it holds is not read again."""

    def __init__(
        self, folder: Path, sub: str, limits: Limits, records: Collection[Record], known: load.Known = load.NOTHING
    ) -> None:
        self._readers: list[Blobs] = []

        def at(commit: str) -> tuple[Tree, Blobs]:
            tree, read = past.read(folder, sub, commit, limits)
            self._readers.append(read)
            return tree, read

        found = accepted.recall(records, at, known, limits)
        self.accepted, self.missing, self.known = dict(found.contents), list(found.missing), found.known

    def blobs(self, oids: Collection[str]) -> dict[str, bytes]:
        """Blobs of accepted commits. Raises Stalled("BlobMissing")."""
        if not self._readers:
            raise Stalled("no accepted commit is in this repository", reason="BlobMissing")
        return self._readers[-1](oids)

    def descends(self, folder: Path, head: str) -> bool:
        """Whether `head` descends from every accepted commit that can be read (S5); a folder without commits counts as
        descending."""
        commits = {content.revision.commit for content in self.accepted.values()}
        return not head or all(commit == head or past.descends(folder, commit, head) for commit in commits)
