"""Released binaries instead of a build: from a server laid out like the projects' own, each compared with its published SHA-256."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devhost import build, download, tools
from devhost.errors import HostError
from devhost.pins import NEEDED, build_of
from devhost.progress import silent

KUBERNETES = build_of("kubectl")
ETCD = build_of("etcd")


@dataclass
class Site:
    """What a server has, by path; `short` paths end after half of what they announce. `asked`: the ranges that were asked for."""

    content: dict[str, bytes] = field(default_factory=dict)
    short: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def publish(self, one: build.Build) -> None:
        """Put there what the project releases of `one`."""
        for file in download.files(one):
            data = file.program.encode() * 100_000
            body = packed(file.member, data) if file.member else data
            name = file.path.rpartition("/")[2]
            digest = hashlib.sha256(body).hexdigest()
            self.content[file.path] = body
            self.content[file.sums] = (
                f"{'0' * 64}  other.tar.gz\n{digest}  {name}\n" if file.member else digest
            ).encode()


def packed(member: str, data: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo(member)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that has every release; the tools are found nowhere and go to a cache of the test's own."""
    made = Site()
    made.publish(KUBERNETES)
    made.publish(ETCD)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(made))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NIDUS_TOOLS_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NIDUS_HOST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    yield made
    server.shutdown()
    server.server_close()


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, wanted = self.path.lstrip("/"), self.headers.get("Range", "")
            site.asked.append((path, wanted))
            body = site.content.get(path)
            if body is None:
                self.send_error(404)
                return
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if wanted and begin >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(body) - begin))
            self.end_headers()
            rest = body[begin:]
            self.wfile.write(rest[: len(rest) // 2] if path in site.short else rest)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


def fetched(one: build.Build) -> dict[str, bytes]:
    """The programs of `one` in the cache."""
    return {path.name: path.read_bytes() for path in sorted(tools.folder(one).glob("[!.]*"))}


def test_every_program_is_there_and_nothing_is_fetched_twice(site: Site) -> None:
    made = download.download([KUBERNETES, ETCD], silent)
    assert made == [tools.folder(KUBERNETES), tools.folder(ETCD)]
    for one in (KUBERNETES, ETCD):
        assert fetched(one) == {name: name.encode() * 100_000 for name in one.programs}
        assert tools.is_ready(one)
        assert all((tools.folder(one) / name).stat().st_mode & 0o111 for name in one.programs)
    asked = len(site.asked)
    download.download([KUBERNETES, ETCD], silent)
    assert len(site.asked) == asked
    assert not list((tools.cache() / "downloads").iterdir())


def test_a_changed_byte_is_thrown_away(site: Site) -> None:
    path = download.files(ETCD)[0].path
    good = site.content[path]
    site.content[path] = good[:50] + bytes([good[50] ^ 1]) + good[51:]
    with pytest.raises(HostError, match=r"etcd-v.*\.tar\.gz is not what its project published"):
        download.download([ETCD], silent)
    assert not fetched(ETCD) and not list((tools.cache() / "downloads").iterdir())
    site.content[path] = good
    download.download([ETCD], silent)
    assert fetched(ETCD)


def test_what_ended_early_goes_on_from_there(site: Site) -> None:
    path = download.files(KUBERNETES)[0].path
    site.short.add(path)
    with pytest.raises(HostError, match=r"kube-apiserver ended after \d+ of \d+ bytes: run it again"):
        download.download([KUBERNETES], silent)
    came = len(site.content[path]) // 2
    assert not fetched(KUBERNETES)
    site.short.clear()
    download.download([KUBERNETES], silent)
    assert (path, f"bytes={came}-") in site.asked
    assert fetched(KUBERNETES)["kube-apiserver"] == site.content[path]


def test_what_was_kept_of_another_file_is_given_up(site: Site) -> None:
    file = download.files(KUBERNETES)[0]
    part = tools.cache() / "downloads" / f"{KUBERNETES.version}-{file.program}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(len(site.content[file.path]) + 5))
    download.download([KUBERNETES], silent)
    assert fetched(KUBERNETES)[file.program] == site.content[file.path]


def test_a_whole_file_that_was_kept_is_not_asked_for_again(site: Site) -> None:
    file = download.files(KUBERNETES)[0]
    part = tools.cache() / "downloads" / f"{KUBERNETES.version}-{file.program}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(site.content[file.path])
    download.download([KUBERNETES], silent)
    assert file.path not in [path for path, _ in site.asked]
    assert fetched(KUBERNETES)[file.program] == site.content[file.path]


@pytest.mark.parametrize("which", ["path", "sums"])
def test_a_file_that_is_not_there_is_told(site: Site, which: str) -> None:
    path = getattr(download.files(ETCD)[0], which)
    del site.content[path]
    with pytest.raises(HostError, match=rf"{path} cannot be had: the server answers 404"):
        download.download([ETCD], silent)
    assert not fetched(ETCD)


@pytest.mark.parametrize("text", [b"", b"<html>sign in</html>", b"0" * 64 + b"  other.tar.gz\n"])
def test_a_list_without_its_sum_is_told(site: Site, text: bytes) -> None:
    site.content[download.files(ETCD)[0].sums] = text
    with pytest.raises(HostError, match=r"SHA256SUMS names no SHA-256 of etcd-v"):
        download.download([ETCD], silent)
    assert not fetched(ETCD)


def test_an_archive_without_the_program_is_told(site: Site) -> None:
    file = download.files(ETCD)[0]
    site.content[file.path] = packed("other/etcd", b"x")
    digest = hashlib.sha256(site.content[file.path]).hexdigest()
    site.content[file.sums] = f"{digest}  {file.path.rpartition('/')[2]}\n".encode()
    with pytest.raises(HostError, match=rf"holds no {file.member}"):
        download.download([ETCD], silent)
    assert not fetched(ETCD)


def test_a_file_without_end_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MOST", 1000)
    with pytest.raises(HostError, match="is larger than"):
        download.download([KUBERNETES], silent)
    assert not fetched(KUBERNETES) and not list((tools.cache() / "downloads").iterdir())


def test_no_server_and_a_wrong_address_are_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIDUS_TOOLS_URL", "http://127.0.0.1:1")
    with pytest.raises(HostError, match=r"^http://127\.0\.0\.1:1/etcd-io/.* cannot be had: .*; what came is kept"):
        download.download([ETCD], silent)
    monkeypatch.setenv("NIDUS_TOOLS_URL", "mirror.example.com")
    with pytest.raises(HostError, match=r"NIDUS_TOOLS_URL is mirror\.example\.com: write an address that begins with"):
        download.download([ETCD], silent)


def test_https_never_ends_at_http() -> None:
    download.require_safe("https://a.example.com/x", "https://b.example.com/x")
    download.require_safe("http://127.0.0.1/x", "http://127.0.0.1/y")
    with pytest.raises(HostError, match="which is not https"):
        download.require_safe("https://a.example.com/x", "http://b.example.com/x")


def test_what_is_not_published_with_its_sum_is_built(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the tools that every host needs only kwok is left to a compiler."""
    left = [one for name in NEEDED for one in build.BUILDS if one.name == name and not download.files(one)]
    assert [one.name for one in left] == ["kwok"]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(HostError, match="building the tools needs Go"):
        build.build(released=True)
    assert tools.is_ready(KUBERNETES) and tools.is_ready(ETCD)
