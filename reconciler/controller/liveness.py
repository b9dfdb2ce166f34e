"""Watches the loops of the process (H3): one that does not move for too long ends the process, and so does a thread
that ends by an exception."""

import faulthandler
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from reconciler.report import bugs, log

EVERY = 5.0  # seconds between two looks
HELD = 60.0  # seconds in which no thread but one got to run: longer than any call that keeps the interpreter may take
_ERRORS = 2  # the descriptor, whatever became of sys.stderr
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Sign(Struct, frozen=True):
    """One loop: `silent` gives the seconds since it last moved while at work (0 while it waits for work)."""

    name: str
    limit: float
    silent: Callable[[], float]


def stalled(signs: Sequence[Sign]) -> str:
    """The loops that did not move for too long, "" if none."""
    silences = [(sign, sign.silent()) for sign in signs]
    return ", ".join(f"{sign.name} for {silence:.0f} s" for sign, silence in silences if silence > sign.limit)


def watch(problem: Callable[[], str], stop: threading.Event, *, held: float = HELD) -> threading.Thread:
    """Look in a thread of its own, which is returned, until `stop` is set; end the process when `problem` names one.

    Where the interpreter is held for `held` seconds (one call of C that does not give it back) this thread cannot look either:
    then a thread without Python, set up anew at every look, writes all tracebacks to standard error and ends the process.
    """

    def look() -> None:
        faulthandler.dump_traceback_later(held, exit=True, file=_ERRORS)
        while not stop.wait(min(EVERY, held / 4)):
            faulthandler.dump_traceback_later(held, exit=True, file=_ERRORS)
            found = problem()
            if found:
                die(f"no sign of life: {found}")
        faulthandler.cancel_dump_traceback_later()

    thread = threading.Thread(target=look, name="heartbeat", daemon=True)
    thread.start()
    return thread


@contextmanager
def ending(heartbeat: threading.Thread | None, seconds: float) -> Iterator[None]:
    """The stop of a process, whose `heartbeat` has ended or is about to: where it takes longer than `seconds`, all tracebacks are
    written to standard error and the process ends, so that nobody has to guess what it waited for."""
    if heartbeat is not None:
        heartbeat.join(1.0)  # it disarms the one timer there is
    faulthandler.dump_traceback_later(seconds, exit=True, file=_ERRORS)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def be_loud() -> None:
    """From now on a thread that ends by an exception is logged with its traceback and ends the process, so that no
    worker is lost unseen."""
    threading.excepthook = _bug


def die(why: str) -> None:
    """End at once: nothing may be written any more (H1, H3)."""
    log.line("Exiting", message=why, level="error")
    os._exit(EXIT_CODE)


def _bug(told: threading.ExceptHookArgs) -> None:
    """A thread of ours ended and its work is not done any more, so the process ends and is restarted."""
    thread = told.thread.name if told.thread else ""
    if told.exc_value is not None:
        bugs.tell("thread", told.exc_value, thread)
    die(f"the thread {thread} ended by a bug")
