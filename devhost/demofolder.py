"""The folder a demo lives in: one demo at a time, and what a person did in its clone is kept.

The lock is the kernel's (flock): it ends with the demo, so none is ever stale.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from devhost import layout
from devhost.errors import HostError

MOST: Final = 20
"""Demos side by side, at most, when no folder was named."""
GIT_SECONDS: Final = 30
OWN: Final = "own-commits"
"""The file in a stage that lists the commits the demo itself made."""


@contextmanager
def taken(folder: Path, *, exactly: bool) -> Iterator[Path]:
    """Hold a folder no other demo is in: `folder`, or else, unless `exactly` that one is wanted, `folder`-2, -3 and so on.

    Raises HostError when it is in use, or when all are.
    """
    for place in [folder] if exactly else _numbered(folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.hide(place)
        lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            yield place
        finally:
            os.close(lock)
        return
    raise HostError(f"a demo runs in {folder}: end it, or choose another folder with --dir")


def cleared(stage: Path) -> Path | None:
    """Make room for a new stage at `stage`. One left behind is removed if nobody worked in its clone.

    Else it is renamed, whole, and its new place is returned.
    """
    if not stage.exists():
        return None
    if _is_untouched(stage):
        shutil.rmtree(stage)
        return None
    kept = next(place for place in _numbered(stage.with_name("stage-kept"), None) if not place.exists())
    stage.rename(kept)
    return kept


def note(stage: Path, commit: str) -> None:
    """Remember a commit that the demo made itself. Commits that are not noted are a person's."""
    with (stage / OWN).open("a", encoding="utf-8") as file:
        file.write(f"{commit}\n")


def let_commit(work: Path) -> None:
    """Let a person who never told git a name commit in the clone."""
    told = subprocess.run(["git", "config", "user.email"], cwd=work, capture_output=True, timeout=GIT_SECONDS)
    if told.returncode:
        for key, value in (("user.name", "Demo user"), ("user.email", "user@nidus.invalid")):
            subprocess.run(["git", "config", key, value], cwd=work, check=True, timeout=GIT_SECONDS)


def _is_untouched(stage: Path) -> bool:
    """Whether the clone and its repository hold only commits of the demo, and no change beside them; no if in doubt. A stage that came
    out of somebody's repository is asked nothing: Git would do what its configuration says. No commit holds a folder `.git`."""
    if not (stage / "work" / ".git").is_dir():
        return False
    try:
        known = set((stage / OWN).read_text(encoding="utf-8").split())
        dirty = _git(stage / "work", "status", "--porcelain", "--ignored")
        commits = _git(stage / "work", "rev-list", "--all", "--reflog") + _git(
            stage / "repository.git", "rev-list", "--all"
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return not dirty and set(commits.split()) <= known


def _git(folder: Path, *words: str) -> str:
    env = {**os.environ, "GIT_DIR": str(folder / ".git" if (folder / ".git").exists() else folder)}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
    )
    return done.stdout


def _numbered(folder: Path, most: int | None = MOST) -> Iterator[Path]:
    yield folder
    number = 2
    while most is None or number <= most:
        yield folder.with_name(f"{folder.name}-{number}")
        number += 1
