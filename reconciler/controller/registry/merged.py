"""Which commit each source has, what was shown of it before it was merged, and the approval that came with it (B5)."""

from collections.abc import Iterable

from reconciler.model import Request, Reviewed, Snapshot


class Merged:
    """Not locked: the registry's lock is held around every call that changes it."""

    def __init__(self) -> None:
        self._reviews: dict[str, dict[str, Reviewed]] = {}  # source -> tree of its path -> what was shown
        self._merges: dict[str, tuple[str, Reviewed | None, Request | None]] = {}  # source -> commit, review, consent

    def shown(self, source: str, reviews: Iterable[Reviewed]) -> None:
        """What was shown of the change requests of a source, in place of what was known."""
        self._reviews[source] = {one.tree: one for one in reviews}

    def bound(self, snapshot: Snapshot) -> tuple[Reviewed | None, Request | None]:
        """What was shown of a commit before it was merged, and the approval that came with it. Another commit with the same tree is
        a new question."""
        source, commit = snapshot.source, snapshot.revision.commit
        if self.newest(source) != commit:
            self._merges[source] = (commit, self._reviews.get(source, {}).get(snapshot.oid), None)
        _, review, consent = self._merges[source]
        return review, consent

    def consented(self, source: str, commit: str, review: Reviewed, consent: Request) -> None:
        """The commit merged what `review` showed, and that was approved; nothing where it is another one, or was approved before."""
        if self._merges.get(source) == (commit, review, None):
            self._merges[source] = (commit, review, consent)

    def newest(self, source: str) -> str:
        """The commit of a source that was asked about last, "" where none was."""
        return self._merges.get(source, ("",))[0]

    def number(self, source: str, commit: str) -> int:
        """The change request that the commit merged as it was shown, 0 for none."""
        known, review, _ = self._merges.get(source, ("", None, None))
        return review.number if review is not None and known == commit else 0
