"""The process that holds one forward in the background: `python -m reconciler.verbs.holder FORWARD PORT`.

It ends at SIGTERM or SIGINT, and by itself once the kubeconfig it was started for no longer names it.
"""

import fcntl
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import NidusError, Stalled
from reconciler.verbs import access, contexts, signals
from reconciler.verbs.forwards import Wanted

LOOK_SECONDS = 30.0


def main(words: Sequence[str]) -> int:
    """Hold the forward that `words` describe; "ready" on standard output once it listens, else why not."""
    wanted, port = Wanted(**json.loads(words[0])), int(words[1])
    over = threading.Event()
    signals.on_end(over.set)
    try:
        _hold(wanted, port, over)
    except (NidusError, OSError) as error:
        print(error, flush=True)
        return 1
    return 0


def _hold(wanted: Wanted, port: int, over: threading.Event) -> None:
    from reconciler.kube import edge
    from reconciler.model import HostConfig

    state = os.open(wanted.state, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _tell(state, wanted, 0)
    client = edge.host(HostConfig(kubeconfig=wanted.kubeconfig, context=wanted.host_context))
    listener = access.forward(client, wanted.name, wanted.namespace, port)
    _tell(state, wanted, listener.address[1])
    print("ready", flush=True)
    _let_go()
    while not over.wait(LOOK_SECONDS) and _is_named(wanted, listener.address[1]):
        pass
    listener.close()


def _tell(state: int, wanted: Wanted, port: int) -> None:
    told = {"pid": os.getpid(), "port": port, "host": wanted.host, "namespace": wanted.namespace}
    os.pwrite(state, json.dumps(told).encode().ljust(1024), 0)


def _is_named(wanted: Wanted, port: int) -> bool:
    """Whether the kubeconfig still leads here. A file that cannot be read just now says nothing."""
    try:
        return contexts.server(Path(wanted.file), wanted.context) == f"https://127.0.0.1:{port}"
    except Stalled:
        return True


def _let_go() -> None:
    """Leave the terminal: its end must not be waited for, nor written to."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
