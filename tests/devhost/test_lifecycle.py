"""A host starts, is found, ends and leaves nothing; obstacles are removed or reported in one sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devhost import claims, layout, lifecycle, programs, state
from devhost.errors import HostError
from devhost.state import Host
from tests.devhost import traces
from tests.devhost.conftest import Command

pytestmark = pytest.mark.host


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A host's folder, taken down at the end whatever happened."""
    place = tmp_path / "host"
    yield place
    if (place / layout.MARK).exists():
        lifecycle.down(place)


def start(folder: Path) -> Host:
    return lifecycle.up(folder, nodes=1, nested="none", tied=True)


def assert_no_trace(folder: Path, host: Host) -> None:
    assert traces.until(lambda: not traces.processes(folder)), traces.processes(folder)
    assert traces.until(lambda: not traces.listeners(host.ports.values())), traces.listeners(host.ports.values())
    assert traces.mounts(folder) == []


def test_up_status_up_again_down(folder: Path, command: Command, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    for path in home.values():
        Path(path).mkdir()
    environment = {**home, "NIDUS_HOST_DIR": str(folder), "NIDUS_HOST_CACHE": str(lifecycle.tools.cache())}
    made = command("up", "--nodes", "1", "--nested", "none", **environment)
    assert made.returncode == 0, made.stderr
    host = lifecycle.find(folder)
    assert host is not None
    again = command("up", **environment)
    assert (again.returncode, again.stdout) == (0, made.stdout)
    rows = json.loads(command("status", "-o", "json", **environment).stdout)
    assert [row["component"] for row in rows] == ["supervisor", *NAMES]
    assert {row["state"] for row in rows} == {"running"} and all(row["memory"] > 2**20 for row in rows)
    assert "kube-apiserver" in command("status", **environment).stdout
    assert command("kubeconfig", **environment).stdout.strip() == str(folder / "kubeconfig")
    assert command("down", **environment).returncode == 0
    assert not folder.exists()
    assert_no_trace(folder, host)
    assert [list(Path(path).iterdir()) for path in home.values()] == [[], []]


NAMES = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"]


def test_nothing_runs(command: Command, folder: Path) -> None:
    assert command("status", "--dir", folder).returncode == 1
    told = command("kubeconfig", "--dir", folder)
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert command("down", "--dir", folder).returncode == 0


@pytest.mark.long
def test_what_was_killed_is_started_again_and_down_ends_what_is_paused(folder: Path) -> None:
    host = start(folder)
    pids = {row.component: row.pid for row in lifecycle.status(folder)}
    for name in ("etcd", "kube-apiserver"):
        os.kill(pids[name], signal.SIGKILL)
        assert traces.until(lambda name=name: states(folder)[name] == "exited")
    assert start(folder) == host
    assert set(states(folder).values()) == {"running"}
    os.kill(host.supervisor, signal.SIGKILL)  # which takes all with it
    assert_no_trace(folder, host)
    assert lifecycle.find(folder) is None and lifecycle.status(folder) == []
    healed = start(folder)
    assert healed.supervisor != host.supervisor
    assert healed.ports == host.ports
    os.kill(lifecycle.status(folder)[1].pid, signal.SIGSTOP)
    assert traces.until(lambda: states(folder)["etcd"] == "paused")
    lifecycle.down(folder)
    assert_no_trace(folder, healed)


def states(folder: Path) -> dict[str, str]:
    return {row.component: row.state for row in lifecycle.status(folder)}


@pytest.mark.long
def test_stale_locks_and_half_written_folder_heal(folder: Path) -> None:
    host = start(folder)
    lifecycle.down(folder, keep=True)
    assert_no_trace(folder, host)
    for lock in (layout.start_lock(folder), layout.supervisor_lock(folder), layout.control(folder)):
        lock.unlink(missing_ok=True)
        lock.write_text("4194304\n")
    (host.pki / "complete").unlink()
    (host.pki / "ca.key").write_text("-----BEGIN")
    layout.state(folder).write_text('{"host": {"fold')
    assert start(folder).server


@pytest.mark.long
def test_taken_port_is_passed_over(folder: Path) -> None:
    host = start(folder)
    lifecycle.down(folder, keep=True)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", host.ports["kube-apiserver"]))
        other.listen()
        assert start(folder).ports["kube-apiserver"] != host.ports["kube-apiserver"]


def test_port_taken_while_starting_is_told(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = {"kube-apiserver": [f"--secure-port={other.getsockname()[1]}"]}
        with pytest.raises(HostError, match=r"^kube-apiserver ended while starting: .*address already in use"):
            lifecycle.up(folder, nested="none", extra_flags=taken, tied=True)
    assert traces.until(lambda: not traces.processes(folder))


def test_folder_of_others_is_left_alone(folder: Path, command: Command) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    for verb in ("up", "down"):
        told = command(verb, "--dir", folder)
        assert told.returncode == 1 and told.stderr.count("\n") == 1 and str(folder) in told.stderr
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_full_disk_is_told(small_disk: Path, command: Command) -> None:
    told = command("up", "--dir", small_disk / "host")
    assert told.returncode == 1
    assert told.stderr.startswith("a host needs 200 MiB free in ") and told.stderr.count("\n") == 1


def test_disk_that_fills_up_is_told(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "ROOM", 0)
    folder = small_disk / "host"
    with pytest.raises(HostError, match=r"[Nn]o space left on device"):
        lifecycle.up(folder, nested="none", tied=True)
    assert traces.until(lambda: not traces.processes(folder))
    lifecycle.down(folder)


def test_unknown_audit_pattern_is_told(folder: Path) -> None:
    with pytest.raises(HostError, match=r"^audit: joe\* is neither"):
        lifecycle.up(folder, nested="none", audit=["joe*"])


def test_tied_host_ends_with_its_caller(folder: Path) -> None:
    line = [sys.executable, "-m", "devhost", "up", "--foreground", "--nodes=1", "--nested=none", "--dir", str(folder)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as caller:
        assert caller.stdout is not None and caller.stdout.readline().startswith("ready at https://127.0.0.1:")
        host = lifecycle.find(folder)
        caller.kill()
    assert host is not None
    assert_no_trace(folder, host)


@pytest.mark.long
def test_foreground_goes_down_on_a_signal(folder: Path) -> None:
    line = [sys.executable, "-m", "devhost", "up", "--foreground", "--nodes=1", "--nested=none", "--dir", str(folder)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as caller:
        assert caller.stdout is not None and caller.stdout.readline().startswith("ready at")
        caller.terminate()
        assert caller.wait(timeout=60) == 0
    assert not folder.exists() and not traces.processes(folder)


@pytest.mark.long
def test_hosts_side_by_side(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    ups = [[sys.executable, "-m", "devhost", "up", "--nodes=1", "--nested=none", "--dir", str(one)] for one in folders]
    running = [subprocess.Popen(line, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2]) for line in ups]
    try:
        assert [process.wait(timeout=90) for process in running] == [0, 0, 0]
        states = [state.read(one) for one in folders]
        ports = [port for one in states if one is not None for port in one.host.ports.values()]
        assert len(ports) == len(set(ports)) == 18
    finally:
        for one in folders:
            lifecycle.down(one)
    assert not traces.processes(tmp_path)


@pytest.mark.long
def test_many_ups_at_once_start_one_host(folder: Path) -> None:
    line = [sys.executable, "-m", "devhost", "up", "--nodes=1", "--nested=none", "--dir", str(folder)]
    root = Path(__file__).parents[2]
    calls = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(4)]
    said = {call.communicate(timeout=90)[0] for call in calls}
    assert len(said) == 1 and said.pop().startswith("ready at ")
    assert len([line for line in traces.processes(folder) if "devhost.supervisor" in line]) == 1


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_cycles_and_five_kills_leave_nothing(folder: Path, tmp_path: Path) -> None:
    """Every second host ends by a kill before it is started again and taken down."""
    for number in range(10):
        host = lifecycle.up(folder)
        if number % 2:
            os.kill(host.supervisor, signal.SIGKILL)
            assert_no_trace(folder, host)
            assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        lifecycle.down(folder)
        assert not folder.exists()
        assert_no_trace(folder, host)


def test_a_program_that_cannot_be_started_again_did_not_fall(tmp_path: Path) -> None:
    """As on a full machine: it is started once it can be."""
    place, made = tmp_path / "logs", programs.Programs(lambda: None)
    serve = threading.Thread(target=made.serve, daemon=True)
    serve.start()
    first = made.start(programs.Program("sleep", ("sleep", "1000"), place / "log", again=True))
    made.finish()
    serve.join()
    made._closed = False
    place.rename(tmp_path / "away")
    place.write_text("")  # no log can be opened
    os.kill(first, signal.SIGKILL)
    made._child("sleep").process.wait()
    for _ in range(programs.FALLS + 2):
        made._reap()
    assert made.lost() == ()
    place.unlink()
    made._reap()
    assert made.pid("sleep") not in (None, first)
    made.stop("sleep")
