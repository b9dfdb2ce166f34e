"""The wheel of `nidus-gitops`, as it is built: installed by pip, pipx and uv, it has every verb, its schemas and its files."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import reconciler
import schemas
from reconciler.__main__ import VERBS
from tests.house.documents import ROOT

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wheel")]

NAME = f"nidus_gitops-{reconciler.__version__}-py3-none-any.whl"
Installer = Callable[[Path, Path, Path], Path]


def run(*words: str | Path, cwd: Path, **env: str) -> str:
    """What the command prints; it must end with 0."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    pips = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=kept | pips | env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with what builds and what installs."""
    folder = tmp_path_factory.mktemp("tools")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements-build.txt", cwd=folder)
    run(*pip, "-c", ROOT / "constraints.txt", "uv", "pipx", cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what Git has, and nothing that lies about."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    names = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    run(tools / "python", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", out, source, cwd=out)
    assert [file.name for file in out.iterdir()] == [NAME]
    return out / NAME


def by_pip(tools: Path, wheel: Path, place: Path) -> Path:
    """As the image is made: what it needs from the lock, then the wheel alone."""
    run(sys.executable, "-m", "venv", place, cwd=place)
    pip = (place / "bin" / "python", "-m", "pip", "install", "--quiet")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements.txt", cwd=place)
    run(*pip, "--no-index", "--no-deps", wheel, cwd=place)
    run(place / "bin" / "python", "-m", "pip", "check", cwd=place)
    return place / "bin"


def by_pipx(tools: Path, wheel: Path, place: Path) -> Path:
    where = {"PIPX_HOME": str(place / "home"), "PIPX_BIN_DIR": str(place / "bin"), "PIPX_MAN_DIR": str(place / "man")}
    pins = f"--constraint {ROOT / 'constraints.txt'}"
    run(tools / "pipx", "install", "--python", sys.executable, "--pip-args", pins, f"{wheel}", cwd=place, **where)
    return place / "bin"


def by_uv(tools: Path, wheel: Path, place: Path) -> Path:
    where = {"UV_TOOL_DIR": str(place / "home"), "UV_TOOL_BIN_DIR": str(place / "bin")}
    pins = ("--constraints", ROOT / "constraints.txt")
    run(tools / "uv", "tool", "install", "--python", sys.executable, *pins, wheel, cwd=place, **where)
    return place / "bin"


def test_the_wheel_holds_every_file_and_no_test(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = ("reconciler", "webhook", "dashboard", "schemas", "devhost")
    wanted = set(run("git", "ls-files", *packages, cwd=ROOT).splitlines())
    wanted |= {
        f"devhost/assets/{name}" for name in run("git", "ls-files", "deploy", "sample-repo", cwd=ROOT).splitlines()
    }
    own = {name for name in names if ".dist-info/" not in name}
    assert own == wanted


@pytest.mark.parametrize("how", [by_pip, by_pipx, by_uv], ids=lambda how: how.__name__)
def test_it_works_from_an_empty_folder(how: Installer, tools: Path, wheel: Path, tmp_path: Path) -> None:
    place, empty = tmp_path / "place", tmp_path / "empty"
    place.mkdir()
    empty.mkdir()
    nidus = how(tools, wheel, place) / "nidus"
    assert reconciler.__version__ in run(nidus, "version", cwd=empty)
    assert "usage" in run(nidus.with_name("kubectl-nidus"), "--help", cwd=empty).lower()
    for verb in VERBS:
        assert run(nidus, verb, "--help", cwd=empty).startswith("usage: nidus"), verb
    run(nidus, "schema", "--dir", "schemas", cwd=empty)
    assert {file.name for file in (empty / "schemas").iterdir()} == {f"{kind}.schema.json" for kind in schemas.KINDS}
    run(nidus, "init", "clusters", cwd=empty)
    run(nidus, "validate", "clusters", cwd=empty)
    printed = list(yaml.safe_load_all(run(nidus, "render", "dev", "--folder", "clusters", cwd=empty)))
    assert printed
