"""A signal ends the process wherever its threads are just then: real processes and signals (H2)."""

import subprocess
import sys

ELSEWHERE = """
import signal, threading, time
from reconciler.verbs import signals
ended = threading.Event()
signals.on_end(ended.set)

def other() -> None:
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(300)

threading.Thread(target=other, daemon=True).start()
ended.wait()
print("ended")
"""

HOLDING = """
import os, signal, threading
from reconciler.verbs import signals
ended = threading.Event()
signals.on_end(ended.set)
with ended._cond:  # as for some instructions of each wait
    os.kill(os.getpid(), signal.SIGTERM)
ended.wait()
print("ended")
"""


def ran(script: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


def test_a_signal_that_another_thread_takes_ends_the_process() -> None:
    assert ran(ELSEWHERE) == (0, "ended\n")


def test_a_signal_while_the_main_thread_holds_the_lock_ends_the_process() -> None:
    assert ran(HOLDING) == (0, "ended\n")
