"""A source over HTTPS: the error for each fault of a server; none looks like an empty repository (F10, F26-F29)."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.model import Credentials, Limits, SourceConfig
from reconciler.source.mirror import Mirror
from tests.faults.git_server import GitServer, certificate
from tests.test_source_mirror import ENV, Work

Open = Callable[..., Mirror]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit({"clusters/a.yaml": "a: 1\n"})
    (tmp_path / "served").mkdir()
    bare = tmp_path / "served" / "platform.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(made.folder), str(bare)], env=ENV, check=True, timeout=60)
    made.git("remote", "add", "origin", str(bare))
    return made


@pytest.fixture
def server(work: Work, tmp_path: Path) -> Iterator[GitServer]:
    started = GitServer(tmp_path / "served", tmp_path / "tls")
    yield started
    started.close()


@pytest.fixture
def opened(server: GitServer, tmp_path: Path) -> Iterator[Open]:
    mirrors: list[Mirror] = []

    def open_(path: str = "/platform.git", *, deadline: float = 30.0, url: str = "", **credentials: str) -> Mirror:
        given = Credentials(**({"ca_file": str(server.ca)} | credentials))
        source = SourceConfig(name="s", url=url or server.url + path, credentials=given)
        mirrors.append(Mirror.open(source, tmp_path / f"mirror{len(mirrors)}", deadline=deadline, limits=Limits()))
        return mirrors[-1]

    yield open_
    for mirror in mirrors:
        mirror.close()


def reason(work: Callable[[], object], kind: type[NidusError]) -> str:
    with pytest.raises(kind) as caught:
        work()
    assert type(caught.value) is kind
    return caught.value.reason


def test_fetches_over_https_and_sees_pushes(work: Work, opened: Open) -> None:
    mirror = opened()
    first = mirror.fetch()
    assert list(mirror.tree(first.commit).files) == ["clusters/a.yaml"]
    second = work.commit({"clusters/b.yaml": "b"})
    work.git("push", "-q", "origin", "main")
    assert mirror.fetch().commit == second
    assert mirror.descends(first.commit, second)


def test_credentials_are_sent_only_from_the_file_and_read_each_time(
    server: GitServer, opened: Open, tmp_path: Path
) -> None:
    server.token = "robot:right"
    token = tmp_path / "token"
    token.write_text("wrong\n")
    mirror = opened(username="robot", token_file=str(token))
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.reason == "AccessDenied"
    assert "wrong" not in caught.value.message
    token.write_text("right\n")
    mirror.fetch()
    token.unlink()
    assert reason(mirror.fetch, Stalled) == "AccessDenied"
    assert mirror.head() is not None


def test_without_credentials_nothing_is_asked_and_nothing_waits(server: GitServer, opened: Open) -> None:
    server.token = "robot:right"
    assert reason(opened().fetch, Stalled) == "AccessDenied"


def test_redirects_are_not_followed_and_carry_no_credentials(server: GitServer, opened: Open, tmp_path: Path) -> None:
    other = GitServer(tmp_path / "served", tmp_path / "other")
    (tmp_path / "token").write_text("secret")
    server.status, server.location = 302, f"{other.url}/platform.git/info/refs?service=git-upload-pack"
    assert reason(opened(token_file=str(tmp_path / "token")).fetch, Stalled) == "Redirected"
    assert other.requests == []
    other.close()


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [(403, Stalled, "AccessDenied"), (404, Stalled, "RepositoryMissing"), (429, Unavailable, "Unreachable"),
     (500, Unavailable, "Unreachable"), (503, Unavailable, "Unreachable"), (301, Stalled, "Redirected"),
     (200, Stalled, "RefMissing")],
)  # fmt: skip
def test_answers_of_a_server(
    server: GitServer, opened: Open, status: int, kind: type[NidusError], expected: str
) -> None:
    mirror = opened()
    held = mirror.fetch()
    server.status = status  # 200: a proxy's page, which git takes for the list of refs of a very old server
    assert reason(mirror.fetch, kind) == expected
    assert mirror.head() == held
    server.status = 0
    assert mirror.fetch() == held


def test_repository_that_is_not_there(opened: Open) -> None:
    assert reason(opened("/other.git").fetch, Stalled) == "RepositoryMissing"


def test_certificate_of_another_authority(opened: Open, tmp_path: Path) -> None:
    certificate(tmp_path / "another")
    assert reason(opened(ca_file=str(tmp_path / "another" / "ca.pem")).fetch, Stalled) == "CertificateInvalid"
    assert reason(opened(ca_file="").fetch, Stalled) == "CertificateInvalid"


def test_silent_server_ends_at_the_deadline(server: GitServer, opened: Open) -> None:
    mirror = opened(deadline=1.0)
    server.silent.set()
    assert reason(mirror.fetch, Unavailable) == "Timeout"
    server.silent.clear()
    server.quiet.set()


@pytest.mark.parametrize("cut", [0, 20, 200])
def test_connection_closed_inside_an_answer(work: Work, server: GitServer, opened: Open, cut: int) -> None:
    mirror = opened()
    before = mirror.fetch()
    work.commit({f"clusters/{n}.yaml": f"n: {n}\n" * 50 for n in range(50)})
    work.git("push", "-q", "origin", "main")
    server.cut_after = cut
    with pytest.raises(Unavailable):
        mirror.fetch()
    assert mirror.head() == before
    server.cut_after = -1
    assert mirror.fetch() != before


@pytest.mark.parametrize(
    "garbage", [b"001e# service=git-upload-pack\n0000zzzz", b"0000", b"\0" * 100, b"not a packet line"]
)
def test_garbage_is_an_error(server: GitServer, opened: Open, garbage: bytes) -> None:
    server.garbage = garbage
    with pytest.raises((Unavailable, Stalled)):
        opened().fetch()


def test_nobody_listens(server: GitServer, opened: Open) -> None:
    mirror = opened(url="https://127.0.0.1:1/x.git")
    assert reason(mirror.fetch, Unavailable) == "Unreachable"
