"""`nidus kubeconfig`, `connect` and `disconnect` as processes: real forwards, real files, a host in memory on a real socket."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from reconciler.__main__ import main
from reconciler.kube import edge
from reconciler.model import HostConfig
from reconciler.verbs import contexts, forwards
from tests.answering import kubeconfig
from tests.forwarding_memory import MemoryHost, furnished
from tests.memory.server import Server as Memory
from tests.nested_server import NestedServer
from tests.waiting import eventually

CONTEXT = "nidus_red"


@dataclass
class User:
    """A person with a kubeconfig of the host and a home of their own."""

    file: Path
    host: Path
    capsys: pytest.CaptureFixture[str]

    def start(self, verb: str, *words: str) -> subprocess.Popen[str]:
        """A process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", verb, *words, "--kubeconfig", str(self.host)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def nidus(self, verb: str, *words: str, code: int = 0) -> str:
        """In this process; only what holds a forward is another."""
        host = [] if verb == "disconnect" else ["--kubeconfig", str(self.host)]
        assert main([verb, *words, *host]) == code
        told = self.capsys.readouterr()
        return told.out + told.err

    def held(self) -> forwards.Held:
        found = forwards.held(forwards.state_of(self.file, CONTEXT))
        assert found is not None
        return found

    def version(self, context: str = CONTEXT, file: Path | None = None) -> str:
        with closing(edge.host(HostConfig(kubeconfig=str(file or self.file), context=context))) as client:
            return client.version()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[NestedServer]:
    with closing(NestedServer(tmp_path)) as made:
        yield made


