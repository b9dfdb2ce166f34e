"""The paths in a host's folder. A host writes everything below it."""

from __future__ import annotations

import os
from pathlib import Path

MARK = "nidus-host"
"""A file whose presence says the folder is ours to fill and to remove."""


def default_folder() -> Path:
    """Return $NIDUS_HOST_DIR, else .nidus/host in the current folder."""
    chosen = os.environ.get("NIDUS_HOST_DIR")
    return Path(chosen).absolute() if chosen else Path.cwd() / ".nidus" / "host"


def hide(folder: Path) -> None:
    """Keep a folder with keys out of Git: `git add --all` around it takes nothing of it. Raises OSError."""
    (folder / ".gitignore").write_text("*\n")


def pki(folder: Path) -> Path:
    """Keys and certificates (pki.py)."""
    return folder / "pki"


def state(folder: Path) -> Path:
    """The state file (state.py)."""
    return folder / "host.json"


def kubeconfig(folder: Path) -> Path:
    """The administrator's kubeconfig."""
    return folder / "kubeconfig"


def control(folder: Path) -> Path:
    """The socket the supervisor answers on (control.py)."""
    return folder / "control.sock"


def supervisor_lock(folder: Path) -> Path:
    """Locked by the supervisor for as long as it lives."""
    return folder / "supervisor.lock"


def start_lock(folder: Path) -> Path:
    """Locked while a host is started or taken down; beside the folder's content, and gone with it."""
    return folder / "start.lock"


def logs(folder: Path) -> Path:
    """One file for each process."""
    return folder / "logs"


def log(folder: Path, name: str) -> Path:
    """The log of the process `name`; a name with slashes (nested/NS/NAME/etcd) lies in folders."""
    return logs(folder) / f"{name}.log"


def claims(folder: Path) -> Path:
    """The data of each claim, under the claim's uid."""
    return folder / "nested" / "storage"


def audit_log(folder: Path) -> Path:
    """The API server's audit log, one JSON event a line."""
    return folder / "audit" / "audit.log"
