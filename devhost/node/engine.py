"""The official engine as pods of a real node: its image, the one of Kubernetes' programs and the one of the DNS inside, made of a
binary and the host's tools.

They get the names that the engine's chart asks for, so nothing is pulled, and nothing of the product is different from production.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from devhost import tools
from devhost.errors import HostError
from devhost.node import images
from devhost.node.oci import Config, Entry

REGISTRY: Final = "ghcr.io/loft-sh"
KUBERNETES: Final = "v1.36.0"
"""What clusters ask for in spec.version; the programs inside are of the host's own version."""
DNS: Final = "docker.io/coredns/coredns:1.14.2"
"""What engines of 0.36 run as the DNS inside a cluster of Kubernetes 1.36 (vcluster, pkg/constants/coredns.go); another engine's is
brought by `nidus host image`. The program inside is the host's own, with the plugins that the engine's Corefile names."""
PROGRAMS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kine", "helm")
AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
SECONDS: Final = 30


def load(host: Path, vcluster: Path, kubernetes: str = KUBERNETES) -> None:
    """Put the images onto the node of the host in `host`, for clusters of version `kubernetes`. Raises HostError."""
    engine = Config(entrypoint=("/vcluster", "start"), folder="/")
    images.load(host, f"{REGISTRY}/vcluster-oss:{version(vcluster)}", _engine(vcluster), engine)
    images.load(host, f"{REGISTRY}/kubernetes:{kubernetes}", programs(), Config())
    images.load_dns(host, DNS, tools.find("coredns"))


def version(vcluster: Path) -> str:
    """The version that the binary says it has. Raises HostError."""
    try:
        done = subprocess.run([vcluster, "version"], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{vcluster} does not say its version: {error}") from error
    found = re.search(r"\b\d+\.\d+\.\d+\b", done.stdout)
    if found is None:
        raise HostError(f"{vcluster} does not say its version: is it a vcluster binary?")
    return found.group()


def _engine(vcluster: Path) -> Iterator[Entry]:
    yield from images.base()
    yield Entry("vcluster", 0o755, vcluster)
    for path in images.libraries(str(vcluster)):
        yield Entry(path, 0o755, Path(path).resolve())
    if AUTHORITIES.exists():
        yield Entry(str(AUTHORITIES), 0o644, AUTHORITIES)


def programs() -> Iterator[Entry]:
    """Yield the programs in /kubernetes; those that are one binary as links to it."""
    yield from images.base()
    there: dict[Path, str] = {}
    for name in PROGRAMS:
        binary = tools.find(name).resolve()
        if binary in there:
            yield Entry(f"kubernetes/{name}", link=there[binary])
        else:
            there[binary] = name
            yield Entry(f"kubernetes/{name}", 0o755, binary)
