"""The heads of change requests, and what merging them would give, in a mirror of their own: nothing of them is in the way of a
sync, and what becomes of no use there can be dropped."""

import os
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from reconciler.errors import Stalled
from reconciler.source import fetching
from reconciler.source.address import oid
from reconciler.source.answers import check, refuse
from reconciler.source.mirror import Mirror

HEADS = "refs/changes/"
SMALL = 64 << 20  # bytes below which a mirror is not packed anew
SHOWN = 20  # files in conflict that are named


class Merged(Struct, frozen=True):
    """What merging would give: the tree of the whole repository, "" where there are conflicts, and the files that conflict."""

    tree: str
    conflicts: tuple[str, ...] = ()


class ChangesMirror(Mirror):
    """A mirror of a source's branch and of the heads of its change requests. Calls raise as those of every mirror."""

    _packed = 0  # bytes of the objects after they were packed last

    @property
    def root(self) -> str:
        """The source's path in the repository, "" for all of it."""
        return self._place.address.path

    def change(self, number: int, ref: str) -> str:
        """Fetch the head of a change request, by the limits of the branch; its commit. `ref` is its name on the remote."""
        return self._healing(lambda: self._change(f"{HEADS}{number:d}", ref))

    def merged(self, base: str, head: str) -> Merged:
        """The tree that a merge of two commits would give. Nothing is checked out, and no driver of the repository runs."""
        return self._healing(lambda: self._merged(oid(base), oid(head)))

    def paths(self, before: str, after: str) -> tuple[str, ...]:
        """The files that differ between two trees."""
        return self._healing(lambda: self._paths(oid(before), oid(after)))

    def keep(self, numbers: Collection[int]) -> None:
        """Forget the heads of all other change requests. Once the mirror has doubled, objects that no ref names are dropped."""
        self._healing(lambda: self._keep({f"{HEADS}{number:d}" for number in numbers}))

    def _change(self, ours: str, ref: str) -> str:
        before = self._resolve(ours)
        fetching.transfer(self._place, f"+{ref}:{ours}", lambda: self._resolve(ours) != before, self._release)
        found = self._resolve(ours)
        if found is None:
            raise Stalled("the head of the change request is no commit", reason="CommitMissing")
        return found.commit

    def _merged(self, base: str, head: str) -> Merged:
        answer = self._git(("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, head))
        if answer.status == 1:
            names = answer.out.split(b"\0")[1:]
            return Merged("", tuple(name.decode("utf-8", "replace") for name in names[:SHOWN] if name))
        if "refusing to merge unrelated histories" in answer.err:
            return Merged("", ("(no commit in common)",))
        if answer.status:
            refuse(answer.err, "merging")
        return Merged(oid(check(answer, "merging").split(b"\0")[0].decode().strip()))

    def _paths(self, before: str, after: str) -> tuple[str, ...]:
        command = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after)
        found = check(self._git(command), "comparing trees")
        return tuple(name.decode("utf-8", "replace") for name in found.split(b"\0")[:-1])

    def _keep(self, wanted: Collection[str]) -> None:
        listed = check(self._git(("for-each-ref", "--format=%(refname)", HEADS)), "listing heads").decode().split()
        lines = "".join(f"delete {ref}\n" for ref in listed if ref not in wanted)
        if lines:
            check(self._git(("update-ref", "--stdin"), stdin=lines.encode()), "forgetting heads")
        size = _size(self._place.folder)
        if self._packed and size > max(SMALL, 2 * self._packed):
            self._release()
            check(self._git(("repack", "-a", "-d", "-l", "-q")), "packing the mirror")
            check(self._git(("prune", "--expire=now")), "dropping objects")
            self._release()
            self._packed = _size(self._place.folder)
        self._packed = self._packed or size


def _size(folder: Path) -> int:
    """Bytes of all objects. A file that goes away meanwhile counts as none."""
    total = 0
    for base, _, files in os.walk(folder / "objects"):
        for name in files:
            try:
                total += (Path(base) / name).stat().st_size
            except OSError:
                continue
    return total
