"""What people run at their desks needs nothing that only Linux has: the verbs run as processes from which it is taken away.

A machine with another kernel is not at hand here. What Linux has and macOS has not is made to fail as it fails there, in
the verb's process, in its render workers and in the process that holds a forward.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.verbs import forwards
from tests.answering import kubeconfig
from tests.forwarding_memory import MemoryHost, furnished
from tests.house.documents import ROOT
from tests.memory.server import Server as Memory
from tests.nested_server import NestedServer

HELM = next(path for place in sys.path for path in Path(place).glob("helm*/**/libhelm*.so"))
TAKEN = """
import builtins, ctypes, io, os, platform, resource, select, signal, sys, sysconfig
sysconfig.get_config_vars()  # those of this interpreter: it was built for Linux
os.environ["HELM_C_LIB"] = {helm!r}  # the library of the wheel is the one for Linux
sys.platform = "darwin"
platform.system = lambda: "Darwin"
sys.modules["_scproxy"] = type(sys)("_scproxy")
sys.modules["_scproxy"]._get_proxy_settings = dict
sys.modules["_scproxy"]._get_proxies = dict
sys.modules["watchdog.observers.inotify"] = sys.modules["watchdog.observers.inotify_c"] = None
for module, names in {
    os: "eventfd eventfd_read eventfd_write memfd_create pidfd_open setns unshare splice copy_file_range sendfile "
        "sched_getaffinity sched_setaffinity getrandom posix_fallocate posix_fadvise O_TMPFILE O_PATH",
    select: "epoll", resource: "prlimit", signal: "pidfd_send_signal sigtimedwait",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
import pathlib
_open, _setrlimit, _getattr = io.open, resource.setrlimit, ctypes.CDLL.__getattr__
def opened(file, *rest, **more):
    if isinstance(file, (str, os.PathLike)) and os.fspath(file).startswith(("/proc", "/sys")):
        raise FileNotFoundError(2, "No such file or directory", os.fspath(file))
    return _open(file, *rest, **more)
builtins.open = io.open = opened
def limited(limit, value):
    if limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        raise ValueError("current limit exceeds maximum limit")
    _setrlimit(limit, value)
resource.setrlimit = limited
def called(library, name):
    if name in ("unshare", "prctl", "setns", "syscall", "seccomp"):
        raise AttributeError(f"dlsym(RTLD_DEFAULT, {name}): symbol not found")
    return _getattr(library, name)
ctypes.CDLL.__getattr__ = called
"""
VERB = """
import sys
exec(open({taken!r}).read())
from reconciler.packs import process
process._START = open({taken!r}).read() + process._START
from reconciler.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder whose sitecustomize takes it away from every process of Python that starts with it on its path."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(TAKEN.replace("{helm!r}", repr(str(HELM))))
    return folder


def nidus(elsewhere: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    program = VERB.format(taken=str(elsewhere / "sitecustomize.py"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(elsewhere), str(ROOT)))} | env
    return subprocess.run(
        [sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True, timeout=120
    )


def test_it_is_taken_away(elsewhere: Path) -> None:
    program = "import os, sys, ctypes; print(sys.platform, hasattr(os, 'eventfd')); open('/proc/self/statm')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(elsewhere)}, capture_output=True, text=True
    )
    assert done.stdout == "darwin False\n" and "FileNotFoundError" in done.stderr


def test_validate_and_render(elsewhere: Path) -> None:
    done = nidus(elsewhere, "validate", str(ROOT / "sample-repo"))
    assert done.returncode == 0, done.stderr
    done = nidus(elsewhere, "render", "team-a-dev", "web-stack/web", "--folder", str(ROOT / "sample-repo"))
    assert done.returncode == 0, done.stderr
    assert "kind: Deployment" in done.stdout
    assert "without confinement" in done.stderr


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    memory = Memory()
    with closing(NestedServer(tmp_path)) as nested:
        furnished(memory, nested)
        with closing(MemoryHost(memory, nested)) as made:
            yield kubeconfig(tmp_path, made.url)


def test_status_and_plan(elsewhere: Path, host: Path, tmp_path: Path) -> None:
    done = nidus(elsewhere, "status", "-o", "json", KUBECONFIG=str(host))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    chart = str(ROOT / "devhost" / "chart")
    planned = tmp_path / "planned"
    assert nidus(elsewhere, "init", str(planned)).returncode == 0
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.invalid"]
    subprocess.run([*git, "add", "--all"], cwd=planned, check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], cwd=planned, check=True)
    done = nidus(elsewhere, "plan", str(planned), KUBECONFIG=str(host), NIDUS_ENGINE_CHART=chart)
    assert done.returncode == 0, done.stderr
    assert "to create" in done.stdout and "confinement" in done.stderr


def test_connect_and_disconnect(elsewhere: Path, host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = nidus(elsewhere, "connect", "red", "--kubeconfig", str(host), KUBECONFIG=str(file))
    assert done.returncode == 0, done.stderr
    held = forwards.held(forwards.state_of(file, "nidus_red"))
    assert held is not None and f"forward held by pid {held.pid}" in done.stdout
    done = nidus(elsewhere, "disconnect", "red", KUBECONFIG=str(file))
    assert done.returncode == 0 and f"process {held.pid} ended" in done.stdout, done.stderr
