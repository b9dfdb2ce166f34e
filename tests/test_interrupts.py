"""Ctrl-C at any moment of the start of a verb: exit code 130, and no traceback."""

import subprocess
import sys

import pytest

from reconciler.__main__ import VERBS

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
LATE = [(f"reconciler.verbs.{verb}", verb) for verb in sorted(VERBS)]


def interrupted(module: str, *words: str) -> tuple[int, str]:
    """Exit code and output of a verb that is interrupted when it first asks for a module."""
    program = [sys.executable, "-c", PROGRAM, module, *words]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("module", EARLY)
def test_an_interrupt_before_anything_is_imported(module: str) -> None:
    assert interrupted(module, "status") == (130, "")


@pytest.mark.parametrize(
    ("module", "verb"), [*LATE, ("kubernetes", "status"), ("msgspec", "validate"), ("yaml", "plan")]
)
def test_an_interrupt_while_a_verb_is_imported(module: str, verb: str) -> None:
    assert interrupted(module, verb, "--help" if module.endswith(verb) else ".") == (130, "")
