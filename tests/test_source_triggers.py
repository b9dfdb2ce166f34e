"""A commit in a local repository wakes its source; reading it does not (S6). Real folders, real events, deadlines."""

import json
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.controller.git_watch import git_folder, watch
from reconciler.model import Limits, SourceConfig
from reconciler.source.mirror import Mirror
from tests.test_source_mirror import ENV, Work

DEADLINE = 60.0


class Woken:
    """Counts wakes and waits for one."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self._condition = threading.Condition()

    def __call__(self, source: str) -> None:
        with self._condition:
            self.sources.append(source)
            self._condition.notify_all()

    def by(self, action: Callable[[], object], source: str = "s") -> bool:
        """Whether `action` woke the source within the deadline."""
        with self._condition:
            self.sources.clear()
        action()
        with self._condition:
            return self._condition.wait_for(lambda: source in self.sources, DEADLINE)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit({"a": "1"})
    return made


@pytest.fixture
def bare(work: Work, tmp_path: Path) -> Path:
    folder = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work.folder), str(folder)], env=ENV, check=True, timeout=60)
    work.git("remote", "add", "origin", str(folder))
    return folder


@pytest.fixture
def watching() -> Iterator[Callable[[dict[str, Path]], Woken]]:
    stops = []

    def start(paths: dict[str, Path]) -> Woken:
        woken = Woken()
        stops.append(watch(paths, woken))
        return woken

    yield start
    for stop in stops:
        stop()


def test_commit_wakes(work: Work, watching: Callable[[dict[str, Path]], Woken]) -> None:
    woken = watching({"s": work.folder})
    assert woken.by(lambda: work.commit({"a": "2"}))
    assert woken.by(lambda: work.git("branch", "feature/new"))
    assert woken.by(lambda: work.git("pack-refs", "--all"))
    assert woken.by(lambda: work.git("branch", "-D", "feature/new"))
    assert woken.by(lambda: work.git("checkout", "-q", "-b", "other"))
    assert woken.by(lambda: work.commit({"a": "3"}))


def test_push_to_a_bare_repository_wakes_its_source_only(
    work: Work, bare: Path, watching: Callable[[dict[str, Path]], Woken]
) -> None:
    woken = watching({"s": bare, "w": work.folder})
    work.commit({"a": "2"})
    assert woken.by(lambda: work.git("push", "-q", "origin", "HEAD:refs/heads/next"))
    assert woken.by(lambda: work.commit({"a": "4"}), "w")
    assert "s" not in woken.sources


def test_our_own_fetch_does_not_wake(work: Work, watching: Callable[[dict[str, Path]], Woken], tmp_path: Path) -> None:
    woken = watching({"s": work.folder, "w": tmp_path / "work"})
    mirror = Mirror.open(SourceConfig(name="s", url=str(work.folder)), tmp_path / "m", limits=Limits())
    for _ in range(3):
        mirror.fetch()
    mirror.close()
    woken_before = list(woken.sources)
    assert woken.by(
        lambda: work.git("branch", "after")
    )  # events arrive in order: had the fetch caused some, they were here by now
    assert woken_before == []


def test_linked_work_tree_and_what_is_no_repository(work: Work, tmp_path: Path) -> None:
    work.git("worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    assert git_folder(tmp_path / "linked") == (work.folder / ".git").resolve()
    with pytest.raises(OSError):
        git_folder(tmp_path)


def test_what_cannot_be_watched_leaves_the_others_watched(
    work: Work, watching: Callable[[dict[str, Path]], Woken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    woken = watching({"gone": tmp_path / "gone", "s": work.folder})
    told = json.loads(capsys.readouterr().err)
    assert (told["event"], told["source"]) == ("NotWatched", "gone")
    assert woken.by(lambda: work.commit({"a": "5"}))


def test_watching_that_fails_is_said_once_and_ends_nothing(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    """No open file is left, as when inotify is used up: polling goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        stop = watch({"s": work.folder, "t": work.folder}, lambda source: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    stop()
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one["source"]) for one in told] == [("NotWatched", "s"), ("NotWatched", "t")]
    assert all("polled" in one["message"] for one in told)


@pytest.mark.parametrize("dot", ["gitdir: \0", "\udcff"])
def test_a_git_file_that_says_nothing_is_polled_around(tmp_path: Path, dot: str) -> None:
    (tmp_path / ".git").write_bytes(dot.encode("utf-8", "surrogateescape"))
    watch({"s": tmp_path}, lambda source: None)()


def test_a_wake_that_fails_ends_no_watching(work: Work) -> None:
    woken, failed = Woken(), []

    def wake(source: str) -> None:
        if not failed:
            failed.append(source)
            raise RuntimeError("a wake failed")
        woken(source)

    stop = watch({"s": work.folder}, wake)
    work.commit({"a": "6"})
    assert woken.by(lambda: work.commit({"a": "7"}))
    stop()


def test_stop_ends_the_thread(work: Work) -> None:
    before = set(threading.enumerate())
    stop = watch({"s": work.folder}, lambda source: None)
    stop()
    assert set(threading.enumerate()) <= before
