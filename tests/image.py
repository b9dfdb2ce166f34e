"""The image as the Dockerfile makes it, without a daemon: its steps are followed in a root folder of their own, in a mount namespace.

The base is this machine: its programs and its Python are mounted, so what a step takes from a package index, from the context and from
the stage before is what is made. Steps that ask Debian for packages or make users are left to the builder of a real image.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from tests.house.documents import ROOT

_MOUNTED = ("/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev", sys.base_prefix)
Step = tuple[str, str]


def stages(text: str) -> list[list[Step]]:
    """The steps of each stage, (instruction, rest), with lines joined as Docker joins them."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found: list[list[Step]] = []
    for line in filter(str.strip, joined.splitlines()):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        elif found:
            found[-1].append((name, rest.strip()))
    return found


def context() -> Iterator[str]:
    """The files of the repository that a builder is given (.dockerignore: nothing but what it names)."""
    rules = (ROOT / ".dockerignore").read_text().split()
    named = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    left_out = [rule for rule in rules[1:] if not rule.startswith("!")]
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in filter(None, tracked.split("\0")):
        below = any(path == one or path.startswith(f"{one}/") for one in named)
        if below and not any(fnmatch(path, f"*{one.removeprefix('**')}*") for one in left_out):
            yield path


@dataclass
class Image:
    """A root folder, and what the stage has set so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    start: list[str] = field(default_factory=list)

    def build(self, context: Path, stage: list[Step]) -> None:
        """Follow the steps of a stage; raises AssertionError with what a step printed where it fails."""
        for name, rest in stage:
            if name == "ENV":
                self.environment |= dict(one.split("=", 1) for one in rest.split())
            elif name == "WORKDIR":
                self.folder = rest
                self._at(rest).mkdir(parents=True, exist_ok=True)
            elif name == "COPY":
                self._copy(context, rest.split())
            elif name == "RUN":
                done = self.run("/bin/sh", "-c", rest, network=True)
                assert done.returncode == 0, (rest[:80], done.stdout[-2000:], done.stderr[-2000:])

    def configure(self, stage: list[Step]) -> None:
        """What the last stage says of how a container starts."""
        for name, rest in stage:
            if name == "ENV":
                self.environment |= dict(one.split("=", 1) for one in rest.replace(":$PATH", f":{_PATH}").split())
            elif name == "USER":
                self.user = rest
            elif name in ("ENTRYPOINT", "CMD"):
                self.start += json.loads(rest)

    def run(self, *words: str, network: bool = False, read_only: bool = False) -> "subprocess.CompletedProcess[str]":
        """Run a command in it, as its user. `network`: with what this machine says of package indexes. `read_only`: nothing can be written
        but /tmp, as in the Deployment."""
        pips = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))} if network else {}
        given = {"PATH": _PATH, "HOME": "/tmp", **pips, **self.environment}
        if network:  # what this machine fetched before is taken from its cache: hashes are checked all the same
            given = {key: value for key, value in given.items() if key != "PIP_NO_CACHE_DIR"} | {
                "PIP_CACHE_DIR": _CACHE
            }
        script = [f"mount --bind {self.root} {self.root}"] if read_only else []
        mounted = (*_MOUNTED, *([_CACHE] if network else []))
        script += [f"mount --rbind {one} {self._at(one)}" for one in mounted]
        script += (
            [f"mount -o remount,bind,ro {self.root}", f"mount -t tmpfs tmpfs {self._at('/tmp')}"] if read_only else []
        )
        asked = shlex.join(
            ["/usr/sbin/chroot", f"--userspec={self.user}", str(self.root), "/usr/bin/env", "-C", self.folder, *words]
        )
        script.append(f"exec {asked}")
        alone = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-e", "-c", "\n".join(script)]
        if network:
            Path(_CACHE).mkdir(parents=True, exist_ok=True)
        for one in (*mounted, "/tmp"):
            self._at(one).mkdir(parents=True, exist_ok=True)
        return subprocess.run(alone, env=given, capture_output=True, text=True, timeout=600)

    def _copy(self, context: Path, words: list[str]) -> None:
        *sources, target = words
        into = self._at(target if target.startswith("/") else f"{self.folder}/{target}")
        for one in sources:
            source = context / one
            if source.is_dir():
                shutil.copytree(source, into, dirs_exist_ok=True)
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, into)

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


_CACHE = os.environ.get("PIP_CACHE_DIR", str(Path("~/.cache/pip").expanduser()))
_PATH = f"{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin"
