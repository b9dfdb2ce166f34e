"""Runs git: fixed arguments, hardened environment, a deadline and size limits for every command (S1, A7; M13).

GitPython's command wrapper starts the process; its own timeout only kills one process, so ours ends the whole group.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from git import Git
from git.exc import GitError
from msgspec import Struct

from reconciler.errors import Unavailable
from reconciler.source.environment import FOREIGN

MEMORY = 1 << 30
"""Bytes of its own memory that each git process may have; mapped packs do not count."""

# The shell sets the limits before git starts, so that all its children have them (M13).
_LIMITS = f'ulimit -f "$1" && ulimit -d {MEMORY >> 10}'
_LAUNCH = ("/bin/sh", "-c", f'{_LIMITS} && shift && unset {FOREIGN} && exec git "$@"', "git")
_BLOCK = 512
_ERRORS = 64 << 10
_CHUNK = 1 << 18
STOPPING = "Stopping"  # the reason of the error
_LOOK = 0.25  # seconds between two looks at `halt` while git is silent


class Answer(Struct, frozen=True):
    """The result of a command. `cut`: its output was longer than allowed and was dropped."""

    status: int
    out: bytes
    err: str
    cut: bool = False


def run(
    folder: Path,
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    deadline: float,
    written: int,
    output: int,
    stdin: bytes = b"",
    halt: threading.Event | None = None,
) -> Answer:
    """One git command in `folder`. `deadline` in seconds; `written` caps each file it writes, `output` what it prints (bytes).

    Raises Unavailable(reason="Timeout") at the deadline, or (reason="Stopping") once `halt` is set, after the whole process
    group was killed.
    """
    halt = halt or threading.Event()
    if halt.is_set():
        raise _stopping()
    process = start(folder, arguments, env, written=written, stdin=bool(stdin))
    end = time.monotonic() + deadline
    try:
        if stdin:
            _feed(process, stdin, end)
        out, err, cut = _drain(process, end, output, halt)
        if cut:
            stop(process)
        status = process.wait(max(0.1, end - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"git {arguments[0]} did not end within {deadline:g} s", reason="Timeout") from error
    finally:
        stop(process)
    return Answer(status, out, err.decode("utf-8", "replace"), cut)


def start(
    folder: Path, arguments: Sequence[str], env: Mapping[str, str], *, written: int, stdin: bool = True
) -> "subprocess.Popen[bytes]":
    """A running git of its own process group; end it with `stop`. Raises Unavailable when the machine cannot start one."""
    blocks = str(max(1, written // _BLOCK))
    try:
        started: Any = Git(str(folder)).execute(
            [*_LAUNCH, blocks, *arguments],
            istream=subprocess.PIPE if stdin else None,
            as_process=True,
            env=dict(env),
            start_new_session=True,
        )
    except (OSError, GitError) as error:
        raise Unavailable(f"git cannot be started: {type(error).__name__}", reason="GitFailed") from error
    process: subprocess.Popen[bytes] = started.proc
    started.proc = None  # ours to end: the wrapper would signal one process only
    return process


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Kills the rest of the process group and closes the pipes. The leader is not waited for first: until it is, the
    group's id cannot be reused."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _feed(process: "subprocess.Popen[bytes]", data: bytes, end: float) -> None:
    """Small input to commands that read all of it before they print."""
    assert process.stdin is not None
    with selectors.DefaultSelector() as selector, contextlib.suppress(BrokenPipeError):
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        view = memoryview(data)
        while view:
            if not selector.select(end - time.monotonic()):
                raise TimeoutError
            view = view[os.write(process.stdin.fileno(), view[:_CHUNK]) :]
    with contextlib.suppress(OSError):
        process.stdin.close()


def _stopping() -> Unavailable:
    return Unavailable("the controller stops", reason=STOPPING)


def _drain(
    process: "subprocess.Popen[bytes]", end: float, limit: int, halt: threading.Event
) -> tuple[bytes, bytes, bool]:
    """Everything printed, until both pipes are closed; ends early and says so when stdout passes `limit`."""
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(_open(process.stdout), selectors.EVENT_READ, out)
        selector.register(_open(process.stderr), selectors.EVENT_READ, err)
        while selector.get_map():
            ready = selector.select(min(_LOOK, max(0.0, end - time.monotonic())))
            if halt.is_set():
                raise _stopping()
            if not ready and time.monotonic() >= end:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fileobj)
                key.data.extend(data)
            del err[: -_ERRORS or None]
            if len(out) > limit:
                return b"", bytes(err), True
    return bytes(out), bytes(err), False


def _open(stream: Any) -> Any:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream
