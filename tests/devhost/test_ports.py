"""A port is chosen for one process only, though it is listened on later."""

import subprocess
import sys
from pathlib import Path

import pytest

from devhost import ports
from devhost.errors import HostError


@pytest.fixture(autouse=True)
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty ports to choose from, and nobody else's choices."""
    monkeypatch.setenv("NIDUS_HOST_CACHE", str(tmp_path / "tools"))
    monkeypatch.setattr(ports, "HIGHEST", ports.LOWEST + 40)


def test_two_processes_never_choose_the_same_port() -> None:
    choose = (
        "from devhost import ports; ports.HIGHEST = ports.LOWEST + 40; print(*(ports.free_port() for _ in range(8)))"
    )
    words = [sys.executable, "-c", choose]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    chosen = [int(port) for one in started for port in one.communicate()[0].split()]
    assert len(chosen) == len(set(chosen)) == 24


def test_a_chosen_port_may_be_chosen_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="no free TCP port"):
        for _ in range(41):
            ports.free_port()
    monkeypatch.setattr(ports, "KEPT", 0.0)
    assert ports.free_port()
