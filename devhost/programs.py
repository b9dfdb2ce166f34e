"""The supervisor's child processes: started in its main thread, tied to its life, known by name.

The kernel ends a tied child when the *thread* that started it ends (reins.py), so every start is handed to the one
thread that lives as long as the process: serve() must run in the main thread.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from devhost import procfs, reins
from devhost.errors import HostError
from devhost.state import Process

RELAY_SECONDS = 30.0
FALLS = 5  # ends by itself, one soon after the other, of one that is started again
STANDS = 60.0  # seconds after which the ends before count no more


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: `name` is unique; `log` takes its output; `address` and `version` are for `status` alone.

    One that is to run `again` is started anew when it ended by itself, as a kubelet does: Kubernetes' controllers end where the API
    server refuses them while it starts. The command of a `relayed` one starts the program proper as its only child, waits for it and
    ends as it does: the child's is the pid, and takes the signals.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    address: str = ""
    version: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    relayed: bool = False
    again: bool = False


@dataclass(slots=True)
class _Child:
    """`down`: ended because somebody asked for it; `falls`: how often it ended by itself."""

    program: Program
    process: subprocess.Popen[bytes]
    pid: int
    born: int
    down: bool = False
    falls: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def comes_again(self) -> bool:
        return self.program.again and not self.down and self.falls < FALLS

    def send(self, number: int) -> None:
        """Send signal `number` to the program, if it runs."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Programs:
    """The table of children. Safe to use from any thread; `changed` is called, in the caller's thread, at every change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._children: dict[str, _Child] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._starts: queue.SimpleQueue[tuple[Program, Future[_Child]] | None] = queue.SimpleQueue()

    def start(self, program: Program) -> int:
        """Start `program`; return its pid. Raises HostError when one of its name runs, or after the end."""
        if self._closed:
            raise HostError(f"{program.name} is not started: the host is going down")
        with self._lock:
            taken = self._children.get(program.name)
            if taken is not None and taken.process.poll() is None:
                raise HostError(f"{program.name} runs already, as process {taken.process.pid}")
        started: Future[_Child] = Future()
        self._starts.put((program, started))
        child = started.result(timeout=30)
        if program.relayed:
            _find_proper(child)
        with self._lock:
            self._children[program.name] = child
        self._changed()
        return child.pid

    def stop(self, name: str, grace: float = 3.0) -> None:
        """End `name` (SIGTERM, after `grace` seconds SIGKILL), wait for it and forget it; unknown names are ended already."""
        with self._lock:
            child = self._children.pop(name, None)
        if child is not None:
            _end(child, grace)
            self._changed()

    def signal(self, name: str, number: int) -> None:
        """Send signal `number` to `name`, which stays in the table; one that is about to run again is waited for. Raises HostError when
        it does not run."""
        child = self._child(name)
        ends = time.monotonic() + RELAY_SECONDS
        while child.process.poll() is not None and child.comes_again and time.monotonic() < ends:
            time.sleep(0.05)
            child = self._child(name)
        if child.process.poll() is not None:
            raise HostError(f"{name} does not run")
        child.down = child.down or number in (signal.SIGKILL, signal.SIGTERM)
        child.send(number)
        if number == signal.SIGKILL:
            child.process.wait()
        self._changed()

    def restart(self, name: str, grace: float = 3.0) -> int:
        """End `name` if it runs and start it again with the same command line; return the new pid."""
        child = self._child(name)
        child.down = True
        _end(child, grace)
        return self.start(child.program)

    def pid(self, name: str) -> int | None:
        """Return the pid of `name`; None when it is unknown or has ended."""
        with self._lock:
            child = self._children.get(name)
        return child.pid if child is not None and child.process.poll() is None else None

    def lost(self) -> tuple[str, ...]:
        """Return the names of those that ended and are not started again."""
        with self._lock:
            children = tuple(self._children.values())
        return tuple(one.program.name for one in children if one.process.poll() is not None and not one.comes_again)

    def names(self) -> tuple[str, ...]:
        """Return the names in the table, in order of their start; those that ended by themselves stay in it."""
        with self._lock:
            return tuple(self._children)

    def table(self) -> tuple[Process, ...]:
        """Return the table as the state file holds it."""
        with self._lock:
            children = tuple(self._children.values())
        return tuple(
            Process(one.program.name, one.pid, one.born, one.program.address, one.program.version) for one in children
        )

    def serve(self) -> None:
        """Start what is asked for, until finish(); to be run in the main thread. Ended children are reaped each second,
        and started again where they are to run."""
        while True:
            try:
                asked = self._starts.get(timeout=1.0)
            except queue.Empty:
                self._reap()
                continue
            if asked is None:
                return
            program, answer = asked
            try:
                answer.set_result(_spawn(program))
            except OSError as error:
                answer.set_exception(HostError(f"{program.name} does not start: {error.strerror}"))

    def finish(self) -> None:
        """Let serve() return; safe in a signal handler."""
        self._closed = True
        self._starts.put(None)

    def end_all(self, first_gently: tuple[str, ...]) -> None:
        """End every child: at once, but those named in `first_gently` by SIGTERM, after the others."""
        for name in reversed([name for name in self.names() if name not in first_gently]):
            self.signal_quietly(name, signal.SIGKILL)
        for name in self.names():
            self.stop(name)

    def signal_quietly(self, name: str, number: int) -> None:
        """Send signal `number` to `name` if it runs."""
        if self.pid(name) is not None:
            self._child(name).send(number)

    def _child(self, name: str) -> _Child:
        with self._lock:
            child = self._children.get(name)
        if child is None:
            raise HostError(f"there is no process named {name}; there are: {', '.join(self.names())}")
        return child

    def _reap(self) -> None:
        with self._lock:
            children = tuple(self._children.values())
        for child in children:
            if child.process.poll() is not None and child.comes_again and not self._closed:
                self._again(child)

    def _again(self, child: _Child) -> None:
        falls = 1 if time.monotonic() - child.since > STANDS else child.falls + 1
        try:
            fresh = _spawn(child.program)
        except OSError:  # no process left, as on a full machine: it is tried at the next look, and is no fall
            return
        fresh.falls = falls
        with self._lock:
            taken = self._children.get(child.program.name) is child and not child.down
            if taken:
                self._children[child.program.name] = fresh
        if not taken:  # somebody else started or ended it meanwhile
            _end(fresh, 0.0)
        self._changed()


def _spawn(program: Program) -> _Child:
    program.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [*reins.tied(), *program.argv]
    with program.log.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **program.env}
        )
    return _Child(program, process, process.pid, _born(process.pid))


def _find_proper(child: _Child) -> None:
    """Let `child` be the program that its process relays, once that is started; the process itself when it ends before."""
    deadline = time.monotonic() + RELAY_SECONDS
    while child.process.poll() is None and time.monotonic() < deadline:
        only = procfs.children(child.process.pid)
        if only:
            child.pid, child.born = only[0], _born(only[0])
            return
        time.sleep(0.02)


def _born(pid: int) -> int:
    seen = procfs.look(pid)
    return seen.born if seen else 0


def _end(child: _Child, grace: float) -> None:
    child.send(signal.SIGCONT)  # a paused process would take no SIGTERM
    child.send(signal.SIGTERM)
    try:
        child.process.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        child.process.kill()
        child.process.wait()
