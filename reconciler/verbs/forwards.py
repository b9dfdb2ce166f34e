"""Port-forwards that a process in the background holds, one for a context of a kubeconfig.

Each has a file of state that its process keeps locked (flock) as long as it lives. Who holds the lock is therefore the process
that the file names: a dead process, or a stranger that was given its pid later, is never taken for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from reconciler import decoding, settings
from reconciler.errors import UNREADABLE, Stalled
from reconciler.verbs.looks import looks

START_SECONDS: Final = 60.0
END_SECONDS: Final = 5.0
_left: list[subprocess.Popen[bytes]] = []
"""Processes that outlive this one: kept, because one that is dropped while it runs is waited for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A forward: for which context of which file, and to what. `host` is the address of the host's API server."""

    file: str
    context: str
    host: str
    kubeconfig: str
    host_context: str
    namespace: str
    name: str

    @property
    def state(self) -> Path:
        return state_of(Path(self.file), self.context)


@dataclass(frozen=True, slots=True)
class Held:
    """A forward that a process holds; port 0 while it starts. A pid below 2 would name many processes to `kill`."""

    pid: Annotated[int, msgspec.Meta(gt=1)]
    port: Annotated[int, msgspec.Meta(ge=0, lt=65536)]
    host: str
    namespace: str


def state_of(file: Path, context: str) -> Path:
    """The file of state for a context of a kubeconfig."""
    base = settings.environment("XDG_STATE_HOME")
    folder = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    key = hashlib.sha256(f"{file.resolve()}\0{context}".encode()).hexdigest()[:20]
    return folder / "nidus" / "forwards" / key


@contextlib.contextmanager
def changing(state: Path) -> Iterator[None]:
    """Let one command at a time look for, start or end the forward of `state`. Raises Stalled when another takes too long."""
    try:
        state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Stalled(f"{state.parent}: {error.strerror}", hint="XDG_STATE_HOME names another folder") from None
    try:
        if not any(_locks(lock) for _ in looks(START_SECONDS)):
            raise Stalled("another nidus connect or disconnect of this context does not end")
        yield
    finally:
        os.close(lock)


def held(state: Path) -> Held | None:
    """The forward that lives, or None."""
    try:
        with state.open("rb") as file:
            if _locks(file.fileno(), fcntl.LOCK_SH):
                return None
            return decoding.decoded(file.read(4096), Held)
    except (OSError, *UNREADABLE):
        return None


def start(wanted: Wanted, port: int) -> Held:
    """Start the process, on local port `port` if that is free; return when it listens. Within changing(). Raises Stalled."""
    wanted.state.unlink(missing_ok=True)  # nothing of a process before can be read under the new one's lock
    log = wanted.state.with_suffix(".log")
    words = [sys.executable, "-P", "-m", "reconciler.verbs.holder", json.dumps(asdict(wanted)), str(port)]
    with log.open("wb") as errors:
        log.chmod(0o600)
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    assert process.stdout is not None
    with process.stdout as output:
        told = output.readline()
    if told == b"ready\n" and (found := held(wanted.state)) is not None:
        _left.append(process)
        return found
    process.kill()
    process.wait()
    raise Stalled(f"no forward of {wanted.name}: {told.decode(errors='replace').strip() or f'see {log}'}")


def end(state: Path) -> int:
    """End the process that holds the forward; return its pid, 0 where none does. Within changing(). Raises Stalled."""
    found = held(state)
    if found is None:
        return 0
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, number)
        if any(held(state) is None for _ in looks(END_SECONDS)):
            state.unlink(missing_ok=True)
            for one in [one for one in _left if one.pid == found.pid]:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    one.wait(END_SECONDS)
            return found.pid
    raise Stalled(f"process {found.pid}, which holds the forward, does not end")


def _locks(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
