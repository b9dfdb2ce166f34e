"""What renders read from the store: bounded together, before a byte is read."""

import hashlib
from pathlib import Path

import pytest

from reconciler.errors import Stalled
from reconciler.model import Remote
from reconciler.packs.content import held
from reconciler.packs.content.fetch import LARGEST
from reconciler.packs.content.store import Store

ADDRESS = "https://charts.example.com"


class Counted(Store):
    """A store that says what was read of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1 << 30)
        self.read: list[str] = []

    def get(self, digest: str) -> bytes | None:
        self.read.append(digest)
        return super().get(digest)


def named(digest: str, times: int) -> list[str]:
    return [Remote("url", f"{ADDRESS}/{number}", digest).oid for number in range(times)]


def test_one_content_at_many_addresses_is_read_once(tmp_path: Path) -> None:
    store = Counted(tmp_path)
    digest = store.put(b"a: b")
    found, missing = held.split(named(digest, 100), store)
    assert (list(found.values()), missing, store.read) == ([b"a: b"] * 100, [], [digest])


def test_what_one_layer_names_is_bounded_together_before_it_is_read(tmp_path: Path) -> None:
    store = Counted(tmp_path)
    digest = store.put(bytes(LARGEST // 2))
    assert len(held.split(named(digest, 2), store)[0]) == 2
    store.read.clear()
    with pytest.raises(Stalled, match="larger than 24 MiB together") as refused:
        held.split(named(digest, 3), store)
    assert (refused.value.reason, store.read) == ("ContentRefused", [])


def test_a_large_file_is_not_read_as_the_manifest_of_a_chart(tmp_path: Path) -> None:
    store = Counted(tmp_path)
    digest = store.put(bytes(2 << 20))
    for ask in (held.split, held.use):
        store._noted.clear()
        with pytest.raises(Stalled, match="is no manifest"):
            ask([Remote("oci", "oci://ghcr.io/acme/web", digest).oid], store)
    assert store.read == []


def test_what_is_not_here_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 20)
    lost = [Remote(kind, ADDRESS, hashlib.sha256(b"lost").hexdigest()) for kind in ("url", "oci", "chart")]  # type: ignore[arg-type]
    assert held.split([one.oid for one in lost], store) == ({}, lost)
