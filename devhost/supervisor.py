"""The supervisor: `python -m devhost.supervisor FOLDER WISH [--tied FD]`, the parent of every process of one host.

Its children die with it, whatever ends it (reins.py). It writes the state file, answers on the control socket, and
tells on standard output how the start goes, one JSON line each: {"step": ...}, then {"ready": true} or {"failed": ...}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from devhost import actors, bringup, claims, control, layout, state
from devhost.errors import HostError
from devhost.node import start as real
from devhost.programs import Programs
from devhost.state import Host, State, Wish


class Supervisor:
    """One host's life, from its start to the end of its last process."""

    def __init__(self, folder: Path, wish: Wish) -> None:
        self.folder = folder
        self.wish = wish
        self.host: Host | None = None
        self.ready = False
        self.stopping = threading.Event()
        self.writing = threading.Lock()
        self.programs = Programs(self.write_state)

    def run(self) -> int:
        """Start the host, serve until told to end, end every child; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.on_signal)
        threading.Thread(target=self.start, name="start", daemon=True).start()
        try:
            self.programs.serve()
        finally:
            self.stopping.set()
            self.programs.end_all(first_gently=("etcd", real.KEEPER))
        return 0 if self.ready else 1

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Begin to end; the rest happens in run()."""
        self.programs.finish()

    def start(self) -> None:
        """Bring everything up, in a thread, since the main one is busy starting processes; tell how it went."""
        try:
            host = self.host = bringup.prepare(self.folder, self.wish, os.getpid())
            self.write_state()
            control.listen(self.folder, self.programs)
            if host.wish.node:
                real.prepare(host)
                real.separate(host, self.programs)
            bringup.control_plane(host, self.programs, say)
            say("make the nodes")
            self.inhabit(host)
            if host.wish.node:
                real.populate(host, self.programs, say)
            self.ready = True
            self.write_state()
            tell({"ready": True})
        except HostError as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"the host cannot be started in {self.folder}: {error.strerror or error}")
        except Exception as error:
            traceback.print_exc()
            self.fail(f"the host cannot be started: {error!r}; see {layout.log(self.folder, 'supervisor')}")

    def inhabit(self, host: Host) -> None:
        """Start the nodes and the actors."""
        bringup.apply(host, actors.objects(host))
        bringup.nodes(host, self.programs, actors.kwok_documents(host), actors.kwok_flags(host))
        bringup.await_program(
            host, self.programs, "the host's own objects to be in force", lambda: actors.settled(host)
        )
        arguments = (host, self.programs, self.stopping)
        threading.Thread(target=actors.run, args=arguments, name="actors", daemon=True).start()

    def fail(self, sentence: str) -> None:
        """Tell why, and end."""
        tell({"failed": sentence})
        self.programs.finish()

    def write_state(self) -> None:
        """Write the state file; a full disk must not end a host that runs."""
        if self.host is None:
            return
        with self.writing:
            try:
                state.write(State(self.host, self.programs.table(), self.ready))
            except OSError as error:
                print(f"the state file cannot be written: {error}", file=sys.stderr, flush=True)
                if not self.ready:
                    raise


def tell(event: dict[str, Any]) -> None:
    """Tell whoever started us; they may have gone."""
    with contextlib.suppress(OSError):
        print(json.dumps(event), flush=True)


def say(step: str) -> None:
    """Tell of a step of the start."""
    tell({"step": step})


def main() -> int:
    """Read the command line, take the folder's lock, run."""
    parser = argparse.ArgumentParser(prog="devhost.supervisor")
    parser.add_argument("folder", type=Path)
    parser.add_argument("wish")
    parser.add_argument("--tied", type=int)
    arguments = parser.parse_args()
    if claims.hold_as_supervisor(arguments.folder) is None:
        tell({"failed": f"another supervisor runs in {arguments.folder}"})
        return 1
    supervisor = Supervisor(arguments.folder, msgspec.json.decode(arguments.wish, type=Wish))
    if arguments.tied is not None:
        _watch_caller(arguments.tied, supervisor.programs)
    return supervisor.run()


def _watch_caller(pipe: int, programs: Programs) -> None:
    """End when the other end of `pipe` closes: the kernel does that however our caller dies."""

    def wait() -> None:
        os.read(pipe, 1)
        programs.finish()

    threading.Thread(target=wait, name="caller", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
