"""Holds a node's namespaces: `python -m devhost.node.keeper HOST HOLDER GROUP DATA`; its end, or its parent's, ends all in them.

Makes the control group GROUP and a process that is the first of new pid, mount and network namespaces; writes its pid to the
file HOLDER once they are ready. The kernel ends every process of a pid namespace with its first one; mounts, links and rules go
with the last process in their namespaces; the control group is removed here, at the end. Inside, of the machine's disk only the
folder HOST may be written to; its folder DATA is the place of volumes. Standard library alone.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from devhost.node import cgroups, inside, spaces

ENDS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main(host: Path, holder: Path, group: str, data: Path) -> int:
    """Hold the namespaces until a signal or the end of their first process; return the exit code."""
    # A signal that can be waited for takes the place of the one that ends us with our parent: there is something to clean up.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS | {signal.SIGCHLD})
    spaces.die_with_parent(signal.SIGTERM)
    holder.unlink(missing_ok=True)
    cgroups.remove(group)  # of a keeper that was killed
    try:
        cgroups.make(group)
        spaces.unshare(spaces.NEWPID)
        return _hold(host, holder, data)
    except OSError as error:
        print(f"error: the node cannot be separated from the machine: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    finally:
        holder.unlink(missing_ok=True)
        cgroups.remove(group)


def _hold(host: Path, holder: Path, data: Path) -> int:
    ready, tell = os.pipe()
    first = os.fork()
    if first == 0:
        _be_first(host, data, tell)
    os.close(tell)
    try:
        if not os.read(ready, 1):
            return 1
        half = holder.with_name(f".{holder.name}")
        half.write_text(f"{first} {spaces.born(first)}")
        half.replace(holder)
        return 0 if signal.sigwait(ENDS | {signal.SIGCHLD}) in ENDS else 1
    finally:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)  # which returns once every process of the namespace is gone


def _be_first(host: Path, data: Path, tell: int) -> NoReturn:
    """Be process 1: arrange mounts and network, then take in the orphans of the namespace."""
    try:
        spaces.die_with_parent(signal.SIGKILL)
        spaces.unshare(spaces.NEWNS | spaces.NEWNET | spaces.NEWIPC | spaces.NEWUTS)
        inside.arrange(host, data)
        os.write(tell, b"1")
        while True:
            signal.sigwait({signal.SIGCHLD})
            _reap()
    except BaseException as error:
        print(f"error: the node's namespaces cannot be arranged: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    folder, file, name, volumes = sys.argv[1:]
    sys.exit(main(Path(folder), Path(file), name, Path(volumes)))
