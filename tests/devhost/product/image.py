"""The controller's image, made of this machine's files without a daemon: its Python, the locked packages of the tests'
environment, the project, Git, the stand-in engine's chart, and one repository of clusters.

What the Dockerfile has besides: another base (by digest), tini, the packages installed anew against their hashes.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from devhost.node.images import found, libraries, programs
from devhost.node.oci import Config, Entry, folder_entries
from tests.house.documents import ROOT

NAME: Final = "nidus:0.1.0"
PACKAGES: Final = "/opt/nidus"
REPOSITORY: Final = "/srv/clusters.git"
CHART: Final = "/charts/vcluster-0.36.1"
OURS: Final = ("reconciler", "webhook", "dashboard", "schemas", "devhost", "deploy", "sample-repo")
LEFT_OUT: Final = {"site-packages", "dist-packages", "test", "idlelib", "tkinter", "lib2to3", "ensurepip", "turtledemo"}
HELM_COPIES: Final = re.compile(r"libhelm_c\.so(\.\d+)?$")
"""Helm's library lies in its package three times; the versioned file is the one that is loaded."""
UNCHECKED: Final = b"\x01\x00\x00\x00" + bytes(8)
"""Flags and hash of byte code that is taken as it is (PEP 552): a layer has no times to compare."""


def config() -> Config:
    """How the image starts, as the Dockerfile says."""
    environment = (
        "PATH=/usr/bin:/bin",
        f"PYTHONPATH={PACKAGES}",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
        "PYTHONUTF8=1",
    )
    entrypoint = (interpreter(), "-P", "-m", "reconciler")
    return Config(entrypoint, environment=environment, user="65532:65532", folder="/var/lib/nidus")


def entries(scratch: Path, repository: Path) -> Iterator[Entry]:
    """Yield the image's files; `repository` is a bare one, `scratch` an empty folder."""
    yield Entry("tmp", 0o1777)
    yield Entry("etc/passwd", 0o644, b"root:x:0:0::/:/bin/false\nnidus:x:65532:65532::/var/lib/nidus:/bin/false\n")
    yield Entry("etc/group", 0o644, b"root:x:0:\nnidus:x:65532:\n")
    yield Entry("var/lib/nidus")
    yield Entry("bin/sh", 0o755, Path(found("sh")).resolve())
    yield from programs([interpreter(), *map(found, ("sh", "git", "git-upload-pack"))])
    yield from _git()
    modules = [*_standard_library(), *_packages(), *_project(scratch)]
    yield from map(_taken_as_it_is, modules)
    yield from _loaded_by(modules)
    yield from folder_entries(ROOT / "devhost" / "chart", CHART)
    yield from folder_entries(repository, REPOSITORY)


def interpreter() -> str:
    """The path of this Python, not of the environment's link to it."""
    return str(Path(sys.executable).resolve())


def _standard_library() -> Iterator[Entry]:
    root = Path(sysconfig.get_path("stdlib"))
    for one in folder_entries(root, str(root)):
        parts = Path(one.path).relative_to(str(root).lstrip("/")).parts
        if not LEFT_OUT.intersection(parts) and not parts[0].startswith("config-"):
            yield one


def _packages() -> Iterator[Entry]:
    """Yield the files of every package that the lock names, from the environment of the tests."""
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and source.is_file() and not HELM_COPIES.search(file.name):
                yield Entry(f"{PACKAGES}/{file}", 0o644, source)


def _project(scratch: Path) -> Iterator[Entry]:
    for name in OURS:
        ignored = shutil.ignore_patterns("__pycache__", "go")
        shutil.copytree(ROOT / name, scratch / name, ignore=ignored)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(scratch, quiet=2, workers=2, invalidation_mode=mode)
    yield from folder_entries(scratch, PACKAGES)


def _taken_as_it_is(one: Entry) -> Entry:
    if not one.path.endswith(".pyc") or not isinstance(one.source, Path):
        return one
    code = one.source.read_bytes()
    return Entry(one.path, one.mode, code[:4] + UNCHECKED + code[16:])


def _loaded_by(modules: list[Entry]) -> Iterator[Entry]:
    """Yield the libraries of the machine that compiled modules load, apart from those that packages bring along."""
    compiled = [str(one.source) for one in modules if isinstance(one.source, Path) and ".so" in one.source.name]
    for path in dict.fromkeys(libraries(*compiled)):
        if "site-packages" not in path:
            yield Entry(path, 0o755, Path(path).resolve())


def _git() -> Iterator[Entry]:
    asked = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    folder = asked.stdout.strip()
    yield from folder_entries(Path(folder), folder)
    yield from folder_entries(Path("/usr/share/git-core/templates"), "/usr/share/git-core/templates")
