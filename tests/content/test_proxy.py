"""Content through a proxy of a prefix (K1)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.model import Remote
from reconciler.packs.content import fetch
from tests.content.conftest import Allowed, Sites

BODY = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
SHA = hashlib.sha256(BODY).hexdigest()


class Tunnels(socketserver.ThreadingTCPServer):
    """A proxy that makes tunnels, wherever they lead; with a login where one is wanted. `asked`: its first lines, and what it was shown."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.login, self.asked = login, list[tuple[str, str]]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Tunnel(socketserver.StreamRequestHandler):
    server: Tunnels

    def handle(self) -> None:
        first, shown = self.rfile.readline().decode().strip(), ""
        while line := self.rfile.readline().strip().decode():
            name, _, value = line.partition(":")
            shown = value.strip() if name.lower() == "proxy-authorization" else shown
        self.server.asked.append((first, shown))
        if self.server.login and shown != "Basic " + base64.b64encode(self.server.login.encode()).decode():
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = first.split()[1].rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 10.0) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(there, self.connection))
            back.start()
            _pump(self.connection, there)
            back.join()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@pytest.fixture
def tunnels() -> Iterator[Tunnels]:
    with Tunnels("robot:r@ght") as made:
        yield made
        made.shutdown()


def told(folder: Path, text: str) -> str:
    (folder / "proxy").write_text(text)
    return str(folder / "proxy")


def refusal(remote: Remote, means: fetch.Means, kind: type[NidusError] = Stalled) -> str:
    with pytest.raises(kind) as caught:
        fetch.bring(remote, means, lambda size: None)
    assert "ght" not in caught.value.message
    return caught.value.message


def test_content_comes_through_the_proxy_with_its_login(
    sites: Sites, allowed: Allowed, tunnels: Tunnels, tmp_path: Path
) -> None:
    site = sites()
    means = allowed(site, proxy_file=told(tmp_path, f"http://robot:r%40ght@{tunnels.address}"))
    fetch.bring(Remote("url", site.put("/m.yaml", BODY), SHA), means, lambda size: None)
    assert means.store.get(SHA) == BODY
    (asked,) = tunnels.asked
    assert asked[0].startswith(f"CONNECT {site.url.removeprefix('https://')} ")
    assert "proxy-authorization" not in site.asked[0].headers


def test_a_proxy_that_refuses_is_tried_again_and_its_login_is_not_told(
    sites: Sites, allowed: Allowed, tunnels: Tunnels, tmp_path: Path
) -> None:
    site = sites()
    means = allowed(site, proxy_file=told(tmp_path, f"http://robot:wr%40ght@{tunnels.address}"))
    assert "cannot be reached" in refusal(Remote("url", site.put("/m.yaml", BODY), SHA), means, Unavailable)
    assert site.asked == []


def test_a_redirect_through_a_proxy_goes_to_named_hosts_only(
    sites: Sites, allowed: Allowed, tunnels: Tunnels, tmp_path: Path
) -> None:
    site, other = sites(), sites()
    there = other.put("/m.yaml", BODY)
    remote = Remote("url", site.put("/led", status=302, headers={"Location": there}), SHA)
    file = told(tmp_path, f"http://robot:r%40ght@{tunnels.address}")
    assert "whose address a proxy would find unseen" in refusal(remote, allowed(site, proxy_file=file))
    assert other.asked == [] and len(tunnels.asked) == 1
    means = allowed(site, proxy_file=file, via=(other.url.removeprefix("https://"),))
    fetch.bring(remote, means, lambda size: None)
    assert means.store.get(SHA) == BODY and len(tunnels.asked) == 3


@pytest.mark.parametrize(
    "text", ["", "proxy.example.com:3128", "https://proxy.example.com", "http://a:99999999", "http://a/x", "socks5://a"]
)
def test_a_file_that_names_no_proxy_is_said(text: str, sites: Sites, allowed: Allowed, tmp_path: Path) -> None:
    site = sites()
    means = allowed(site, proxy_file=told(tmp_path, text))
    assert "the file of the proxy" in refusal(Remote("url", site.put("/m.yaml", BODY), SHA), means)
    assert site.asked == []
