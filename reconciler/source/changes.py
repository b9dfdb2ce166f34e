"""The heads of change requests, and what merging them would give, in a mirror of their own: nothing of them is in the way of a
sync, and what becomes of no use there can be dropped."""

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from reconciler.errors import Stalled, Unavailable
from reconciler.model import Revision, replace
from reconciler.source import fetching, storage
from reconciler.source.address import oid
from reconciler.source.answers import Damaged, check, refuse
from reconciler.source.mirror import Mirror

T = TypeVar("T")
HEADS = "refs/changes/"
BRANCH = "branch.size"  # the file that says how many bytes the mirror has without heads
MOST = 2  # times limits.total that all heads may have together
STRANGERS = 4  # of limits.total that the head of somebody who may not write may have, the one that is there
SMALL = 64 << 20  # bytes below which a mirror is not packed anew
LEAST = 64 << 10  # bytes without which nothing can be fetched
SHOWN = 20  # files in conflict that are named


class Merged(Struct, frozen=True):
    """What merging would give: the tree of the whole repository, "" where there are conflicts, and the files that conflict."""

    tree: str
    conflicts: tuple[str, ...] = ()


class ChangesMirror(Mirror):
    """A mirror of a source's branch and of the heads of its change requests. Calls raise as those of every mirror.

    Anybody may open change requests: what all heads have together is bounded, and nothing stays of those of strangers.
    """

    _packed = 0  # bytes of the objects after they were packed last
    _aside = False

    @property
    def root(self) -> str:
        """The source's path in the repository, "" for all of it."""
        return self._place.address.path

    def change(self, number: int, ref: str, head: str = "") -> str:
        """Fetch the head of a change request, and keep it; its commit. `ref` is its name on the remote, which is not asked where `head` is
        there already. Raises Stalled("TooBig") where all heads together would have more than MOST times limits.total."""
        return self._healing(lambda: self._kept(f"{HEADS}{number:d}", ref, head))

    @contextmanager
    def stranger(self, number: int, ref: str) -> Iterator[str]:
        """As `change`, with a head that is in a folder of its own, and gone with all that it brought once this is left. Raises
        Stalled("TooBig") where it has more than limits.total / STRANGERS."""
        with self._lock:
            mine = self._place
            folder = _aside(mine.folder)
            room = min(mine.bounds.pack, mine.bounds.total // STRANGERS)
            self._healing(lambda: self._begin(folder, f"{HEADS}{number:d}"))
            try:
                self._release()
                self._place, self._aside = replace(mine, folder=folder, bounds=replace(mine.bounds, pack=room)), True
                yield self._healing(lambda: self._change(f"{HEADS}{number:d}", ref))
            finally:
                self._release()
                self._place, self._aside = mine, False
                shutil.rmtree(folder, ignore_errors=True)

    def merged(self, base: str, head: str) -> Merged:
        """The tree that a merge of two commits would give. Nothing is checked out, and no driver of the repository runs."""
        return self._healing(lambda: self._merged(oid(base), oid(head)))

    def paths(self, before: str, after: str) -> tuple[str, ...]:
        """The files that differ between two trees."""
        return self._healing(lambda: self._paths(oid(before), oid(after)))

    def keep(self, numbers: Collection[int]) -> None:
        """Forget the heads of all other change requests. Once the mirror has doubled, objects that no ref names are dropped."""
        self._healing(lambda: self._keep({f"{HEADS}{number:d}" for number in numbers}))

    def _healing(self, work: Callable[[], T]) -> T:
        """Nothing that a stranger pushed makes the mirror anew."""
        if not self._aside:
            return super()._healing(work)
        try:
            return work()
        except Damaged as error:
            raise Stalled("the objects of the head do not fit together", reason="BadObjects") from error

    def _fetch(self) -> Revision:
        """And note how much of the mirror is the branch. One of a version before, which kept every head, is emptied of them."""
        folder = self._place.folder
        shutil.rmtree(_aside(folder), ignore_errors=True)  # of a process that was killed
        empty, before, branch = not storage.packs(folder), _size(folder), self._branch()
        found = super()._fetch()
        if branch is None and not empty:
            self._forget(())
            with suppress(Unavailable):  # so large that it cannot be packed
                self._pack()
        grown = _size(folder) - before
        self._note(_size(folder) if branch is None else branch + grown)
        return found

    def _branch(self) -> int | None:
        try:
            return int((self._place.folder / BRANCH).read_text("ascii"))
        except (OSError, ValueError):
            return None

    def _note(self, size: int) -> None:
        try:
            (self._place.folder / BRANCH).write_text(f"{max(0, size)}", "ascii")
        except OSError as error:
            raise Unavailable(f"the mirror's folder cannot be used: {error.strerror}", reason="DiskFailed") from error

    def _kept(self, ours: str, ref: str, head: str) -> str:
        known = self._resolve(ours)
        if known is not None and known.commit == head:
            return head
        place, total = self._place, self._place.bounds.total
        room = self._room()
        if room < total:  # what is about to be replaced makes room for it
            self._drop([ours])
            room = self._room(tidy=True)
        if room < LEAST:
            raise _too_big("the heads of all change requests together", MOST * total)
        self._place = replace(place, bounds=replace(place.bounds, pack=min(place.bounds.pack, room)))
        try:
            return self._change(ours, ref)
        finally:
            self._place = place

    def _room(self, *, tidy: bool = False) -> int:
        """Bytes that heads may still have. `tidy`: what no ref needs goes, where that is much of it."""
        size, branch = _size(self._place.folder), self._branch() or 0
        most = MOST * self._place.bounds.total
        if tidy:
            needed = self._needed()
            if size - branch - needed > self._place.bounds.total // STRANGERS:
                self._pack()
                size = _size(self._place.folder)
                branch = size - needed
                self._note(branch)
        return most - max(0, size - branch)

    def _needed(self) -> int:
        """Bytes of what heads have and the branch has not."""
        command = ("rev-list", "--disk-usage", "--objects", f"--glob={HEADS}*", "--not", "--glob=refs/source/*")
        return int(check(self._git(command), "measuring heads"))

    def _begin(self, folder: Path, ours: str) -> None:
        """A folder for one head, which has the objects of the mirror too, and knows where its branch stands."""
        self._drop([ours])
        place, base = self._place, self._resolve(self._place.ref)
        form = check(self._git(("rev-parse", "--show-object-format")), "reading the mirror").decode().strip()
        try:
            storage.create(folder, place.deadline, form)
            (folder / "objects/info").mkdir(exist_ok=True)
            (folder / "objects/info/alternates").write_text(f"{place.folder}/objects\n")
            if base is not None:
                (folder / place.ref).parent.mkdir(parents=True)
                (folder / place.ref).write_text(f"{base.commit}\n")
        except OSError as error:
            raise Unavailable(f"the mirror's folder cannot be used: {error.strerror}", reason="DiskFailed") from error

    def _change(self, ours: str, ref: str) -> str:
        before, place = self._resolve(ours), self._place
        try:
            fetching.transfer(place, f"+{ref}:{ours}", lambda: self._resolve(ours) != before, self._release)
        except Stalled as error:
            if error.reason != "TooBig":
                raise
            whose = (
                "what a change request of somebody who may not write brings" if self._aside else "the change request"
            )
            raise _too_big(whose, place.bounds.pack) from error
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
        self._forget(wanted)
        size = _size(self._place.folder)
        if self._packed and size > max(SMALL, 2 * self._packed):
            self._pack()
            self._packed = _size(self._place.folder)
            self._note(self._packed - self._needed())
        self._packed = self._packed or size

    def _forget(self, wanted: Collection[str]) -> None:
        listed = check(self._git(("for-each-ref", "--format=%(refname)", HEADS)), "listing heads").decode().split()
        self._drop([ref for ref in listed if ref not in wanted])

    def _drop(self, refs: Collection[str]) -> None:
        lines = "".join(f"delete {ref}\n" for ref in refs)
        if lines:
            check(self._git(("update-ref", "--stdin"), stdin=lines.encode()), "forgetting heads")

    def _pack(self) -> None:
        """Drop what no ref needs."""
        self._release()
        check(self._git(("repack", "-a", "-d", "-l", "-q")), "packing the mirror")
        check(self._git(("prune", "--expire=now")), "dropping objects")
        self._release()


def _aside(folder: Path) -> Path:
    """Where the head of a stranger is, while it is looked at."""
    return folder.with_name(folder.name + ".stranger")


def _too_big(what: str, most: int) -> Stalled:
    hint = "keep large files out of the repository, or raise spec.limits.total in the controller's configuration"
    return Stalled(f"its files are too large: {what} may have {most >> 10} KiB", reason="TooBig", hint=hint)


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
