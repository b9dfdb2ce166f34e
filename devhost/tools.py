"""Where each tool is: KUBEBUILDER_ASSETS, PATH, the cache folder; only the pinned version counts, whatever the place."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from devhost.errors import HostError
from devhost.pins import REAL_NODE, SYNCER, Build, build_of

SOURCES = Path(__file__).parent / "go"

_ASK_VERSION = {
    "kubectl": ("version", "--client"),
    "helm": ("version", "--short"),
    "coredns": ("-version",),
}
_VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+\S*)")


def find(program: str) -> Path:
    """Return the executable of `program` (kube-apiserver, kubectl, etcd, kwok, ...) in its pinned version.

    Raises HostError when it is nowhere; never builds (see build.py).
    """
    found = locate(program)
    if found is None:
        build = build_of(program)
        asked = " --node real" if build.name in REAL_NODE else " --syncer" if build.name in SYNCER else ""
        raise HostError(f"{program} {build.version} is not built yet: run `nidus host build{asked}`")
    return found


def locate(program: str) -> Path | None:
    """Return what find() returns, or None."""
    build = build_of(program)
    for candidate in _installed(program):
        if version(candidate) == build.version:
            return candidate
    cached = folder(build) / program
    return cached if cached.exists() else None


def is_ready(build: Build) -> bool:
    """Tell whether every program of `build` is found somewhere."""
    return all(locate(program) for program in build.programs)


def cache() -> Path:
    """Return the folder that holds built tools: $NIDUS_HOST_CACHE, else nidus/tools under the user's cache folder."""
    chosen = os.environ.get("NIDUS_HOST_CACHE")
    if chosen:
        return Path(chosen).absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nidus" / "tools"


def folder(build: Build) -> Path:
    """Return the folder of `build` in the cache: its name changes with the version, the machine and the recipe."""
    recipe = hashlib.sha256(repr(build).encode())
    for source in sorted((SOURCES / build.name).iterdir()):
        recipe.update(source.name.encode() + source.read_bytes())
    return cache() / f"{build.name}-{build.version}-{platform.machine()}-{recipe.hexdigest()[:10]}"


@functools.cache
def version(executable: Path) -> str | None:
    """Return the version `executable` says it has, without a leading v; None when it does not answer with one."""
    question = _ASK_VERSION.get(executable.name, ("--version",))
    try:
        answer = subprocess.run([str(executable), *question], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout)
    return match.group(1) if match else None


def _installed(program: str) -> Iterator[Path]:
    places = [os.environ.get("KUBEBUILDER_ASSETS", ""), *os.environ.get("PATH", "").split(os.pathsep)]
    for place in dict.fromkeys(filter(None, places)):
        found = shutil.which(program, path=place)
        if found:
            yield Path(found)
