"""One fetch into a mirror. A fetch that fails leaves no files behind (S7, M12, M13)."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.source import branches, storage
from reconciler.source.answers import Damaged, check, refuse
from reconciler.source.place import Place, git


def transfer(place: Place, refspec: str, moved: Callable[[], bool], release: Callable[[], None]) -> None:
    """Fetches one ref of the remote into one of the mirror. On a full disk, objects that no ref names are deleted and the fetch is
    tried once more.

    `moved` tells whether the ref is another than before; `release` closes the readers of the mirror before packs are
    deleted. Raises Stalled, Unavailable, Damaged.
    """
    try:
        _once(place, refspec, moved, release)
    except Unavailable as error:
        if error.reason != "DiskFull" or not _reclaim(place, release):
            raise
        _once(place, refspec, moved, release)


def _once(place: Place, refspec: str, moved: Callable[[], bool], release: Callable[[], None]) -> None:
    arguments = (
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance",
        "--", place.address.url, refspec,
    )  # fmt: skip
    with _disk():
        storage.sweep(place.folder)
        known = storage.packs(place.folder)
    try:
        answer = git(place, arguments, network=True)
        if answer.status:
            _refuse_size(place)
        try:
            check(answer, "fetching")
        except Stalled as error:
            absent = error.reason == "RefMissing" and refspec == place.refspec
            raise (branches.missing(place) if absent else error) from None
        if "shallow roots" in answer.err:  # git says so, updates nothing and calls it a success
            refuse(answer.err, "fetching")
    except (NidusError, Damaged):
        _undo(place, known, moved, release)
        raise


def _refuse_size(place: Place) -> None:
    """Two failures that git does not report clearly: its child process was stopped by our size limit, or by a full
    disk."""
    if storage.largest_temporary(place.folder) >= place.bounds.pack // 512 * 512:
        message = "fetching: the repository is larger than allowed"
        raise Stalled(message, reason="TooBig", hint="raise spec.limits.total in the controller's configuration")
    if storage.full(place.folder):
        raise Unavailable("fetching: no space left for the mirror", reason="DiskFull")


def _undo(place: Place, known: frozenset[Path], moved: Callable[[], bool], release: Callable[[], None]) -> None:
    """Delete temporary files, and complete packs too, unless the ref has moved and needs them."""
    with _disk():
        storage.sweep(place.folder)
        new = storage.packs(place.folder) - known
        if new and not moved():
            release()
            storage.drop(new)


def _reclaim(place: Place, release: Callable[[], None]) -> bool:
    """Free disk space: delete objects that no ref names, and a broken mirror that was kept. Returns whether there is
    more room."""
    with _disk():
        before = shutil.disk_usage(place.folder).free
        storage.reclaim(place.folder)
        git(place, ("prune", "--expire=now"))  # loose objects of older versions of this program
        release()
        storage.drop(_spare(place))
        git(place, ("-c", "repack.writeBitmaps=false", "repack", "-a", "-d", "-l", "-n", "-q"))
        storage.sweep(place.folder)  # the disk may have been too full for it
        release()
        return shutil.disk_usage(place.folder).free > before


def _spare(place: Place) -> list[Path]:
    """Files of packs that no ref needs, or whose objects are all in other packs: they can be deleted on a full disk."""
    answer = git(place, ("rev-list", "--objects", "--all", "--no-object-names"))
    if answer.cut or answer.status:
        return []
    needed = {bytes.fromhex(line.decode()) for line in answer.out.split()}
    length = len(next(iter(needed), b""))
    held = {path: needed & storage.names(path, length) for path in storage.packs(place.folder) if path.suffix == ".idx"}
    copies = Counter(name for names in held.values() for name in names)
    spare: list[Path] = []
    for index, names in sorted(held.items()):
        if all(copies[name] > 1 for name in names):
            copies.subtract(names)
            spare += index.parent.glob(f"{index.stem}.*")
    return spare


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    """Raises Unavailable("DiskFailed") where the mirror's folder cannot be used."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the mirror's folder cannot be used: {error.strerror}", reason="DiskFailed") from error
