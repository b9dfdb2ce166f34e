"""Whether a folder is only a part of a repository: packs and profiles that lie elsewhere in it are then not read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model import Snapshot


def told(verb: str, folder: Path, snapshot: Snapshot) -> tuple[str, str]:
    """What to say of it, and what to do; "" where the folder is the whole, is in no repository, or lacks nothing."""
    from reconciler.spec.codes import Code

    lacks = any(one.code in (Code.NO_PROFILE, Code.NO_FILE, Code.NOT_A_CHART) for one in snapshot.violations)
    if not lacks and (snapshot.specs.clusters or snapshot.specs.profiles):
        return "", ""
    top = whole(folder)
    if not top:
        return "", ""
    name = "this" if str(folder) == "." else str(folder)
    return f"{name} is one folder of a repository, and what lies outside of it is not read", f"nidus {verb} {top}"


def whole(folder: Path) -> str:
    """The work tree that the folder is a part of, as one writes it from the current folder; "" where it is no part of one."""
    from reconciler.source.folder import git

    up = os.fsdecode((git(folder, "rev-parse", "--show-cdup") or b"").strip())
    return os.path.normpath(folder / up) if up else ""
