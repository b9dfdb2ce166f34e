"""What a release carries (`make dist`), made of what Git has: wheel, chart, install.yaml, bill of materials, checksums."""

import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

import reconciler
from devhost import build, tools
from tests import installed
from tests.house.documents import ROOT
from tests.house.test_supply import blocks, pins

pytestmark = [pytest.mark.long, pytest.mark.timeout(900), pytest.mark.xdist_group("wheel")]

ENVIRONMENTS = (
    ".venv/.installed",
    ".venv/supply/.installed",
)  # their commands name the folder that they were installed in
NAME, DIGEST = "ghcr.io/acme/nidus", "sha256:" + "0a" * 32
WHEEL = f"nidus_gitops-{reconciler.__version__}-py3-none-any.whl"
CHART = f"nidus-{reconciler.__version__}.tgz"
BILL = f"nidus-{reconciler.__version__}.cdx.json"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after `make dist`, in a copy of the repository that has the environments of this one."""
    build.build(["helm"])
    copy = tmp_path_factory.mktemp("release")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    subprocess.run(["make", *ENVIRONMENTS], cwd=ROOT, capture_output=True, timeout=400, check=True)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    made = ["make", "dist", f"IMAGE={NAME}@{DIGEST}", f"HELM={tools.find('helm')}"]
    made += [f"--old-file={one}" for one in ENVIRONMENTS]
    done = subprocess.run(made, cwd=copy, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-4000:])
    return copy / "dist"


def test_it_is_whole_and_its_checksums_are_of_all(dist: Path) -> None:
    names = {file.name for file in dist.iterdir()}
    assert names == {WHEEL, CHART, BILL, "install.yaml", "SHA256SUMS"}
    told = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert {line.partition(":")[0] for line in told.stdout.splitlines()} == names - {"SHA256SUMS"}


def test_chart_and_file_name_the_image_by_its_digest(dist: Path, tmp_path: Path) -> None:
    found = installed.read((dist / "install.yaml").read_text())
    (deployment,) = (one for one in found if one["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"{NAME}@{DIGEST}"
    with tarfile.open(dist / CHART) as archive:
        archive.extractall(tmp_path, filter="data")
    values = yaml.safe_load((tmp_path / "nidus" / "values.yaml").read_text())
    assert (values["image"]["repository"], values["image"]["digest"]) == (NAME, DIGEST)
    rendered = subprocess.run(
        [tools.find("helm"), "template", "nidus", dist / CHART, "--namespace", "nidus-system", "--kube-version", "v1.36.0"],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, check=True,
    ).stdout  # fmt: skip
    assert f"{NAME}@{DIGEST}" in rendered


def test_the_bill_of_materials_is_of_the_lock(dist: Path) -> None:
    bill = json.loads((dist / BILL).read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == (
        "nidus-gitops",
        reconciler.__version__,
    )
    listed = {canonicalize_name(one["name"]): one["version"] for one in bill["components"]}
    locked = pins(blocks("requirements.txt"))
    assert listed and listed.items() <= locked.items()
    left_out = {line.partition("==")[0] for line in blocks("requirements.txt") if " ; " in line}  # of other platforms
    assert locked.keys() - listed.keys() <= {canonicalize_name(one.partition("[")[0]) for one in left_out}


def test_the_wheel_is_of_this_version(dist: Path) -> None:
    with zipfile.ZipFile(dist / WHEEL) as archive:
        assert archive.testzip() is None
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert f"\nVersion: {reconciler.__version__}\n" in archive.read(metadata).decode()
