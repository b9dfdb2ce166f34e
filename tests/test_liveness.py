"""The watchdog works while the interpreter is held: in a process of its own, by a real call that does not give it back (H3)."""

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, threading
from reconciler.controller import liveness
liveness.watch(lambda: "", threading.Event(), held=float({held}))
threading.Event().wait(0.5)
print("held", flush=True)
ctypes.PyDLL(None).usleep({hold})
print("survived", flush=True)
"""


def run(held: float, hold: float) -> "subprocess.CompletedProcess[str]":
    """`hold` seconds in one call of C that keeps the interpreter, under a watchdog of `held` seconds."""
    script = SCRIPT.format(held=held, hold=int(hold * 1e6))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)


def test_a_process_whose_interpreter_is_held_ends_with_a_traceback() -> None:
    done = run(held=2.0, hold=20.0)
    assert done.stdout.split() == ["held"]
    assert done.returncode == 1
    assert "Timeout" in done.stderr and 'File "<string>", line 7' in done.stderr


def test_a_short_call_is_survived() -> None:
    done = run(held=20.0, hold=0.5)
    assert (done.stdout.split(), done.returncode, done.stderr) == (["held", "survived"], 0, "")


ENDING = """
import threading
from reconciler.controller import liveness
with liveness.ending(None, {seconds}):
    threading.Event().wait({takes})
print("ended", flush=True)
"""


@pytest.mark.parametrize(("seconds", "takes", "code", "said"), [(1.0, 60.0, 1, ""), (30.0, 0.1, 0, "ended\n")])
def test_a_stop_that_takes_too_long_says_what_it_waits_for(seconds: float, takes: float, code: int, said: str) -> None:
    script = ENDING.format(seconds=seconds, takes=takes)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (code, said)
    assert ('File "<string>", line 5' in done.stderr) is (code == 1)
