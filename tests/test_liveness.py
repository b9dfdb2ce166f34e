"""The watchdog works while the interpreter is held: in a process of its own, by a real call that does not give it back (H3)."""

import subprocess
import sys

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
