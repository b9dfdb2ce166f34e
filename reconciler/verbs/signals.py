"""SIGTERM and SIGINT as a call in a thread of its own (H2).

Python runs a signal's handler in the main thread between any two of its instructions, also while that thread holds the lock of an
event or starts a thread: a handler that needs the same lock waits for itself for ever. So the handler does nothing, and what the
interpreter writes when a signal arrives is read elsewhere.
"""

import signal
import socket
import threading
from collections.abc import Callable

ENDS = (signal.SIGTERM, signal.SIGINT)


def on_end(act: Callable[[], None]) -> None:
    """Call `act` in a thread of its own at each SIGTERM or SIGINT from now on, whichever thread takes the signal. Call this in the
    main thread, once a process."""
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(heard, told, act), name="signals", daemon=True).start()
    for number in ENDS:
        signal.signal(number, _nothing)


def _listen(heard: socket.socket, told: socket.socket, act: Callable[[], None]) -> None:
    """`told` is kept open for as long as somebody listens."""
    while numbers := heard.recv(64):
        if not frozenset(numbers).isdisjoint(ENDS):
            act()


def _nothing(number: int, frame: object) -> None:
    """A signal without a handler would end the process."""
