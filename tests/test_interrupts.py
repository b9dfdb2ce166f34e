"""Ctrl-C at any moment of the start of a verb: exit code 130, and no traceback."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import installed
from tests.answering import kubeconfig
from tests.memory.http import Front
from tests.memory.server import Server
from tests.test_source_mirror import Work

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


def interrupted(module: str, *words: str, more: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a verb that is interrupted when it first asks for a module; `more`: what its environment has besides."""
    program = [sys.executable, "-c", PROGRAM, module, *words]
    environment = {**os.environ, **(more or {})}
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("module", EARLY)
def test_an_interrupt_before_anything_is_imported(module: str) -> None:
    assert interrupted(module, "status") == (130, "")


@pytest.mark.parametrize(
    ("module", "verb"), [*LATE, ("urllib3", "status"), ("msgspec", "validate"), ("msgspec", "plan")]
)
def test_an_interrupt_while_a_verb_is_imported(module: str, verb: str) -> None:
    assert interrupted(module, verb, "--help" if module.endswith(verb) else ".") == (130, "")


def test_an_interrupt_once_the_host_answered(tmp_path: Path) -> None:
    """While what only a plan of a live host loads is loaded: without a host the verb fails before."""
    work = Work(tmp_path / "work")
    work.commit({"README.md": "empty"})
    host = Server()
    for kind in installed.kinds():
        host.put(kind)
    with Front(host) as front:
        place = kubeconfig(tmp_path, front.url)
        words = ("reconciler.review", "plan", str(work.folder))
        assert interrupted(*words, more={"KUBECONFIG": str(place)}) == (130, "")
