"""What clusters were accepted at, read again from the commits on record (S8): one way for the controller and for `nidus plan`."""

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from reconciler.errors import NidusError, Stalled
from reconciler.model import Content, Limits, Record, Revision, Tree
from reconciler.source.folder import Blobs
from reconciler.spec import config, load


class Recalled(Struct, frozen=True):
    """The contents by cluster, why other clusters have none, and what to hand to the next `load`."""

    contents: Mapping[str, Content]
    missing: Mapping[str, str]
    known: load.Known


def recall(
    records: Collection[Record], at: Callable[[str], tuple[Tree, Blobs]], known: load.Known, limits: Limits
) -> Recalled:
    """What the clusters of these records were accepted at; every commit is read once. `at` gives the tree of a commit and what
    reads its files, and raises NidusError where it cannot: those clusters are `missing`.

    It was judged when it was accepted: a rule that became stricter since does not make it unreadable.
    """
    contents: dict[str, Content] = {}
    missing: dict[str, str] = {}
    by_commit: dict[str, list[Record]] = {}
    for record in records:
        by_commit.setdefault(record.commit, []).append(record)
    for commit, standing in sorted(by_commit.items()):
        try:
            content, known = _content(standing[0], at, known, limits)
        except NidusError as error:
            missing |= {record.cluster: error.message for record in standing}
            continue
        for record in standing:
            if record.cluster in content.specs.clusters:
                contents[record.cluster] = content
            else:
                missing[record.cluster] = f"commit {commit[:12]} has no sound document of it"
    return Recalled(contents, missing, known)


def _content(
    record: Record, at: Callable[[str], tuple[Tree, Blobs]], known: load.Known, limits: Limits
) -> tuple[Content, load.Known]:
    if not record.commit:
        raise Stalled("no accepted commit is on record", reason="CommitMissing")
    tree, read = at(record.commit)
    blobs, revision = read(load.wanted(tree, known)), Revision(record.branch, record.commit)
    snapshot, known = load.load(record.source, revision, tree, blobs, known, config.anything(), config.NOWHERE, limits)
    return snapshot.content, known
