"""Run a command in a node's namespaces: `python -m devhost.node.enter HOLDER COMMAND...`; it ends with us, and we with it.

HOLDER is the keeper's file, waited for. A process enters a pid namespace only by being born there, hence one process here and
one inside. Standard library alone.
"""

import os
import signal
import sys
from pathlib import Path

from devhost.node import spaces

WAIT_SECONDS = 20.0


def main(file: Path, command: list[str]) -> int:
    """Enter, start the command, wait for it; return its exit code."""
    holder = spaces.holder(file, WAIT_SECONDS)
    if not holder:
        sys.exit("error: the node's namespaces are not there")
    for name in [spaces.namespace(holder, kind) for kind in ("ipc", "uts", "net", "pid", "mnt")]:
        spaces.enter(name)
    child = os.fork()
    if child == 0:
        spaces.die_with_parent(signal.SIGKILL)
        try:
            os.execv(command[0], command)
        except OSError as error:
            os._exit(_say(f"error: {command[0]} does not start: {error.strerror}"))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _say(sentence: str) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(abs(main(Path(sys.argv[1]), sys.argv[2:])))
