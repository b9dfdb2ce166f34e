"""Fetches released binaries of the pinned versions into the cache, where somebody asks for that instead of a build.

Each file is compared with the SHA-256 that its project publishes beside it. What came before a line broke is kept, and the next try
goes on from there. Only what is published with its SHA-256 is fetched; kwok is not, so it is built.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tarfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError

from devhost import tools
from devhost.errors import HostError
from devhost.pins import ETCD, KUBERNETES, Build
from devhost.progress import Progress, step

SECONDS: Final = 30.0
"""How long a server may say nothing."""
MOST: Final = 400 * 2**20
"""Bytes of the largest file that is taken."""
MOST_SUMS: Final = 64 * 2**10
CHUNK: Final = 2**18
PARTIAL: Final = 206
NOTHING_THERE: Final = 416
"""HTTP status of a range, and of one that the file does not have (RFC 9110)."""
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_SUM: Final = re.compile(r"^([0-9a-f]{64})(?:\s+\*?(\S+))?\s*$", re.MULTILINE)


class _NoMore(HostError):
    """The file has not as many bytes as came already."""


@dataclass(frozen=True, slots=True)
class File:
    """A released file: its `path` below an address, that of its SHA-256, and the `member` of an archive that is wanted."""

    program: str
    address: str
    path: str
    sums: str
    member: str = ""


def files(one: Build) -> tuple[File, ...]:
    """What is released of `one` for this machine, with its SHA-256; nothing where its project publishes none."""
    arch = _ARCHITECTURES.get(platform.machine(), platform.machine())
    if one.name in ("kubernetes", "node"):
        folder = f"release/v{KUBERNETES}/bin/linux/{arch}"
        at = "https://dl.k8s.io"
        return tuple(File(each, at, f"{folder}/{each}", f"{folder}/{each}.sha256") for each in one.programs)
    if one.name == "etcd":
        folder, name = f"etcd-io/etcd/releases/download/v{ETCD}", f"etcd-v{ETCD}-linux-{arch}"
        return (File("etcd", "https://github.com", f"{folder}/{name}.tar.gz", f"{folder}/SHA256SUMS", f"{name}/etcd"),)
    return ()


def download(builds: Sequence[Build], progress: Progress) -> list[Path]:
    """Fetch what is released of `builds`; return their folders in the cache. Raises HostError when one cannot be had."""
    made = []
    for one in builds:
        wanted = files(one)
        for file in wanted:
            _fetch_one(one, file, progress)
        made += [tools.folder(one)] if wanted else []
    return made


def _fetch_one(one: Build, file: File, progress: Progress) -> None:
    target = tools.folder(one) / file.program
    if target.exists():
        return
    part = tools.cache() / "downloads" / f"{one.version}-{file.path.rpartition('/')[2]}.part"
    target.parent.mkdir(parents=True, exist_ok=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    with step(f"download {file.program} {one.version}", progress) as beat:
        wanted = _published(file)
        if not part.exists() or _sum(part) != wanted:
            _receive(_url(file, file.path), part, beat)
        if _sum(part) != wanted:
            part.unlink()
            raise HostError(f"{_url(file, file.path)} is not what its project published (SHA-256): it was thrown away")
        _put(part, file.member, target)


def _url(file: File, path: str) -> str:
    """Where `path` is: below $NIDUS_TOOLS_URL where that is set, else at its project's own address."""
    chosen = os.environ.get("NIDUS_TOOLS_URL", "").rstrip("/")
    if chosen and not chosen.startswith(("https://", "http://")):
        raise HostError(f"NIDUS_TOOLS_URL is {chosen}: write an address that begins with https:// or http://")
    return f"{chosen or file.address}/{path}"


def _published(file: File) -> str:
    """The SHA-256 that the project publishes of the file, in hexadecimal digits."""
    url = _url(file, file.sums)
    with _asked(url, 0) as answer:
        text = answer.read(MOST_SUMS).decode("ascii", "replace")
    name = file.path.rpartition("/")[2]
    found = [digest for digest, of in _SUM.findall(text) if of in ("", name)]
    if len(found) != 1:
        raise HostError(f"{url} names no SHA-256 of {name}")
    return str(found[0])


def _receive(url: str, part: Path, beat: Callable[[], None]) -> None:
    """Append to `part` what it lacks."""
    have = part.stat().st_size if part.exists() else 0
    try:
        _append(url, part, have, beat)
    except _NoMore:  # of another file of that name
        _append(url, part, 0, beat)


def _append(url: str, part: Path, have: int, beat: Callable[[], None]) -> None:
    with _asked(url, have) as answer:
        if answer.status != PARTIAL:  # the whole file, whatever we have
            have = 0
        size = have + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK):
                have += len(chunk)
                if have > MOST:
                    part.unlink()
                    raise HostError(f"{url} is larger than {MOST >> 20} MiB: nothing that is wanted is")
                file.write(chunk)
                beat()
    if have < size:
        raise HostError(f"{url} ended after {have} of {size} bytes: run it again, and it goes on from there")


@contextmanager
def _asked(url: str, have: int) -> Iterator[Any]:
    """The answer to a request for what comes after `have` bytes; every failure as one sentence."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            require_safe(url, answer.geturl())
            yield answer
    except HTTPError as error:
        if have and error.code == NOTHING_THERE:
            raise _NoMore(url) from error
        raise HostError(f"{url} cannot be had: the server answers {error.code} {error.reason}") from error
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise HostError(f"{url} cannot be had: {reason}; what came is kept, run it again") from error


def require_safe(asked: str, came: str) -> None:
    """Raise HostError where a request for an https address ended at one that anybody on the way can change."""
    if asked.startswith("https://") and not came.startswith("https://"):
        raise HostError(f"{asked} leads to {came}, which is not https")


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _put(part: Path, member: str, target: Path) -> None:
    """Move the program into place, whole."""
    half = target.with_name(f".{target.name}.{os.getpid()}")
    if member:
        with tarfile.open(part) as archive, half.open("wb") as file:
            shutil.copyfileobj(_member(archive, member), file)
        part.unlink()
    else:
        part.replace(half)
    half.chmod(0o755)
    half.replace(target)


def _member(archive: tarfile.TarFile, member: str) -> IO[bytes]:
    try:
        found = archive.extractfile(member)
    except (KeyError, tarfile.TarError) as error:
        raise HostError(f"{archive.name!s} holds no {member}") from error
    if found is None:
        raise HostError(f"{archive.name!s} holds no file {member}")
    return found
