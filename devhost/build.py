"""Builds the tools from their published modules: one builder at a time, with progress, resumable.

Each binary is built to a temporary name and moved into place whole, so an interrupted build leaves nothing that looks
finished; the Go build cache keeps what was compiled, so the next try goes on from there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devhost import golang, reins, tools
from devhost.download import download
from devhost.errors import HostError
from devhost.pins import BUILDS, NEEDED, Build
from devhost.progress import Progress, silent, step

ROOM = 400 * 2**20
"""Bytes that must be free before a build: the largest binary, its temporary copy, and what the linker writes."""

_PACE = {"GOGC": "400", "GOMEMLIMIT": "1500MiB"}
"""Go's own programs collect less often, up to a bound for each: a fifth less processor time (measured, Go 1.26). The user's wins."""

_CAUSES = (
    ("no space left on device", "the disk is full: free some room in {cache} or in Go's build cache"),
    ("dial tcp", "the Go module proxy cannot be reached: connect to the network and run it again"),
    ("no such host", "the Go module proxy cannot be reached: connect to the network and run it again"),
    ("i/o timeout", "the Go module proxy cannot be reached: connect to the network and run it again"),
    ("module lookup disabled", "the Go module proxy is switched off (GOPROXY) and a module is not in Go's cache"),
)


def build(
    names: Sequence[str] = NEEDED, progress: Progress | None = None, force: bool = False, released: bool = False
) -> list[Path]:
    """Make sure that each build in `names` (see pins.BUILDS) is ready; return the folders made now.

    Tools found on the machine are not built again unless `force`. `released`: what is published as a binary is fetched instead of
    built. Raises HostError when one cannot be had.
    """
    told = progress or silent
    wanted = [one for one in BUILDS if one.name in names]
    missing = [one for one in wanted if force or not tools.is_ready(one)]
    if not missing:
        return []
    cache = tools.cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _sole_builder(cache, told):
            fetched = download(missing, told) if released else []
            return [*fetched, *_build_each([one for one in missing if force or not tools.is_ready(one)], told)]
    except OSError as error:
        raise HostError(f"the tools cannot be built in {cache}: {error.strerror or error}") from error


def _build_each(missing: Sequence[Build], progress: Progress) -> list[Path]:
    if not missing:
        return []
    cache = tools.cache()
    _require_room(cache)
    with step("find a Go compiler", progress):
        go = golang.compiler(cache)
    return [_build_one(one, go, progress) for one in missing]


def _build_one(one: Build, go: Path, progress: Progress) -> Path:
    target = tools.folder(one)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{one.name}-") as half:
        binary = Path(half) / one.name
        _compile(one, go, binary, progress)
        binary.replace(target / one.name)
    for program in one.programs:
        _link(target / program, one.name)
    return target


def _compile(one: Build, go: Path, binary: Path, progress: Progress) -> None:
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off", "GOROOT": ""}
    environment = {**_PACE, **os.environ, **settings, "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    stamps = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in one.stamps)])
    command = [*reins.tied(), str(go), "build", "-trimpath", "-ldflags", stamps, "-o", str(binary), one.package]
    with tempfile.TemporaryFile() as log, step(f"build {one.name} {one.version}", progress) as beat:
        process = subprocess.Popen(
            command, cwd=tools.SOURCES / one.name, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(process, beat)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            log.seek(0)
            raise HostError(cause(one, log.read().decode(errors="replace")))


def _wait(process: subprocess.Popen[bytes], beat: Callable[[], None]) -> None:
    while True:
        try:
            process.wait(timeout=1)
            return
        except subprocess.TimeoutExpired:
            beat()


def cause(one: Build, output: str) -> str:
    """Say in one sentence why `go build` failed: the known causes by name, any other by its last line."""
    lowered = output.lower()
    for sign, sentence in _CAUSES:
        if sign in lowered:
            return f"{one.name} {one.version} cannot be built: {sentence.format(cache=tools.cache())}"
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "the compiler said nothing")
    return f"{one.name} {one.version} cannot be built: {last.strip()}"


def _link(link: Path, binary: str) -> None:
    if link.name == binary:
        return
    half = link.with_name(f".{link.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    half.symlink_to(binary)
    half.replace(link)


def _require_room(cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < ROOM:
        raise HostError(
            f"building the tools needs {ROOM >> 20} MiB free in {cache}, which has {free >> 20}: "
            f"free some room or set NIDUS_HOST_CACHE"
        )


@contextmanager
def _sole_builder(cache: Path, progress: Progress) -> Iterator[None]:
    """Hold the builders' lock; it is the kernel's, so a killed builder leaves none behind."""
    with (cache / ".lock").open("w") as lock:
        with step("wait for another builder", progress) as beat:
            while not _try(lock.fileno()):
                time.sleep(0.2)
                beat()
        for half in cache.glob(".*-*"):  # of a builder that was killed
            shutil.rmtree(half, ignore_errors=True)
        yield


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
