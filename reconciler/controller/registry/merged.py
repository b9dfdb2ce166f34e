"""Which commit each source has, what was shown of it before it was merged, the approval that came with it, and which change requests
their forge says were merged as which commit (B5)."""

from collections.abc import Iterable

from msgspec import Struct

from reconciler.model import Brought, Merge, Request, Reviewed, Snapshot, replace

KEPT = 1000  # merges that are known of a source


class Newest(Struct, frozen=True):
    """The commit of a source that was asked about last, with the tree of its path: what was shown of it, and the approval of that."""

    commit: str = ""
    tree: str = ""
    review: Reviewed | None = None
    consent: Request | None = None


class Merged:
    """Not locked: the registry's lock is held around every call that changes it."""

    def __init__(self) -> None:
        self._reviews: dict[str, dict[str, Reviewed]] = {}  # source -> tree of its path -> what was shown
        self._newest: dict[str, Newest] = {}
        self._merges: dict[str, dict[int, Merge]] = {}  # source -> number

    def shown(self, source: str, reviews: Iterable[Reviewed]) -> None:
        """What was shown of the change requests of a source, in place of what was known."""
        self._reviews[source] = {one.tree: one for one in reviews}

    def learn(self, source: str, merge: Merge) -> bool:
        """The forge says that a change request was merged as a commit; whether that is new."""
        known = self._merges.setdefault(source, {})
        if known.get(merge.number) == merge:
            return False
        known.pop(merge.number, None)
        known[merge.number] = merge
        for number in [*known][:-KEPT]:
            del known[number]
        return True

    def explains(self, source: str, cluster: str, one: Brought | int) -> tuple[Merge | None, ...]:
        """The change requests that brought a commit of a source: those that the forge says were merged as this very commit, which has
        the tree that was shown, and which were planned on what the cluster would have been made of before: else somebody else's
        commits are in it too. None for what no change request explains (yet)."""
        found = [
            each
            for each in self._merges.get(source, {}).values()
            if isinstance(one, Brought)
            and one.commit
            and (each.commit, each.review.tree) == (one.commit, one.tree)
            and each.review.before.get(cluster) == one.was
        ]
        return (*found,) or (None,)

    def bound(self, snapshot: Snapshot) -> tuple[Reviewed | None, Request | None]:
        """What was shown of a commit before it was merged, and the approval that came with it. Another commit with the same tree is
        a new question."""
        source, commit = snapshot.source, snapshot.revision.commit
        if self.newest(source) != commit:
            self._newest[source] = Newest(commit, snapshot.oid, self._reviews.get(source, {}).get(snapshot.oid))
        known = self._newest[source]
        return known.review, known.consent

    def consented(self, source: str, commit: str, review: Reviewed, consent: Request) -> None:
        """The commit merged what `review` showed, and that was approved; nothing where it is another one, or was approved before."""
        known = self._newest.get(source)
        if known is not None and (known.commit, known.tree, known.consent) == (commit, review.tree, None):
            self._newest[source] = replace(known, review=review, consent=consent)

    def handed(self, source: str) -> bool:
        """Whether an approval came with the newest commit."""
        return self._newest.get(source, Newest()).consent is not None

    def newest(self, source: str) -> str:
        """The commit of a source that was asked about last, "" where none was."""
        return self._newest.get(source, Newest()).commit

    def number(self, source: str, commit: str) -> int:
        """The change request that the commit merged as it was shown, 0 for none."""
        known = self._newest.get(source, Newest())
        return known.review.number if known.review is not None and known.commit == commit else 0
