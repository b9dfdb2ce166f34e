"""Wakes a source when its local repository gets a commit (S6). A trigger carries no work; polling stays the safety net.

Only files that say where refs point are watched, and only changes of them: our own fetches read these files all the time.
"""

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

from reconciler.report import log

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


def watch(paths: Mapping[str, Path], wake: Callable[[str], None]) -> Callable[[], None]:
    """Calls `wake(source)` in a thread of its own for every change of a ref in the repositories `paths` (source -> folder).

    Bare and normal repositories and linked work trees. A folder that is no repository, or cannot be watched (the system
    has no watch, open file or thread left), is reported in one log line and left to polling: watching never raises.
    Returns what stops watching.
    """
    # Two folders made at once (refs/heads/a/b) are found twice by watchdog 7, which says so and goes on; git does this on any day.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    try:
        observer = Observer()
        observer.start()  # before anything is scheduled: a failure then concerns its own source only
    except (OSError, RuntimeError) as error:
        for source in paths:
            _not_watched(source, error)
        return lambda: None
    for source, path in paths.items():
        try:
            _schedule(observer, source, git_folder(path), wake)
        except (OSError, RuntimeError, ValueError) as error:  # ValueError: a `.git` file that names no path
            _not_watched(source, error)

    def stop() -> None:
        observer.stop()
        observer.join(_JOIN)

    return stop


def _not_watched(source: str, error: Exception) -> None:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    log.line("NotWatched", source=source, message=f"its folder is not watched, only polled: {why}")


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
            try:
                self._wake(self._source)
            except Exception as error:  # the thread serves all sources
                log.line("WakeFailed", source=self._source, message=f"{type(error).__name__}: only polled this time")

    def _counts(self, path: Path) -> bool:
        if path.name.endswith(".lock"):
            return False
        return path.name in _TOP if path.parent == self._folder else path != self._folder
