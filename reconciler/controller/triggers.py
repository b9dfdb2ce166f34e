"""Wakes a source when its local repository gets a commit (S6). A trigger carries no work; polling stays the safety net.

Only files that say where refs point are watched, and only changes of them: our own fetches read these files all the time.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

_CHANGES: list[type[FileSystemEvent]] = [
    DirCreatedEvent,  # a first commit of feature/x creates a folder; the file in it may come before the watch does
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
_TOP = frozenset({"HEAD", "packed-refs"})
_JOIN = 5.0
_log = logging.getLogger(__name__)


def watch(paths: Mapping[str, Path], wake: Callable[[str], None]) -> Callable[[], None]:
    """Calls `wake(source)` in a thread of its own for every change of a ref in the repositories `paths` (source -> folder).

    Bare and normal repositories and linked work trees. A folder that is no repository, or cannot be watched, is logged and left to polling.
    Returns what stops watching.
    """
    # Two folders made at once (refs/heads/a/b) are found twice by watchdog 7, which says so and goes on; git does this on any day.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    observer = Observer()
    for source, path in paths.items():
        try:
            _schedule(observer, source, git_folder(path), wake)
        except OSError as error:
            _log.warning("source %s is not watched, only polled: %s", source, error.strerror or error)
    observer.start()

    def stop() -> None:
        observer.stop()
        observer.join(_JOIN)

    return stop


def git_folder(path: Path) -> Path:
    """Where a repository keeps its refs: the folder itself if bare, `.git`, or what a `.git` file points to. Raises OSError."""
    dot = path / ".git"
    if dot.is_file():
        named = path / dot.read_text("utf-8").removeprefix("gitdir:").strip()
        common = named / "commondir"
        return (named / common.read_text("utf-8").strip()).resolve() if common.is_file() else named.resolve()
    folder = dot if dot.is_dir() else path
    if not (folder / "HEAD").is_file():
        raise FileNotFoundError(2, "no Git repository there", str(path))
    return folder.resolve()


def _schedule(observer: "Observer", source: str, folder: Path, wake: Callable[[str], None]) -> None:  # type: ignore[valid-type]
    """HEAD and packed-refs are replaced by renames, so their folder is watched, never they themselves."""
    handler = _Refs(source, folder, wake)
    observer.schedule(handler, str(folder), recursive=False, event_filter=_CHANGES)  # type: ignore[attr-defined]
    for name in ("refs", "reftable"):
        if (folder / name).is_dir():
            observer.schedule(handler, str(folder / name), recursive=True, event_filter=_CHANGES)  # type: ignore[attr-defined]


class _Refs(FileSystemEventHandler):
    """Lets through what moves a ref: a lock file becoming it, or anything else below `refs`."""

    def __init__(self, source: str, folder: Path, wake: Callable[[str], None]) -> None:
        self._source = source
        self._folder = folder
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        names = [Path(str(name)) for name in (event.src_path, event.dest_path) if name]
        if any(self._counts(name) for name in names):
            self._wake(self._source)

    def _counts(self, path: Path) -> bool:
        if path.name.endswith(".lock"):
            return False
        return path.name in _TOP if path.parent == self._folder else path != self._folder
