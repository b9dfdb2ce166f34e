"""What a verb may load before it has anything to do: start-up is what people wait for most often."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.documents import ROOT

NEVER = {
    "shtab",
    "flask",
    "werkzeug",
    "waitress",
    "watchdog",
    "git",
    "prometheus_client",
    "helm_python",
    "cryptography",
}
REQUESTS = {"kubernetes", "urllib3", "dateutil", "requests", "websocket"}
DOCUMENTS = {"yaml", "msgspec", "jsonschema_rs", "jsonschema", "referencing"}
FOLDER = {
    "reconciler.controller",
    "reconciler.kube",
    "reconciler.apply",
    "reconciler.inventory",
    "reconciler.reconcile",
}
PROGRAM = """
import sys
from reconciler.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules and packages that a verb has loaded when it ends."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
    )
    modules = done.stderr.strip().splitlines()[-1].split()
    assert "reconciler.__main__" in modules, done.stderr
    return {".".join(name.split(".")[:depth]) for name in modules for depth in (1, 2)}


@pytest.mark.parametrize(
    ("words", "not_these"),
    [
        (
            ["--help"],
            NEVER | REQUESTS | DOCUMENTS | FOLDER | {"reconciler.model", "reconciler.spec", "subprocess", "json"},
        ),
        (["status", "--help"], NEVER | REQUESTS | DOCUMENTS | FOLDER | {"reconciler.model", "reconciler.spec"}),
        (["plan", "--help"], NEVER | REQUESTS | DOCUMENTS | FOLDER | {"reconciler.model", "reconciler.spec"}),
        (["validate"], NEVER | REQUESTS | FOLDER | {"jsonschema", "referencing"}),
        (
            ["status", "--kubeconfig", "none"],
            NEVER | REQUESTS | {"jsonschema", "jsonschema_rs", "reconciler.controller", "reconciler.spec"},
        ),
        (["plan", "--kubeconfig", "none"], NEVER | REQUESTS | {"jsonschema", "reconciler.controller"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_heavy_is_loaded_before_it_is_needed(tmp_path: Path, words: list[str], not_these: set[str]) -> None:
    assert loaded(tmp_path, *words) & not_these == set()
