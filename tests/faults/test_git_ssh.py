"""A source over ssh, from a real sshd: one key, one pinned host key, both read anew for each fetch (K15, F27, F28)."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.errors import Stalled, Unavailable
from reconciler.model import Credentials, Limits, SourceConfig
from reconciler.source.mirror import Mirror
from tests.faults.ssh_server import PROGRAM, SshServer, key
from tests.test_source_mirror import Work

pytestmark = pytest.mark.skipif(
    PROGRAM is None or shutil.which("ssh") is None, reason="needs sshd and ssh (openssh-server, openssh-client)"
)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit({"clusters/a.yaml": "a: 1\n"})
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    made = SshServer(tmp_path / "sshd")
    yield made
    made.stop()


@pytest.fixture
def mine(server: SshServer, tmp_path: Path) -> Credentials:
    """A key that the server takes, and its host key pinned; as mounted files."""
    identity, hosts = key(tmp_path / "identity"), tmp_path / "known_hosts"
    server.allowed.write_text(identity.with_suffix(".pub").read_text())
    identity.with_suffix(
        ".pub"
    ).unlink()  # a mounted Secret has the private key alone; ssh would offer what stands in a .pub beside it
    hosts.write_text(server.known())
    return Credentials(ssh_key_file=str(identity), known_hosts_file=str(hosts))


@pytest.fixture
def mirror(work: Work, server: SshServer, mine: Credentials, tmp_path: Path) -> Iterator[Mirror]:
    source = SourceConfig(name="s", url=f"{server.url}{work.folder}", credentials=mine)
    made = Mirror.open(source, tmp_path / "mirror", deadline=60.0, limits=Limits())
    yield made
    made.close()


def reason(fetch: Callable[[], object]) -> str:
    with pytest.raises((Stalled, Unavailable)) as caught:
        fetch()
    assert "PRIVATE" not in caught.value.told
    return caught.value.reason


def test_fetches_and_sees_pushes(work: Work, mirror: Mirror) -> None:
    first = mirror.fetch()
    assert list(mirror.tree(first.commit).files) == ["clusters/a.yaml"]
    assert mirror.fetch().commit == first.commit
    second = work.commit({"clusters/b.yaml": "b: 1\n"})
    assert mirror.fetch().commit == second


def test_another_host_key_is_refused_until_it_is_pinned(server: SshServer, mine: Credentials, mirror: Mirror) -> None:
    """As after an attack on the way, or a new machine: what was fetched stands, and a mounted file is read anew."""
    before = mirror.fetch().commit
    server.stop()
    key(server.host_key)
    server.start()
    assert reason(mirror.fetch) == "HostKeyChanged"
    Path(mine.known_hosts_file).write_text("")
    assert reason(mirror.fetch) == "HostKeyChanged", "a host that nobody pinned is not trusted at first sight"
    head = mirror.head()
    assert head is not None and head.commit == before
    Path(mine.known_hosts_file).write_text(server.known())
    assert mirror.fetch().commit == before


def test_a_key_is_rotated_without_a_restart(
    server: SshServer, mine: Credentials, mirror: Mirror, tmp_path: Path
) -> None:
    mirror.fetch()
    other = key(tmp_path / "other")
    server.allowed.write_text(other.with_suffix(".pub").read_text())
    assert reason(mirror.fetch) == "AccessDenied"
    shutil.copy(other, mine.ssh_key_file)
    mirror.fetch()
    Path(mine.ssh_key_file).unlink()
    assert reason(mirror.fetch) == "AccessDenied", "no key of the account is tried instead"


def test_a_repository_that_is_not_there_and_a_server_that_is_gone(
    server: SshServer, mine: Credentials, tmp_path: Path
) -> None:
    source = SourceConfig(name="s", url=f"{server.url}{tmp_path}/missing.git", credentials=mine)
    opened = Mirror.open(source, tmp_path / "mirror", deadline=60.0, limits=Limits())
    assert reason(opened.fetch) == "RepositoryMissing"
    server.stop()
    assert reason(opened.fetch) == "Unreachable"
    opened.close()
