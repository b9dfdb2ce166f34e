"""pytest fixtures over embedded hosts; loaded by `pytest_plugins = ["devhost.fixtures"]` in tests/conftest.py.

`host` (a plane behind every engine), `shared_host` (one plane behind all) and `empty_host` (none) each start at their
first use and are shared by all workers of a run; `fresh_host` starts hosts for one test, to be broken. The hosts are
children of the process that runs pytest and end with it, killed or not. `account` is the controller as it is installed:
its own namespaces, service account and the shipped RBAC, for one test.
"""

from __future__ import annotations

import os
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from devhost import hosting, layout, lifecycle
from devhost.account import Account, open_account
from devhost.audit import Audit
from devhost.errors import HostError
from devhost.hosting import TestHost

ROOT: Final = pytest.StashKey[Path]()
RBAC: Final = "deploy/rbac.yaml"
LOG_LINES: Final = 15


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> TestHost:
    """The session's host whose engines have a control plane each; for a dozen nested clusters at a time."""
    return _session_host(request.config, "own")


@pytest.fixture(scope="session")
def shared_host(request: pytest.FixtureRequest) -> TestHost:
    """The session's host whose engines share one control plane; for hundreds, in namespaces prefixed by their names."""
    return _session_host(request.config, "shared")


@pytest.fixture(scope="session")
def empty_host(request: pytest.FixtureRequest) -> TestHost:
    """The session's host with nothing behind engines: their pods just become ready."""
    return _session_host(request.config, "none")


@pytest.fixture
def fresh_host(request: pytest.FixtureRequest) -> Iterator[Callable[..., TestHost]]:
    """A function that starts a host for this test alone; its arguments are those of `lifecycle.up` but the folder."""
    started: list[TestHost] = []

    def start(**wish: Any) -> TestHost:
        folder = _root(request.config) / f"fresh-{os.getpid()}-{id(started)}-{len(started)}"
        started.append(hosting.start(folder, **({"nodes": 1, "nested": "none"} | wish)))
        request.node.user_properties.append(("host", str(folder)))
        return started[-1]

    yield start
    for one in started:
        lifecycle.down(one.folder)


@pytest.fixture(scope="session")
def rbac_manifests(request: pytest.FixtureRequest) -> Path:
    """The manifests `account` installs: deploy/rbac.yaml; override it to test others."""
    return request.config.rootpath / RBAC


@pytest.fixture
def account(request: pytest.FixtureRequest, rbac_manifests: Path) -> Iterator[Account]:
    """The controller's account on the host of this test: the one fixture of `shared_host`, `empty_host`, `host` it uses."""
    name = next((one for one in ("shared_host", "empty_host") if one in request.fixturenames), "host")
    opened = open_account(request.getfixturevalue(name), rbac_manifests)
    yield opened
    opened.close()


@pytest.fixture
def audit(account: Account) -> Audit:
    """What was asked of the host from the beginning of this test on; `audit.writes(account.user)`."""
    return account.hosted.audit


def pytest_configure(config: pytest.Config) -> None:
    """Learn from the run's main process where the hosts are."""
    given = getattr(config, "workerinput", {}).get("nidus_root")
    if given:
        config.stash[ROOT] = Path(given)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the hosts are, and start what starts them when workers ask."""
    if ROOT not in node.config.stash:
        _serve(_root(node.config))
    node.workerinput["nidus_root"] = str(_root(node.config))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the end of each component's log to a failing test."""
    report = yield
    if report.failed:
        for folder in _folders(item):
            for log in sorted(layout.logs(folder).rglob("*.log")):
                report.sections.append((f"{folder.name}: {log.name}", _tail(log)))
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the hosts of the run; workers leave that to the main process."""
    root = config.stash.get(ROOT, None)
    if root is None or hasattr(config, "workerinput"):
        return
    for folder in root.iterdir():
        if folder.is_dir():
            lifecycle.down(folder)
    shutil.rmtree(root, ignore_errors=True)


def _root(config: pytest.Config) -> Path:
    if ROOT not in config.stash:
        config.stash[ROOT] = Path(tempfile.mkdtemp(prefix="nidus-"))
    return config.stash[ROOT]


def _session_host(config: pytest.Config, nested: str) -> TestHost:
    root = _root(config)
    if hasattr(config, "workerinput"):
        hosting.ask(root / "starter.sock", nested)
        return hosting.found(root / nested)
    return hosting.start_session(root, nested)


def _serve(root: Path) -> None:
    """Start session hosts when a worker asks: a tied host would end with the worker that started it, too early."""
    guard = threading.Lock()

    class Starter(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            nested = self.rfile.readline().decode().strip()
            try:
                with guard:
                    hosting.start_session(root, nested)
                self.wfile.write(b"\n")
            except HostError as error:
                self.wfile.write(f"{error}\n".encode())

    server = socketserver.ThreadingUnixStreamServer(str(root / "starter.sock"), Starter)
    threading.Thread(target=server.serve_forever, name="starter", daemon=True).start()


def _folders(item: pytest.Item) -> list[Path]:
    used = getattr(item, "funcargs", {}).values()
    hosts = [one.hosted if isinstance(one, Account) else one for one in used if isinstance(one, Account | TestHost)]
    fresh = [Path(str(value)) for name, value in item.user_properties if name == "host"]
    return list(dict.fromkeys([one.folder for one in hosts] + fresh))


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join(line[:300] for line in lines)