@pytest.fixture
def user(
    memory: Memory,
    nested: NestedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[User]:
    furnished(memory, nested)
    with closing(MemoryHost(memory, nested)) as host:
        made = User(tmp_path / "config", kubeconfig(tmp_path, host.url), capsys)
        made.file.write_text(made.host.read_text())
        for name, value in {"KUBECONFIG": made.file, "HOME": tmp_path, "XDG_STATE_HOME": tmp_path / "state"}.items():
            monkeypatch.setenv(name, str(value))
        yield made
        forwards.end(forwards.state_of(made.file, CONTEXT))


def test_connect_and_disconnect(user: User) -> None:
    before = user.file.read_text()
    told = user.nidus("connect", "red")
    pid = user.held().pid
    assert told.startswith(f"context {CONTEXT} written; forward held by pid {pid}\n")
    assert user.version() == "v1.36.0"
    assert user.file.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(user.file.read_text())["current-context"] == "x"
    assert f"process {pid} ended" in user.nidus("disconnect", "red")
    assert forwards.held(forwards.state_of(user.file, CONTEXT)) is None
    assert yaml.safe_load(user.file.read_text()) == yaml.safe_load(before)
    assert "nothing to remove" in user.nidus("disconnect", "red")


def test_a_folder_with_modules_of_our_names_runs_none_of_them(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever works in a clone would run what its author named like a module of ours, or of Python."""
    clone, ran = tmp_path / "clone", tmp_path / "ran"
    for name in ("json.py", "reconciler/__init__.py", "reconciler/verbs/__init__.py", "reconciler/verbs/holder.py"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(f"open({str(ran)!r}, 'a').write(__name__)\nraise SystemExit(1)\n")
    monkeypatch.chdir(clone)
    assert "forward held by pid" in user.nidus("connect", "red") and not ran.exists()


def test_again_changes_nothing(user: User) -> None:
    user.nidus("connect", "red")
    before, held = user.file.read_text(), user.held()
    assert "there are: red" in user.nidus("disconnect", "rde")
    assert f"context {CONTEXT} is there; forward held by pid {held.pid}" in user.nidus("connect", "red")
    assert (user.file.read_text(), user.held()) == (before, held)


def test_two_terminals_at_once_share_one_forward(user: User) -> None:
    both = [user.start("connect", "red") for _ in range(2)]
    told = [one.communicate(timeout=60)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert all(f"held by pid {user.held().pid}" in text for text in told)


def test_a_forward_that_died_is_replaced_on_its_port(user: User) -> None:
    user.nidus("connect", "red")
    before = user.held()
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: forwards.held(forwards.state_of(user.file, CONTEXT)) is None)
    user.nidus("connect", "red")
    after = user.held()
    assert after.pid != before.pid and after.port == before.port
    assert user.version() == "v1.36.0"


def test_a_stranger_with_the_pid_of_before_lives_on(user: User) -> None:
    user.nidus("connect", "red")
    pid = user.held().pid
    os.kill(pid, signal.SIGKILL)
    state = forwards.state_of(user.file, CONTEXT)
    eventually(lambda: forwards.held(state) is None)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        state.write_text(state.read_text().replace(str(pid), str(stranger.pid)))
        assert f"{stranger.pid}" not in user.nidus("disconnect", "red")
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("told", ['{"pid": -1', '{"pid": 0', '{"pid": 1', '{"pid": "2"', '{"pid": 2.5', "[" * 4000])
def test_a_file_of_state_that_names_no_process_ends_none(tmp_path: Path, told: str) -> None:
    """`kill` takes -1 for every process of the user, and 0 for those of this one."""
    state = tmp_path / "state"
    state.write_text(told + ', "port": 1, "host": "a", "namespace": "b"}')
    with state.open() as locked, state.open() as other:
        fcntl.flock(locked, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert forwards.held(state) is None
        assert forwards.end(state) == 0


def test_an_edit_in_between_stays(user: User) -> None:
    user.nidus("connect", "red")
    text = user.file.read_text()
    user.file.write_text("# mine\n" + text.replace('"token": "t"', '"token":   "other"'))
    user.nidus("disconnect", "red")
    assert user.file.read_text().startswith("# mine\n") and '"token":   "other"' in user.file.read_text()


def test_a_cluster_made_anew_gets_its_new_credentials(user: User, memory: Memory, tmp_path: Path) -> None:
    user.nidus("connect", "red")
    (tmp_path / "new").mkdir()
    with closing(NestedServer(tmp_path / "new")) as other:
        furnished(memory, other)
        assert f"context {CONTEXT} written" in user.nidus("connect", "red")
        entry = next(one for one in yaml.safe_load(user.file.read_text())["users"] if one["name"] == CONTEXT)
        assert entry["user"]["client-key-data"] == other.secret["data"]["client-key"]


def test_a_context_of_somebody_else_is_left_alone(user: User) -> None:
    text = user.file.read_text().replace('"name": "x"', f'"name": "{CONTEXT}"', 3)
    user.file.write_text(text)
    assert "did not write" in user.nidus("disconnect", "red", code=1)
    assert "did not write" in user.nidus("connect", "red", code=1)
    assert "nothing to remove" in user.nidus("disconnect", "--all")
    assert user.file.read_text() == text


def test_a_public_address_needs_no_forward_unless_asked(user: User, memory: Memory, nested: NestedServer) -> None:
    furnished(memory, nested, endpoint="https://red.nowhere.invalid")
    told = user.nidus("connect", "red")
    assert "it leads to https://red.nowhere.invalid" in told
    assert "does not resolve on this machine: nidus connect red --forward" in told
    assert "forward held by pid" in user.nidus("connect", "red", "--forward")
    assert user.version() == "v1.36.0"
    printed = user.nidus("kubeconfig", "red")
    assert "server: https://red.nowhere.invalid" in printed and "kubeconfig red --forward reaches" in printed


def test_a_held_kubeconfig_says_by_whom_and_until_when(user: User, tmp_path: Path) -> None:
    process = user.start("kubeconfig", "red", "--hold")
    assert process.stdout is not None and process.stderr is not None
    printed, told = process.stdout.read(), process.stderr.readline()
    assert printed.startswith(f"# Works only while process {process.pid} (nidus kubeconfig) runs on this machine.\n")
    assert f"held on port {yaml.safe_load(printed)['clusters'][0]['cluster']['server'][-5:]}" in told.replace(":", "")
    assert f"pid {process.pid}, until Ctrl-C" in told
    file = tmp_path / "printed"
    file.write_text(printed)
    assert user.version("red", file) == "v1.36.0"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.communicate()


def test_no_such_cluster_leaves_the_file_alone(user: User) -> None:
    before = user.file.read_text()
    assert "no nested cluster blue" in user.nidus("connect", "blue", code=1)
    assert user.file.read_text() == before


def test_a_lock_of_kubectl_is_waited_for(user: User) -> None:
    lock = user.file.with_name(user.file.name + ".lock")
    lock.touch()
    connecting = user.start("connect", "red")
    eventually(lambda: forwards.held(forwards.state_of(user.file, CONTEXT)) is not None)
    threading.Timer(0.2, lock.unlink).start()
    assert connecting.communicate(timeout=60)[0].startswith(f"context {CONTEXT} written")


def test_a_lock_that_stays_is_named(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "LOCK_SECONDS", 0.1)
    user.file.with_name(user.file.name + ".lock").touch()
    assert f"{user.file}.lock is there" in user.nidus("connect", "red", code=1)
