"""Ctrl-C at any moment of the start of a verb: exit code 130, and no traceback."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys

class At:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

MODULE = sys.argv.pop(1)
sys.meta_path.insert(0, At())
from reconciler import entry
sys.exit(entry.main())
"""
EARLY = ("reconciler.__main__", "reconciler.errors", "reconciler.verbs", "argparse", "reconciler.verbs.usage")
VERBS = ("help", "plan", "run", "status")  # each verb is imported at the same place
LATE = [(f"reconciler.verbs.{verb}", verb) for verb in VERBS]


def interrupted(module: str, *words: str) -> tuple[int, str]:
    """Exit code and output of a verb that is interrupted when it first asks for a module."""
    program = [sys.executable, "-c", PROGRAM, module, *words]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("module", EARLY)
def test_an_interrupt_before_anything_is_imported(module: str) -> None:
    assert interrupted(module, "status") == (130, "")


@pytest.mark.parametrize(
    ("module", "verb"), [*LATE, ("urllib3", "status"), ("msgspec", "validate"), ("msgspec", "plan")]
)
def test_an_interrupt_while_a_verb_is_imported(module: str, verb: str) -> None:
    assert interrupted(module, verb, "--help" if module.endswith(verb) else ".") == (130, "")
