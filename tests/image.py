"""The image, built from the Dockerfile as it is by buildah, without a daemon or a registry: its base is made of Debian's packages. runc
runs it as the Deployment does: as nobody in particular, without a capability, on a root that cannot be written."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.house.documents import ROOT

PROGRAMS: Final = ("buildah", "mmdebstrap", "runc")
_TRUST = "/run/trust.pem"  # what this machine trusts the package index by
_PIP = ("index-url", "extra-index-url", "trusted-host", "proxy")  # what it says of the index, besides
_MOUNTS = (("/proc", "proc"), ("/dev", "tmpfs"), ("/tmp", "tmpfs"))


@dataclass
class Image:
    """What was built: its root folder, and what it says of itself (OCI's image configuration)."""

    root: Path
    config: Mapping[str, Any]
    folder: Path
    runs: list[str] = field(default_factory=list)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it as its user, with its environment, on the network of this machine."""
        self.runs.append(f"nidus-test-{os.getpid()}-{len(self.runs)}")
        user, _, group = self.config["User"].partition(":")
        process = {
            "user": {"uid": int(user), "gid": int(group)},
            "args": list(words),
            "env": [*self.config["Env"], "HOME=/tmp"],
            "cwd": self.config["WorkingDir"],
            "noNewPrivileges": True,
            "capabilities": {},
        }
        bundle = self.folder / self.runs[-1]
        bundle.mkdir()
        mounts = [{"destination": place, "type": kind, "source": kind} for place, kind in _MOUNTS]
        spec = {
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": str(self.root), "readonly": True},
            "mounts": mounts,
            "linux": {"namespaces": [{"type": one} for one in ("mount", "pid", "ipc")]},
        }
        (bundle / "config.json").write_text(json.dumps(spec))
        made = ["runc", "--root", str(self.folder / "runc"), "run", "--bundle", str(bundle), self.runs[-1]]
        return subprocess.run(made, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


@contextmanager
def built() -> Iterator[Image]:
    """The image; it is gone with the block. In memory where that is to be had: dpkg waits for the disk after each file."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="nidus-image-", dir=memory))
    folder.chmod(0o755)
    store = ("--root", str(folder / "store"), "--runroot", str(folder / "run"), "--storage-driver", "overlay")

    def buildah(*words: str) -> str:
        done = subprocess.run(["buildah", *store, *words], cwd=ROOT, capture_output=True, text=True, timeout=800)
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout.strip()

    try:
        base = _base(folder, buildah)
        buildah(
            "bud", "--quiet", "--isolation", "chroot", "--pull-never", "--build-arg", f"BASE={base}",
            "--build-context", f"charts={_charts(folder)}", *_index(folder), "--tag", "localhost/nidus", ".",
        )  # fmt: skip
        said = json.loads(buildah("inspect", "--type", "image", "localhost/nidus"))
        root = buildah("mount", buildah("from", "--pull-never", "localhost/nidus"))
        yield Image(Path(root), said["OCIv1"]["config"], folder)
    finally:
        subprocess.run(["buildah", *store, "umount", "--all"], capture_output=True, timeout=60)
        subprocess.run(["buildah", *store, "rm", "--all"], capture_output=True, timeout=60)
        subprocess.run(["umount", str(folder / "store" / "overlay")], capture_output=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _base(folder: Path, buildah: Any) -> str:
    """An image of this Debian's packages, by its digest: what BASE has to bring is a `python` with pip, and apt."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    made = [
        "mmdebstrap",
        "--quiet",
        "--variant=apt",
        "--include=python3,python3-venv",
        "--dpkgopt=force-unsafe-io",
        suite,
    ]
    subprocess.run(
        [*made, str(folder / "base.tar")], env={**os.environ, "TMPDIR": str(folder)}, check=True, timeout=800
    )
    container = buildah("from", "scratch")
    root = buildah("mount", container)
    subprocess.run(["tar", "-xf", str(folder / "base.tar"), "-C", root, "--exclude=./dev/*"], check=True, timeout=300)
    (folder / "base.tar").unlink()
    subprocess.run(["chroot", root, "python3", "-m", "venv", "/usr/local"], check=True, timeout=300)
    buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
    buildah("commit", "--quiet", "--rm", container, "localhost/base")
    return (
        f"localhost/base@{buildah('inspect', '--type', 'image', '--format', '{{.FromImageDigest}}', 'localhost/base')}"
    )


def _charts(folder: Path) -> Path:
    """The engine's charts are the operator's; one that is enough to be found."""
    chart = folder / "charts" / "vcluster-0.36.1"
    chart.mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: vcluster\nversion: 0.36.1\n")
    return chart.parent


def _index(folder: Path) -> list[str]:
    """What this machine's pip knows of its package index, mounted while the image is built: it is not in it."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    known = dict(line.split("=", 1) for line in listed.stdout.splitlines())
    said = {key.rpartition(".")[2]: value.strip("'") for key, value in known.items()}
    trust = said.get("cert") or os.environ.get("SSL_CERT_FILE", "")
    lines = [f"{key} = {said[key]}" for key in _PIP if key in said] + ([f"cert = {_TRUST}"] if trust else [])
    (folder / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
    mounts = [f"{folder / 'pip.conf'}:/etc/pip.conf:ro"] + ([f"{trust}:{_TRUST}:ro"] if trust else [])
    return [word for one in mounts for word in ("--volume", one)]
