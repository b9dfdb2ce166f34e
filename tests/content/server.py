"""Servers of content on real sockets of the loopback, with a private CA, that can do everything wrong. They know nothing of the product."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import ipaddress
import json
import ssl
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Page:
    """What a path answers. `cut`: the connection ends after so many bytes of the whole file, once for each number; `length`: what is
    declared instead; `hang`: no answer until the server ends, `after`: until this is set; `endless`: chunks without end; `ranges`:
    whether Range is understood; `secret`: the header Authorization that it wants, and `challenge` what it says without."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    length: int = -1
    hang: bool = False
    after: threading.Event | None = None
    drip: bool = False
    endless: bool = False
    ranges: bool = True
    secret: str = ""
    challenge: str = ""


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]


class Site:
    """`pages` by path; `asked` in order. With `tls` (key and certificate in one file) it speaks https."""

    def __init__(self, tls: Path | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._http = _Http(self, tls)
        self.port = self._http.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def put(self, path: str, body: bytes = b"", **more: Any) -> str:
        """Serves it; its whole address."""
        self.pages[path] = Page(body, **more)
        return self.url + path

    def chart(
        self, name: str = "web", version: str = "1.0.0", files: Mapping[str, str] | None = None, **more: Any
    ) -> str:
        """Adds a version of a chart, and its entry in the index; its digest."""
        data = packed(name, version, files)
        digest = hashlib.sha256(data).hexdigest()
        self.put(f"/charts/{name}-{version}.tgz", data, **more)
        held = self.pages.get("/charts/index.yaml")
        index = json.loads(held.body) if held else {"apiVersion": "v1", "entries": {}}
        entry = {"version": version, "name": name, "digest": digest, "urls": [f"{name}-{version}.tgz"]}
        index["entries"].setdefault(name, []).insert(0, entry)
        self.put("/charts/index.yaml", json.dumps(index).encode())
        return digest

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def close(self) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(60.0)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, site: Site, tls: Path | None) -> None:
        self.site = site
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the acknowledgement of its head
    server: _Http

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}))
        page = site.pages.get(self.path, Page(status=404))
        self.close_connection = True
        if page.secret and self.headers.get("Authorization") != page.secret:
            page = Page(status=401, headers={"WWW-Authenticate": page.challenge} if page.challenge else {})
        if page.after is not None:
            page.after.wait(60.0)
        if page.hang:
            site.over.wait(60.0)
        elif page.endless:
            self._endless(page)
        else:
            self._whole(page)

    def _whole(self, page: Page) -> None:
        start = self._start(page)
        body = page.body[start:]
        self.send_response(206 if start else page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        self.send_header("Content-Length", str(page.length if page.length >= 0 else len(body)))
        self.end_headers()
        if page.cut:
            body = body[: page.cut.pop(0) - start]
        if page.drip:
            while body and not self.server.site.over.wait(0.05):
                self.wfile.write(body[:1])
                self.wfile.flush()
                body = body[1:]
        self.wfile.write(body)

    def _start(self, page: Page) -> int:
        asked = self.headers.get("Range", "")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked and page.ranges else 0

    def _endless(self, page: Page) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not self.server.site.over.is_set():
            self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


CHART = "apiVersion: v2\nname: %s\nversion: %s\n"
TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {version: {{ .Chart.Version | quote }}}\n"


def packed(name: str = "web", version: str = "1.0.0", files: Mapping[str, str] | None = None) -> bytes:
    """A chart's archive; the same files are the same bytes."""
    whole = {"Chart.yaml": CHART % (name, version), "templates/made.yaml": TEMPLATE} | dict(files or {})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, text in whole.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue(), mtime=0)


def certified(folder: Path, *, expired: bool = False) -> Path:
    """Writes `ca.pem`, and returns a file with the key and the certificate of 127.0.0.1 and localhost."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = _name("content CA"), _name("content")
    ca = _builder(ca_name, ca_name, ca_key.public_key(), -2, 2)
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    ca = ca.add_extension(_USAGE, critical=True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    places = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    leaf = _builder(name, ca_name, key.public_key(), -2, -1 if expired else 2).add_extension(places, critical=False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(private + leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    return folder / "server.pem"


_USAGE = x509.KeyUsage(False, False, False, False, False, True, True, False, False)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, first: int, last: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now + datetime.timedelta(days=first))
    return made.not_valid_after(now + datetime.timedelta(days=last))
