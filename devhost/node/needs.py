"""What a real node needs of the machine: root, and programs of Debian's packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devhost.errors import HostError

PROGRAMS: Final = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "ldd": "libc-bin",
}
"""Program -> the package of Debian that has it."""

PLUGINS: Final = ("loopback", "ptp", "host-local", "portmap")
PLUGIN_FOLDERS: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
PLUGIN_PACKAGE: Final = "containernetworking-plugins"


def require() -> None:
    """Raise HostError, with everything that is missing in one sentence, unless a real node can run here."""
    missing = lacking(os.geteuid() == 0, os.environ.get("PATH", ""), PLUGIN_FOLDERS)
    if missing:
        raise HostError(
            f"a real node needs {_listed(missing)}: install and start it as root, or leave out `--node real`, "
            "everything else works without"
        )


def require_short(folder: Path) -> None:
    """Raise HostError where the node's files lie so deep that the kubelet's longest socket (`kubelet/pod-resources/NUMBER`) has no
    room: the kernel takes 107 bytes."""
    most = 107 - len("/kubelet/pod-resources/") - 10
    length = len(os.fsencode(folder))
    if length > most:
        raise HostError(
            f"a real node needs a folder of a shorter name: {folder} has {length - most} characters too many"
        )


def lacking(is_root: bool, path: str, plugin_folders: Sequence[Path]) -> list[str]:
    """Return what is missing where programs are looked for in `path` and network plugins in `plugin_folders`; each once."""
    packages = [package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None]
    if plugins(plugin_folders) is None:
        packages.append(PLUGIN_PACKAGE)
    return ([] if is_root else ["root"]) + [f"the package {name}" for name in dict.fromkeys(packages)]


def plugins(folders: Sequence[Path] = PLUGIN_FOLDERS) -> Path | None:
    """Return the first of `folders` that has every network plugin; None when none has."""
    return next((one for one in folders if all((one / name).exists() for name in PLUGINS)), None)


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
