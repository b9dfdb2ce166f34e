"""The images every real node has, made of this machine's own files, and how any image gets onto a node.

`nidus.local/pause:1` holds a pod's namespaces, `nidus.local/base:1` is a shell with the usual small programs, and
`nidus.local/coredns:1` is the cluster's DNS.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from devhost.errors import HostError
from devhost.node import dns, oci, place, settings, spaces
from devhost.node.oci import Config, Entry

BASE: Final = "nidus.local/base:1"
BASE_PROGRAMS: Final = """
    [ bash cat chmod chown cp cut date dd df du echo env false getent grep head id ln ls mkdir mv printf ps readlink rm sed seq
    sleep sort stat sync tail tee test touch tr true uname wc
"""
IMPORT_SECONDS: Final = 300
HALF: Final = ".image-"
"""How a folder begins in which an image is made, below the node's."""
_LIBRARY: Final = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)

_ACCOUNTS: Final = (
    Entry("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"),
    Entry("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n"),
    Entry("root", 0o700),
    Entry("tmp", 0o1777),
)


def load_own(host: Path, coredns: Path) -> None:
    """Put the images every node has onto the node of the host in `host`. Raises HostError."""
    sleep = Config(entrypoint=(found("sleep"), "infinity"))
    load(host, settings.PAUSE, programs([found("sleep")]), sleep)
    load(host, BASE, base(), Config(command=("sh",)))
    load_dns(host, dns.IMAGE, coredns)


def load_dns(host: Path, name: str, coredns: Path) -> None:
    """Put an image of the program `coredns` onto the node of the host in `host`. Raises HostError."""
    load(host, name, _coredns(coredns), Config(entrypoint=("/coredns",)))


def load(host: Path, name: str, entries: Iterator[Entry], config: Config) -> str:
    """Make the image `name` and put it onto the node of the host in `host`; return its digest. Raises HostError."""
    spaces_of(host)
    with tempfile.TemporaryDirectory(dir=place.folder(host), prefix=HALF) as half:
        archive = Path(half) / "image.tar"
        digest = oci.write(archive, name, entries, config)
        repository = oci.full_name(name).rpartition(":")[0]
        bring(host, archive, "--digests", f"--base-name={repository}")  # by tag and by digest
    return digest


def clear(host: Path) -> None:
    """Remove what is left of images whose making was killed; while the node of the host in `host` does not run."""
    for half in place.folder(host).glob(f"{HALF}*"):
        shutil.rmtree(half, ignore_errors=True)


def bring(host: Path, archive: Path, *options: str) -> None:
    """Put the images of `archive` (OCI layout, or as `docker save` writes it) onto the node, by the names that it gives them.

    `options` are those of `ctr images import`. Raises HostError.
    """
    where = [f"--address=/proc/{spaces_of(host)}/root{place.SOCKET}", "--namespace=k8s.io"]
    command = ["ctr", *where, "images", "import", *options, str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS, check=False)
    if done.returncode != 0:
        raise HostError(f"{archive} cannot be put onto the node: {done.stderr.strip()[-300:]}")


def spaces_of(host: Path) -> int:
    """The process that holds the namespaces of the node of the host in `host`. Raises HostError without one."""
    holder = spaces.holder(place.holder(host))
    if not holder:
        raise HostError(f"the host in {host} has no real node: start it with `nidus host up --node real`")
    return holder


def base() -> Iterator[Entry]:
    """Yield a small system: a shell, the usual small programs as far as the machine has them, users, /tmp."""
    small = [path for path in map(shutil.which, BASE_PROGRAMS.split()) if path]
    yield from _ACCOUNTS
    yield Entry("bin/sh", 0o755, Path(found("sh")).resolve())
    yield from programs([found("sh"), *small])


def programs(paths: Iterable[str]) -> Iterator[Entry]:
    """Yield these programs of the machine, each where it lies there, and the libraries they load, each once."""
    files = list(dict.fromkeys(paths))
    for path in [*files, *libraries(*files)]:
        yield Entry(path, 0o755, Path(path).resolve())


def libraries(*paths: str) -> list[str]:
    """Return the shared libraries and the loaders of programs or libraries, each once; none for static ones and scripts."""
    if not paths:
        return []
    answer = subprocess.run(["ldd", *paths], capture_output=True, text=True, check=False).stdout
    return list(dict.fromkeys(_LIBRARY.findall(answer)))


def _coredns(binary: Path) -> Iterator[Entry]:
    yield Entry("coredns", 0o755, binary.resolve())
    for path in libraries(str(binary)):
        yield Entry(path, 0o755, Path(path).resolve())


def found(program: str) -> str:
    """Return where `program` of this machine is. Raises HostError when it has none."""
    path = shutil.which(program)
    if path is None:
        raise HostError(f"a real node's images need the program {program} of this machine")
    return path
