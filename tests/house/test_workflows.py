"""The workflows of the forge: each action by its commit, few rights, nothing of an event inside a script; and what a release carries."""

import hashlib
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost import build, tools
from devhost.pins import build_of
from schemas import install
from tests import installed
from tests.house.documents import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DIST: dict[str, Any] = runpy.run_path(str(ROOT / ".ci" / "dist.py"))
IMAGE = "ghcr.io/acme/nidus@sha256:" + "0a" * 32


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(file.read_text())["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_action_is_named_by_its_commit(file: Path) -> None:
    for step in steps(file):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + "0" * 40)), step
    assert "${{" not in "".join(step.get("run", "") for step in steps(file)), "values come as variables"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_rights_are_given_to_jobs_and_no_more_than_needed(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    given = {right for job in workflow["jobs"].values() for right in job["permissions"].items()}
    assert given == {("contents", "write"), ("packages", "write")}
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())


def test_make_targets_of_the_workflows_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {
        word for file in FILES for step in steps(file) for word in re.findall(r"\bmake ([a-z]+)", step.get("run", ""))
    }
    assert {"audit", "dist", "image", "version"} <= called <= targets


def test_the_chart_of_the_engine_is_taken_by_its_digest_alone(tmp_path: Path) -> None:
    """The very recipe, with a helm that gives an archive: another one than was named is not unpacked."""
    (tmp_path / "vcluster").mkdir()
    (tmp_path / "vcluster" / "Chart.yaml").write_text("name: vcluster\n")
    subprocess.run(["tar", "-czf", "given.tgz", "vcluster"], cwd=tmp_path, check=True)
    helm = tmp_path / "helm"
    helm.write_text(f'#!/bin/sh\ncp {tmp_path}/given.tgz "$8/vcluster-$6.tgz"\n')
    helm.chmod(0o755)
    digest = hashlib.sha256((tmp_path / "given.tgz").read_bytes()).hexdigest()
    for asked, code in (("0" * 64, 2), (digest, 0)):
        given = [f"HELM={helm}", "ENGINE=0.36.1", f"ENGINE_CHART_SHA256={asked}", "-f", str(ROOT / "Makefile")]
        done = subprocess.run(["make", "charts", *given], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, (tmp_path / "charts" / "vcluster-0.36.1" / "Chart.yaml").exists()) == (
            code,
            not code,
        ), done.stderr


def test_the_version_is_what_make_says() -> None:
    chart = yaml.safe_load((install.CHART / "Chart.yaml").read_text())
    told = subprocess.run(["make", "-s", "version"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.strip() == chart["version"]


def test_the_released_chart_names_the_image_by_its_digest(tmp_path: Path) -> None:
    chart = DIST["released"](IMAGE, tmp_path)
    found = installed.read(install.installed(chart))
    (image,) = [
        one["spec"]["template"]["spec"]["containers"][0]["image"] for one in found if one["kind"] == "Deployment"
    ]
    assert image == IMAGE
    assert (install.CHART / "values.yaml").read_text() != (chart / "values.yaml").read_text()


@pytest.mark.parametrize("image", ["nidus", "nidus:1", "nidus@sha256:1", "a b@sha256:" + "0" * 64, ""])
def test_an_image_without_a_digest_is_none(image: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no NAME@sha256:DIGEST"):
        DIST["released"](image, tmp_path)


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    for name in ("b.whl", "a.tgz"):
        (tmp_path / name).write_text(name)
    text = DIST["sums"](tmp_path)
    (tmp_path / "SHA256SUMS").write_text(text)
    assert DIST["sums"](tmp_path) == text
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.long
def test_actionlint_finds_nothing() -> None:
    if tools.locate("actionlint") is None:
        build.build([build_of("actionlint").name])
    found = subprocess.run([tools.find("actionlint"), *FILES], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")
    wrong = yaml.safe_load(FILES[0].read_text())
    wrong["jobs"]["release"]["runs-on"] = "ubuntu-of-nowhere"
    told = subprocess.run([tools.find("actionlint"), "-"], input=yaml.safe_dump(wrong), capture_output=True, text=True)
    assert told.returncode == 1, "it finds what is wrong"
