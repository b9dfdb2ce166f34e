"""Starting, finding and ending hosts: `up`, `find`, `status`, `down`. Each host is a folder and one supervisor."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devhost import layout, procfs, tools
from devhost.bringup import PROGRAMS
from devhost.errors import HostError
from devhost.state import Host, State, Wish, read

ROOM = 200 * 2**20
"""Bytes a folder must have free: etcd alone takes 64 MiB for its log at once."""

START_SECONDS = 90.0
STOP_SECONDS = 20.0

_started: dict[int, tuple[subprocess.Popen[bytes], int | None]] = {}
"""Pid of a supervisor started here -> its process, to be reaped by `down`, and our end of a tied one's pipe."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A line of `nidus host status`: state is running, paused or exited; memory is resident, in bytes."""

    component: str
    pid: int
    state: str
    memory: int
    address: str
    version: str


def up(
    folder: Path,
    *,
    nodes: int = 3,
    nested: str = "own",
    audit: Sequence[str] = (),
    extra_flags: Mapping[str, Sequence[str]] | None = None,
    tied: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Host:
    """Return the host of `folder`, started unless it runs already (then as it was asked for at first).

    `nested`, `audit` and `extra_flags` are as in state.Wish. A `tied` host ends when the calling process does, however.
    `progress` hears each step. Raises HostError when it cannot be started.
    """
    if platform.system() != "Linux":
        raise HostError("the embedded host runs on Linux alone: its processes are tied to their parent by the kernel")
    flags = {name: tuple(values) for name, values in (extra_flags or {}).items()}
    wish = Wish(nodes, nested, tuple(audit), flags)
    for program in PROGRAMS:
        tools.find(program)
    with _sole_starter(folder, _claim):
        _await_end_of_killed(folder)
        return find(folder) or _start(folder.absolute(), wish, tied, progress or (lambda step: None))


def find(folder: Path) -> Host | None:
    """Return the host that runs in `folder`, ready; else None."""
    state = _running(folder)
    return state.host if state is not None and state.ready else None


def status(folder: Path) -> list[ProcessStatus]:
    """Return what each process of the host in `folder` does, its supervisor first; empty when none runs."""
    state = _running(folder)
    if state is None:
        return []
    rows = [_look("supervisor", state.host.supervisor, None, "", "")]
    return rows + [_look(one.name, one.pid, one.born, one.address, one.version) for one in state.processes]


def down(folder: Path, keep: bool = False) -> bool:
    """End the host of `folder` and remove the folder, or, to `keep` its data for the next `up`, leave it.

    Return whether there was anything to end or remove. Raises HostError when the folder is not a host's.
    """
    if not folder.exists():
        return False
    with _sole_starter(folder, _require_ours):
        state = read(folder)
        _end_supervisor(folder, state)
        if state is not None:
            _await_children(state)
        if not keep:
            shutil.rmtree(folder)
    return True


def _start(folder: Path, wish: Wish, tied: bool, progress: Callable[[str], None]) -> Host:
    process = _spawn(folder, wish, tied)
    try:
        _follow(process, progress)
    except BaseException:
        process.terminate()
        _reap(process.pid)
        raise
    finally:
        assert process.stdout is not None
        process.stdout.close()
    host = find(folder)
    if host is None:
        raise HostError(f"the host in {folder} ended as soon as it was ready")
    return host


def _spawn(folder: Path, wish: Wish, tied: bool) -> subprocess.Popen[bytes]:
    layout.logs(folder).mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-m", "devhost.supervisor", str(folder), msgspec.json.encode(wish).decode()]
    theirs, ours = os.pipe() if tied else (-1, -1)
    passed = (theirs,) if tied else ()
    if tied:
        command += ["--tied", str(theirs)]
    code = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))}
    with layout.log(folder, "supervisor").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env=environment,
            pass_fds=passed,
            start_new_session=True,
        )
    if tied:
        os.close(theirs)
    _started[process.pid] = process, ours if tied else None
    return process


def _follow(process: subprocess.Popen[bytes], progress: Callable[[str], None]) -> None:
    """Hear the supervisor out. Raises HostError with what it says when it fails, or when it ends or dawdles."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if "failed" in event:
            raise HostError(event["failed"])
        if "ready" in event:
            return
        progress(event["step"])
    raise HostError("the supervisor ended while starting")


def _claim(folder: Path) -> None:
    """Make `folder` ours. Raises HostError when it holds something that is not a host's, or cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = folder / layout.MARK
        if not mark.exists() and any(folder.iterdir()):
            raise HostError(f"{folder} holds files that are not a host's: choose another folder with --dir")
        folder.chmod(0o700)
        mark.touch(mode=0o600)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise HostError(f"the folder {folder} cannot be used: {error.strerror}") from error
    if free < ROOM:
        raise HostError(f"a host needs {ROOM >> 20} MiB free in {folder}, which has {free >> 20}: free some room")


def _require_ours(folder: Path) -> None:
    if not (folder / layout.MARK).exists():
        raise HostError(f"{folder} is not the folder of a host, so it is left alone")


@contextmanager
def _sole_starter(folder: Path, prepare: Callable[[Path], None]) -> Iterator[None]:
    """Let one process at a time start or end the host of `folder`; the lock is the kernel's and dies with its holder."""
    deadline = time.monotonic() + START_SECONDS
    while (lock := _take_start_lock(folder, prepare)) is None:
        if time.monotonic() > deadline:
            raise HostError(f"another process has been starting or ending the host in {folder} for too long")
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(lock)


def _take_start_lock(folder: Path, prepare: Callable[[Path], None]) -> int | None:
    prepare(folder)
    path = layout.start_lock(folder)
    lock = -1
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # the folder may have been removed, and made again, while we waited
        if _lock(lock) and os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except FileNotFoundError:
        pass
    if lock >= 0:
        os.close(lock)
    return None


def _running(folder: Path) -> State | None:
    state = read(folder)
    return state if state is not None and _is_supervised(folder) else None


def _is_supervised(folder: Path) -> bool:
    try:
        with layout.supervisor_lock(folder).open() as lock:
            return not _lock(lock.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False


def _lock(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_supervisor(folder: Path, state: State | None) -> None:
    if state is None or not _is_supervised(folder):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.host.supervisor, number)
        deadline = time.monotonic() + STOP_SECONDS
        while _is_supervised(folder) and time.monotonic() < deadline:
            time.sleep(0.02)
    _reap(state.host.supervisor)


def _reap(supervisor: int) -> None:
    process, pipe = _started.pop(supervisor, (None, None))
    if pipe is not None:
        os.close(pipe)
    if process is not None:
        process.wait(timeout=STOP_SECONDS)


def _await_end_of_killed(folder: Path) -> None:
    """Let the children of a supervisor that was killed a moment ago give up its ports and its storage."""
    state = read(folder)
    if state is not None and not _is_supervised(folder):
        _await_children(state)


def _await_children(state: State) -> None:
    """Wait until the kernel has ended every child of a supervisor that is gone."""
    deadline = time.monotonic() + STOP_SECONDS
    while any(procfs.lives(one.pid, one.born) for one in state.processes):
        if time.monotonic() > deadline:
            raise HostError(f"processes of the host in {state.host.folder} do not end")
        time.sleep(0.02)


def _look(name: str, pid: int, born: int | None, address: str, version: str) -> ProcessStatus:
    seen = procfs.look(pid)
    if seen is None or (born is not None and seen.born != born):
        return ProcessStatus(name, pid, "exited", 0, address, version)
    return ProcessStatus(name, pid, seen.state, seen.memory, address, version)
