"""The content store: whole files only, one folder for many processes, and a limit (K3)."""

import fcntl
import hashlib
import multiprocessing
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from reconciler.errors import Stalled, Unavailable
from reconciler.packs.content.store import USED, Store


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def old(store: Store, folder: Path, data: bytes, seconds: float) -> str:
    """Keeps content that was used last so many seconds ago."""
    name = store.put(data)
    place = folder / "sha256" / name
    at = place.stat().st_mtime - seconds
    os.utime(place, (at, at))
    return name


def test_what_nobody_used_lately_goes_for_new_content_and_the_oldest_first(tmp_path: Path) -> None:
    store = Store(tmp_path, 300)
    first = old(store, tmp_path, b"1" * 100, 3 * USED)
    second = old(store, tmp_path, b"2" * 100, 2 * USED)
    third = store.put(b"3" * 100)
    fourth = store.put(b"4" * 100)
    assert [store.has(one) for one in (first, second, third, fourth)] == [False, True, True, True]
    assert Store(tmp_path, 300).get(second) == b"2" * 100  # which is a use of it
    with pytest.raises(Unavailable, match="full") as full:
        store.put(b"5" * 100)
    assert full.value.hint == "spec.content.store"
    assert not list((tmp_path / "parts").iterdir())
    assert store.get(third) == b"3" * 100


def test_parts_count_and_go_first_unless_somebody_fills_them(tmp_path: Path) -> None:
    store = Store(tmp_path, 400)
    kept = old(store, tmp_path, b"1" * 100, 3 * USED)
    for number in range(9):
        with store.part(digest(b"%d" % number), "https://charts.example.com") as part:
            part.write(b"2" * 100)  # and it breaks off
    sizes = [one.stat().st_size for one in (tmp_path / "parts").iterdir()]
    assert sum(sizes) <= 400
    with store.part(digest(b"filled")) as part:
        part.write(b"3" * 100)
        part.flush()
        fresh = store.put(b"4" * 100)
        assert Path(part.name).exists()
    assert store.has(kept) and store.has(fresh)


def test_one_content_of_two_addresses_is_fetched_by_both(tmp_path: Path) -> None:
    store, data = Store(tmp_path, 1000), b"of both"
    with (
        store.part(digest(data), "https://slow.example.com"),
        store.part(digest(data), "https://a.example.com") as part,
    ):
        part.write(data)
        store.keep(digest(data), part)
    assert store.get(digest(data)) == data


def test_what_is_not_what_its_name_says_is_not_given(tmp_path: Path) -> None:
    store = Store(tmp_path, 1000)
    name = store.put(b"right")
    (tmp_path / "sha256" / name).write_bytes(b"wrong")
    assert store.get(name) is None
    assert not store.has(name)
    with pytest.raises(Stalled, match="has the digest"), store.part(name) as part:
        part.write(b"wrong again")
        store.keep(name, part)
    assert store.get(name) is None


def test_processes_share_it(tmp_path: Path) -> None:
    """Several write the same content at once; nobody ever reads a part of it."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_puts_often, args=(tmp_path,)) for _ in range(2)]
    for one in workers:
        one.start()
    store, name = Store(tmp_path, 1 << 20), digest(b"shared" * 1000)
    while any(one.is_alive() for one in workers):
        assert store.get(name) in (None, b"shared" * 1000)
    for one in workers:
        one.join()
        assert one.exitcode == 0
    assert store.get(name) == b"shared" * 1000


def test_a_part_that_is_kept_while_another_process_waits_for_it_is_not_written_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened before it was moved into the store, locked after that."""
    data, lock, first = b"shared" * 1000, fcntl.flock, [True]

    def late(part: BinaryIO, how: int) -> None:
        if first.pop():
            monkeypatch.setattr(fcntl, "flock", lock)
            Store(tmp_path, 1 << 20).put(data)
        lock(part, how)

    monkeypatch.setattr(fcntl, "flock", late)
    store = Store(tmp_path, 1 << 20)
    with store.part(digest(data)) as part:
        part.truncate(0)
        part.flush()
        assert store.get(digest(data)) == data


def _puts_often(folder: Path) -> None:
    """Keeps it, removes it, keeps it again, as one that makes room does."""
    from reconciler.errors import Fetching

    name = digest(b"shared" * 1000)
    for _ in range(50):
        try:
            Store(folder, 1 << 20).put(b"shared" * 1000)
        except Fetching:
            continue
        (folder / "sha256" / name).unlink(missing_ok=True)
    while not Store(folder, 1 << 20).has(name):
        try:
            Store(folder, 1 << 20).put(b"shared" * 1000)
        except Fetching:
            continue


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(Unavailable, match="the content store cannot be used"):
        Store(tmp_path / "store", 1000).put(b"x")
