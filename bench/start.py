"""`start` (G11): how long commands take that have nothing to do, against a bare interpreter in the same run."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Outcome, Row, Size, environment

PLAN = "import reconciler.verbs.plan, reconciler.review, reconciler.settings, reconciler.kube.edge, reconciler.source.folder"


def run(size: Size) -> Outcome:
    """Medians over `rounds`, the commands taken in turn so that a busy moment hits all alike."""
    with tempfile.TemporaryDirectory(prefix="nidus-bench-") as text:
        folder = Path(text)
        empty = folder / "empty"
        empty.mkdir()
        commands = _commands(empty)
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(size.rounds + 1):
            for name, words in commands.items():
                taken[name].append(_wall(words, empty, environment(folder)))
    medians = {name: statistics.median(values[1:]) * 1000 for name, values in taken.items()}
    goals = {"nidus --help": 40.0, "nidus validate (empty folder)": 120.0, "nidus plan (start)": 120.0}
    rows = [Row(name, value, "ms", goals.get(name)) for name, value in medians.items()]
    bare = medians["python -c pass"]
    rows += [Row(f"{name} / bare", value / bare, "x") for name, value in medians.items() if name.startswith("nidus")]
    best = ", ".join(f"{name} {min(values) * 1000:.0f} ms" for name, values in taken.items())
    plan = "`plan (start)` is the interpreter and every module `nidus plan` loads before its first request"
    return Outcome("start", "G11", rows, [f"medians of {size.rounds}; fastest: {best}", plan])


def _commands(empty: Path) -> dict[str, list[str]]:
    nidus = shutil.which("nidus", path=str(Path(sys.executable).parent)) or ""
    prefix = [nidus] if nidus else [sys.executable, "-m", "reconciler"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "nidus --help": [*prefix, "--help"],
        "nidus validate (empty folder)": [*prefix, "validate", str(empty)],
        "nidus plan --help": [*prefix, "plan", "--help"],
        "nidus plan (start)": [sys.executable, "-c", PLAN],
    }


def _wall(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, timeout=60)
    if done.returncode:
        raise SystemExit(f"start: {' '.join(words)} ended with {done.returncode}: {done.stderr.decode()[-400:]}")
    return time.perf_counter() - began
