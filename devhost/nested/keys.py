"""The keys of a nested control plane's store: read whole, and written into a new one, by etcd's JSON gateway.

They are what the engine's archives hold: every object as it is stored, with its UID and the managers of its fields.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import urllib3

from devhost.errors import HostError

PAGE: Final = 500
AT_ONCE: Final = 100
"""Puts of one transaction; etcd takes at most 128."""
EVERYTHING: Final = base64.b64encode(b"\0").decode()
Pair = tuple[bytes, bytes]


class Store:
    """etcd at a port of the loopback, as the plane's own administrator."""

    def __init__(self, port: int, pki: Path) -> None:
        files: Any = {"ca_certs": pki / "ca.crt", "cert_file": pki / "admin.crt", "key_file": pki / "admin.key"}
        named: Any = {name: str(file) for name, file in files.items()}
        self._pool = urllib3.HTTPSConnectionPool("127.0.0.1", port, **named)

    def read(self) -> Iterator[Pair]:
        """Every key, sorted. Raises HostError."""
        start, more = EVERYTHING, True
        while more:
            asked = {"key": start, "range_end": EVERYTHING, "limit": PAGE, "sort_order": "ASCEND", "sort_target": "KEY"}
            answer = self._call("range", asked)
            rows = [_pair(one) for one in answer.get("kvs", ())]
            yield from rows
            more = bool(answer.get("more")) and bool(rows)
            start = base64.b64encode(rows[-1][0] + b"\0").decode() if rows else start

    def write(self, pairs: Iterable[Pair]) -> None:
        """Put them all. Raises HostError."""
        rows = [{"requestPut": {"key": _text(key), "value": _text(value)}} for key, value in pairs]
        for first in range(0, len(rows), AT_ONCE):
            self._call("txn", {"success": rows[first : first + AT_ONCE]})

    def ready(self) -> bool:
        try:
            self._call("range", {"key": EVERYTHING, "limit": 1})
        except HostError:
            return False
        return True

    def close(self) -> None:
        self._pool.close()

    def _call(self, what: str, body: dict[str, Any]) -> Any:
        try:
            answer = self._pool.request("POST", f"/v3/kv/{what}", body=json.dumps(body), timeout=30, retries=False)
        except urllib3.exceptions.HTTPError as error:
            raise HostError(f"the store does not answer: {error}") from error
        if answer.status != 200:
            raise HostError(f"the store refuses {what}: {answer.data[:200]!r}")
        return json.loads(answer.data)


def _pair(row: Any) -> Pair:
    return base64.b64decode(row["key"]), base64.b64decode(row.get("value", ""))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
