"""The accepted contents of the clusters, read from the repository of the planned folder (P6, S8)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.errors import Stalled
from reconciler.model import Content, Limits, Record, Revision
from reconciler.source import past
from reconciler.source.folder import Blobs
from reconciler.spec import config, load


class Baseline:
    """The accepted contents of a source's clusters; `blobs` reads what they name, `missing` are clusters whose commit is not here."""

    def __init__(self, folder: Path, sub: str, limits: Limits, records: Collection[Record]) -> None:
        self._known = load.NOTHING
        self._readers: list[Blobs] = []
        self.accepted: dict[str, Content] = {}
        self.missing: list[str] = []
        by_commit: dict[str, list[Record]] = {}
        for record in records:
            by_commit.setdefault(record.commit, []).append(record)
        for commit, standing in sorted(by_commit.items()):
            content = self._content(folder, sub, limits, commit, standing[0])
            here = {record.cluster for record in standing if content and record.cluster in content.specs.clusters}
            self.accepted |= {name: content for name in here if content}
            self.missing += sorted(record.cluster for record in standing if record.cluster not in here)

    def blobs(self, oids: Collection[str]) -> dict[str, bytes]:
        """Blobs of accepted commits. Raises Stalled("BlobMissing")."""
        if not self._readers:
            raise Stalled("no accepted commit is in this repository", reason="BlobMissing")
        return self._readers[-1](oids)

    def descends(self, folder: Path, head: str) -> bool:
        """Whether `head` descends from every accepted commit that can be read (S5); a folder without commits counts as
        descending."""
        commits = {content.revision.commit for content in self.accepted.values()}
        return not head or all(past.descends(folder, commit, head) for commit in commits)

    def _content(self, folder: Path, sub: str, limits: Limits, commit: str, record: Record) -> Content | None:
        """As Source.content_at: it is not validated again."""
        if not commit:
            return None
        try:
            tree, read = past.read(folder, sub, commit, limits)
            blobs = read(load.wanted(tree, self._known))
        except Stalled:
            return None
        self._readers.append(read)
        revision = Revision(record.branch, commit)
        snapshot, self._known = load.load(
            record.source, revision, tree, blobs, self._known, config.anything(), config.NOWHERE, limits
        )
        return snapshot.content
