"""The session's host without nested control planes, and what runs kubectl on it, for the tests of the host itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devhost import tools
from devhost.hosting import TestHost
from devhost.state import Host

Kubectl = Callable[..., subprocess.CompletedProcess[str]]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bare_host(empty_host: TestHost) -> Host:
    """A running host of three nodes, for tests that keep to namespaces of their own."""
    return empty_host.host


@pytest.fixture
def kubectl(bare_host: Host) -> Kubectl:
    """The built kubectl, as the administrator of the bare host: kubectl("get", "pods", input=None, fails=False)."""

    def call(*arguments: str, input: str | None = None, fails: bool = False) -> subprocess.CompletedProcess[str]:
        common = [f"--kubeconfig={bare_host.kubeconfig}", f"--cache-dir={bare_host.folder / 'kubectl'}"]
        command = [str(tools.find("kubectl")), *common, *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    return call


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, with its default service account."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()[:60]
    kubectl("create", "namespace", name)
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s")
    yield name
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`nidus host` in a process of its own, with further environment variables: command("up", PATH="")."""

    def call(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "devhost", *map(str, arguments)]
        code = str(Path(__file__).parents[2])
        return subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONPATH": code, **environment},
            cwd=tmp_path,
        )

    return call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own with 2 MiB of room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("mounting a small tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
