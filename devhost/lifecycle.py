"""Starting, finding and ending hosts: `up`, `find`, `status`, `down`. Each host is a folder and one supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devhost import bringup, claims, control, layout, procfs, tools
from devhost.errors import HostError
from devhost.node import start as real
from devhost.state import Host, State, Wish, read

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
    node: str = "",
    audit: Sequence[str] = (),
    extra_flags: Mapping[str, Sequence[str]] | None = None,
    tied: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Host:
    """Return the host of `folder`, started unless it runs already (then as it was asked for at first).

    `nested`, `node`, `audit` and `extra_flags` are as in state.Wish. A `tied` host ends when the calling process does, however.
    `progress` hears each step. Raises HostError when it cannot be started.
    """
    if platform.system() != "Linux":
        raise HostError("the embedded host runs on Linux alone: its processes are tied to their parent by the kernel")
    flags = {name: tuple(values) for name, values in (extra_flags or {}).items()}
    wish = Wish(nodes, nested, node, tuple(audit), flags)
    for program in bringup.PROGRAMS:
        tools.find(program)
    if wish.node:
        real.require()
    with claims.sole_starter(folder, claims.claim):
        _await_end_of_killed(folder)
        host = find(folder)
        return _heal(host) if host else _start(folder.absolute(), wish, tied, progress or (lambda step: None))


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
    with claims.sole_starter(folder, claims.require_ours):
        supervisor = _end_supervisor(folder)
        state = read(folder)
        if state is not None:
            _await_children(state)
        _reap(supervisor)
        if state is not None and state.host.wish.node:
            real.clean(state.host.folder)
        if not keep:
            claims.remove(folder)
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


def _heal(host: Host) -> Host:
    """Start again what has ended of a host that runs (nested control planes are their engine's business)."""
    ended = [row.component for row in status(host.folder) if row.state == "exited" and "/" not in row.component]
    for component in ended:
        control.call(host.folder, {"verb": "restart", "name": component})
    if ended:
        bringup.await_api_server(host)
    return host


def _spawn(folder: Path, wish: Wish, tied: bool) -> subprocess.Popen[bytes]:
    layout.logs(folder).mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-P", "-m", "devhost.supervisor", str(folder), msgspec.json.encode(wish).decode()]
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


def _running(folder: Path) -> State | None:
    state = read(folder)
    return state if state is not None and claims.is_supervised(folder) else None


def _end_supervisor(folder: Path) -> int:
    """End the supervisor that holds the lock, if one does; return its pid, or 0."""
    supervisor = 0
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        if claims.is_supervised(folder):
            supervisor = int(layout.supervisor_lock(folder).read_text() or 0)
            _kill(supervisor, number)
        while claims.is_supervised(folder) and time.monotonic() < deadline:
            time.sleep(0.02)
    return supervisor


def _kill(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process:
            os.kill(process, number)


def _reap(supervisor: int) -> None:
    process, pipe = _started.pop(supervisor, (None, None))
    if pipe is not None:
        os.close(pipe)
    if process is not None:
        process.wait(timeout=STOP_SECONDS)


def _await_end_of_killed(folder: Path) -> None:
    """Let the children of a supervisor that was killed a moment ago give up its ports and its storage."""
    state = read(folder)
    if state is not None and not claims.is_supervised(folder):
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
