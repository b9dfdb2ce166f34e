"""An OCI registry as it is installed by distributions (`docker-registry`), and how a chart is pushed there."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from reconciler.model import ContentAllow
from tests.waiting import until

PROGRAM = "docker-registry"
real = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="docker-registry is not installed")
LOGIN = "robot", "right"
_HASHED = "robot:$2y$05$4dAVP/5XZS9XMghXMmfveeA2JouUoOIUGQvpxg.lyg6jX5Wm.zahq\n"  # bcrypt of LOGIN
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """On a port of the loopback, by http; with `login` it wants LOGIN."""

    def __init__(self, folder: Path, *, login: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\nhttp: {{addr: '127.0.0.1:{self.port}'}}\n"
        self._headers = {}
        if login:
            (folder / "htpasswd").write_text(_HASHED)
            config += f"auth: {{htpasswd: {{realm: charts, path: {folder / 'htpasswd'}}}}}\n"
            self._headers["Authorization"] = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
        (folder / "config.yml").write_text(config)
        words = [PROGRAM, "serve", str(folder / "config.yml")]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert until(self._answers), "the registry does not answer"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def push(self, path: str, tag: str, archive: bytes) -> str:
        """A chart, as `helm push` does it; the hex digest of its manifest."""
        config = b"{}"
        for blob in (config, archive):
            self._blob(path, blob)
        pieces = [
            {"mediaType": kind, "digest": _named(one), "size": len(one)}
            for kind, one in ((CONFIG, config), (CHART, archive))
        ]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": pieces[0], "layers": pieces[1:]}
        ).encode()
        self._send("PUT", f"http://{self.host}/v2/{path}/manifests/{tag}", manifest, MANIFEST)
        return hashlib.sha256(manifest).hexdigest()

    def attach(self, path: str, reference: str, layers: list[tuple[str, dict[str, str], bytes]]) -> str:
        """A manifest of these layers (kind, annotations, bytes) at a tag; the hex digest of it."""
        config = b"{}"
        for blob in (config, *(data for _, _, data in layers)):
            self._blob(path, blob)
        pieces = [
            {"mediaType": kind, "digest": _named(data), "size": len(data), "annotations": notes}
            for kind, notes, data in layers
        ]
        named = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _named(config), "size": len(config)}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": named, "layers": pieces}).encode()
        self._send("PUT", f"http://{self.host}/v2/{path}/manifests/{reference}", manifest, MANIFEST)
        return hashlib.sha256(manifest).hexdigest()

    def image(self, path: str, tag: str, archive: Path) -> None:
        """The image of an archive in OCI layout."""
        with tarfile.open(archive) as held:
            (listed,) = json.loads(_held(held, "index.json"))["manifests"]
            manifest = _held(held, _blob_in_layout(listed["digest"]))
            parts = json.loads(manifest)
            for one in (parts["config"], *parts["layers"]):
                self._blob(path, _held(held, _blob_in_layout(one["digest"])))
        self._send("PUT", f"http://{self.host}/v2/{path}/manifests/{tag}", manifest, MANIFEST)

    def index(self, path: str, reference: str, named: list[tuple[str, str]]) -> None:
        """What refers to something (kind, hex digest), at the tag of registries without an API for it."""
        found = [
            {"mediaType": MANIFEST, "digest": f"sha256:{one}", "artifactType": kind, "size": 1} for kind, one in named
        ]
        kind = "application/vnd.oci.image.index.v1+json"
        body = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": found}).encode()
        self._send("PUT", f"http://{self.host}/v2/{path}/manifests/{reference}", body, kind)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(60)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def _blob(self, path: str, data: bytes) -> None:
        begun = self._send("POST", f"http://{self.host}/v2/{path}/blobs/uploads/", b"")
        joint = "&" if "?" in begun else "?"
        self._send("PUT", f"{begun}{joint}digest={_named(data)}", data)

    def _send(self, method: str, address: str, data: bytes, kind: str = "application/octet-stream") -> str:
        asked = urllib.request.Request(address, data, {"Content-Type": kind, **self._headers}, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return str(answer.headers.get("Location", ""))


def _named(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _held(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(path)
    assert file is not None
    return file.read()


def _blob_in_layout(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def local(one: Registry, **more: Any) -> ContentAllow:
    return ContentAllow(prefix=f"oci://{one.host}/acme/", plain_http=True, **more)
