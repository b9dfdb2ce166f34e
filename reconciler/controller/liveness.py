"""Signs of life (H3): a loop that gives none for too long ends the process, and so does a thread that dies of a bug."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler.report import bugs, log

EVERY = 5.0  # seconds between two looks
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


@dataclass(frozen=True, slots=True)
class Sign:
    """One loop: `silent` says for how many seconds it has given no sign of life while at work (0 while it rests)."""

    name: str
    limit: float
    silent: Callable[[], float]


def stalled(signs: Sequence[Sign]) -> str:
    """The loops that have shown no sign of life for too long, "" if none."""
    silences = [(sign, sign.silent()) for sign in signs]
    return ", ".join(f"{sign.name} for {silence:.0f} s" for sign, silence in silences if silence > sign.limit)


def watch(problem: Callable[[], str], stop: threading.Event) -> None:
    """Look in a thread of its own until `stop` is set; end the process when `problem` names one."""

    def look() -> None:
        while not stop.wait(EVERY):
            found = problem()
            if found:
                die(f"no sign of life: {found}")

    threading.Thread(target=look, name="heartbeat", daemon=True).start()


def be_loud() -> None:
    """From now on a thread that ends by an exception is logged with its traceback and ends the process: a worker is never lost silently."""
    threading.excepthook = _bug


def die(why: str) -> None:
    """End at once: nothing may be written any more (H1, H3)."""
    log.line("Exiting", message=why, level="error")
    os._exit(EXIT_CODE)


def _bug(told: threading.ExceptHookArgs) -> None:
    """A thread of ours ended: whatever it did is done no more, so the process ends and another begins."""
    thread = told.thread.name if told.thread else ""
    if told.exc_value is not None:
        bugs.tell("thread", told.exc_value, thread)
    die(f"the thread {thread} ended by a bug")
