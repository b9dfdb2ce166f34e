"""A real S3 server on the loopback for tests (moto, in an environment of its own), and archives as an engine makes them."""

from __future__ import annotations

import fcntl
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv" / "s3"
SERVER = Path(__file__).with_name("store_server.py")
KEYS = {"access": "very-secret-0123456789", "access-key": "secret-key-0123456789"}
"""Access key -> secret key, as tests of the product use them."""


class ObjectStore:
    """One bucket, served at `url` by a process of its own until `close`, to whom signs with a key of `KEYS`."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        command = [str(_installed()), str(SERVER), json.dumps(KEYS)]
        self._process: Any = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._request("PUT", f"/{bucket}")

    def put(self, key: str, data: bytes) -> None:
        self._request("PUT", f"/{self._bucket}/{key}", data)

    def get(self, key: str) -> bytes:
        return self._request("GET", f"/{self._bucket}/{key}")

    def remove(self, key: str) -> None:
        self._request("DELETE", f"/{self._bucket}/{key}")

    def names(self) -> list[str]:
        """The keys in the bucket, sorted."""
        return sorted(re.findall(r"<Key>([^<]+)</Key>", self._request("GET", f"/{self._bucket}?list-type=2").decode()))

    def empty(self) -> None:
        for key in self.names():
            self.remove(key)

    @contextmanager
    def fault(self, **told: Any) -> Iterator[None]:
        """Meanwhile every answer to others than the test has this `status` (`503 Slow Down`), `headers`, `body` and `length` (that is
        declared); after so many `times` the store is well again."""
        self._request("PUT", "/-/fault", json.dumps(told).encode())
        try:
            yield
        finally:
            self._request("PUT", "/-/fault", b"{}")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()

    def _request(self, method: str, path: str, data: bytes | None = None) -> bytes:
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request"}
        answer = urllib3.request(method, f"{self.url}{path}", body=data, headers=signed, timeout=60.0)
        assert answer.status < 300, answer.data
        return bytes(answer.data)


def _installed() -> Path:
    """The interpreter of the server's environment, which is made where it is not there yet; without it these tests skip."""
    (ROOT / ".venv").mkdir(exist_ok=True)
    with (ROOT / ".venv" / "s3.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = HOME / ".installed"
        if not stamp.exists():
            command = ["make", "-s", f"PYTHON={sys.executable}", ".venv/s3/.installed"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
            if done.returncode:
                pytest.skip(f"the S3 server of the tests cannot be installed: {done.stderr.strip()[-300:]}")
    return HOME / "bin" / "python"


def archive(keys: Mapping[str, bytes]) -> bytes:
    """A snapshot as the engine writes it: what it says of itself first, then every key of the store."""
    made = io.BytesIO()
    own = {"/vcluster/snapshot/release": b"{}", "/vcluster/snapshot/request/v1beta1": b"{}"}
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.GNU_FORMAT) as opened:
        for name, data in {**own, **keys}.items():
            info: Any = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return made.getvalue()
