"""Waiting for a render worker ends, and a worker that cannot be started is tried again later: neither ends a thread (A7, H4)."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import venv
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import reconciler
from reconciler.errors import Retry
from reconciler.packs.pool import Pool
from reconciler.packs.process import Ended, Worker
from reconciler.packs.wire import Job

PLAIN = Job("manifests", "web", {"objects": []}, {}, {}, "v1.36.0")
SLOW = Job(
    "helm",
    "web",
    {"chart": "c", "release": "web"},
    {
        "c/Chart.yaml": b"apiVersion: v2\nname: c\nversion: 1.0.0\n",
        "c/templates/a.yaml": b"{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}",
    },
    {},
    "v1.36.0",
    cpu=60,
)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(1, recycle=10, memory=1 << 40)
    yield made
    made.close()


def test_waiting_for_a_worker_has_a_deadline_and_says_who_waits(pool: Pool) -> None:
    pool.ask(PLAIN, 30)
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        with contextlib.suppress(Retry, Ended):
            pool.ask(SLOW, 60)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(30)
    while pool.idle():  # the other thread has it in a moment
        threading.Event().wait(0.01)
    with pytest.raises(Retry) as caught:
        pool.ask(PLAIN, 30, wait=0.2)
    assert caught.value.reason == "RenderersBusy"
    assert "1" in caught.value.message
    pool.close()
    holder.join(30)
    assert not holder.is_alive()


@contextlib.contextmanager
def no_file_left() -> Iterator[None]:
    """This process may open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_that_cannot_be_started_is_tried_again_and_the_pool_keeps_its_size(pool: Pool) -> None:
    pool.ask(PLAIN, 30)
    (process,) = pool.processes()
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    with no_file_left():
        for _ in range(3):
            with pytest.raises(Retry) as caught:
                pool.ask(PLAIN, 30, wait=1.0)
            assert caught.value.reason == "WorkerNotStarted" and "Too many open files" in caught.value.message
    assert pool.ask(PLAIN, 30).reason == ""
    assert len(pool.processes()) == 1


def test_a_pool_whose_workers_cannot_be_started_starts_and_tries_again() -> None:
    with no_file_left():
        pool = Pool(2, recycle=10, memory=1 << 40)
        with pytest.raises(Retry):
            pool.ask(PLAIN, 30)
    with contextlib.closing(pool):
        assert pool.idle() == 2 and pool.processes() == ()
        assert pool.ask(PLAIN, 30).reason == ""


def test_a_worker_that_cannot_be_started_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with no_file_left(), pytest.raises(OSError):
        Worker()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_starts_where_the_product_lies_beside_its_packages(tmp_path: Path) -> None:
    """As in the image: Python's own packages have nothing of it, and a worker hears of no variable that says where it is."""
    beside = tmp_path / "beside"
    beside.mkdir()
    for one in Path(msgspec.__file__).parents[1].iterdir():
        if one.suffix != ".pth":
            (beside / one.name).symlink_to(one)
    ours = Path(reconciler.__file__).parents[1]
    for name in ("reconciler", "schemas"):
        (beside / name).unlink(missing_ok=True)
        shutil.copytree(ours / name, beside / name, ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(tmp_path / "python", symlinks=True)
    words = (
        "from reconciler.packs.process import Worker; one = Worker(); one.await_start(); one.kill(); print('started')"
    )
    told = subprocess.run(
        [tmp_path / "python" / "bin" / "python", "-c", words],
        env={"PYTHONPATH": str(beside), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.stdout == "started\n", told.stderr
