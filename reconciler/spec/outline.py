"""A tree by its paths alone: where documents may be, which folders are charts, and which files may not be read (S1)."""

from msgspec import Struct

from reconciler.model import Tree, Violation
from reconciler.spec import files
from reconciler.spec.unread import POINTER_LIMIT, Unread


class Outline(Struct, frozen=True):
    """`documents`: YAML files outside charts, in path order. `small`: blobs in charts that may be LFS pointers by their size.

    `charts` are the folders with a Chart.yaml, also one that may not be read.
    """

    charts: frozenset[str]
    unread: Unread
    documents: tuple[str, ...]
    small: tuple[str, ...]

    @property
    def hiding(self) -> tuple[Violation, ...]:
        """The entries that may hide documents of ours, sorted: all that may not be read, except in charts."""
        return tuple(sorted(one for path, one in self.unread.items() if not files.inside(path, self.charts)))


def of(tree: Tree) -> Outline:
    """The outline of a tree."""
    unread = {one.path: one for one in tree.violations}
    charts = files.charts(tree.files) | files.charts(list(unread))
    inside = {path: oid for path, oid in tree.files.items() if files.inside(path, charts)} if charts else {}
    documents = tuple([path for path in tree.files if path.endswith(files.YAML) and path not in inside])
    small = dict.fromkeys(oid for oid in inside.values() if tree.sizes[oid] < POINTER_LIMIT)
    return Outline(charts, unread, documents, tuple(small))
