"""What a killed or failed git leaves in the mirror goes before the next fetch, without a restart, and costs no byte (S7). Real Git."""

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.model import Limits, SourceConfig
from reconciler.source import storage
from reconciler.source.mirror import Mirror
from tests.faults.test_git_mirror import Place, whole
from tests.test_source_mirror import Work

SMALL = Limits(total="64Ki")  # a pack may hold four times that


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit({f"clusters/{n}.yaml": f"name: c{n}\n" * 20 for n in range(40)})
    return made


@pytest.fixture
def place(work: Work, tmp_path: Path) -> Iterator[Place]:
    made = Place(work, tmp_path / "mirror")
    yield made
    made.close()


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def ref(place: Place) -> Path:
    (found,) = (place.folder / "refs" / "source").iterdir()
    return found


LEFT = (
    "objects/pack/tmp_pack_abc",
    "objects/pack/tmp_idx_abc",
    "objects/pack/.tmp-12-pack-a.pack",
    "objects/pack/pack-0123456789012345678901234567890123456789.keep",
    "objects/pack/pack-0123456789012345678901234567890123456789.pack",
    "objects/12/tmp_obj_x",
    "objects/incoming-x/pack/tmp_pack_b",
    "objects/tmp_objdir-incoming-x/pack/tmp_pack_b",
    "objects/info/commit-graph.lock",
    "HEAD.lock",
    "shallow.lock",
    "packed-refs.lock",
    "config.lock",
    "refs/source/0123456789abcdef.lock",
    "refs/nidus/x.lock",
)


@pytest.mark.parametrize("name", LEFT)
def test_each_leftover_goes_before_the_next_fetch(place: Place, name: str) -> None:
    mirror = place.open()
    mirror.fetch()
    left = place.folder / name
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"x" * 1000)
    commit = place.work.commit({"new": "1"})
    assert mirror.fetch().commit == commit
    assert not left.exists()
    assert mirror.pin({"c": commit}) == frozenset()
    assert whole(mirror, commit)["new"] == b"1"


def test_a_lock_on_our_own_ref_stops_no_fetch(place: Place) -> None:
    mirror = place.open()
    mirror.fetch()
    ref(place).with_suffix(".lock").touch()
    commit = place.work.commit({"new": "1"})
    assert mirror.fetch().commit == commit


def test_a_commit_over_the_limit_leaves_no_byte_and_ends_when_it_is_rewritten(place: Place) -> None:
    mirror = place.open(limits=SMALL)
    before, standing = mirror.fetch(), size(place.folder)
    for _ in range(3):
        place.work.commit({"huge": os.urandom(400_000).hex()})
        with pytest.raises(Stalled) as caught:
            mirror.fetch()
        assert caught.value.reason == "TooBig"
        assert size(place.folder) == standing
    place.work.git("reset", "-q", "--hard", before.commit)
    assert mirror.fetch() == before
    commit = place.work.commit({"small": "1"})
    assert mirror.fetch().commit == commit


KILLS = {
    "within the pack": '"$@" | head -c 100000; until [ -s {packs}/tmp_pack_* ]; do :; done; kill -9 0',
    "after the pack": '"$@"; (until find {packs} -name "pack-*.idx" -newer $0 | grep -q .; do :; done; kill -9 0) >/dev/null &',
    "before anything is sent": "kill -9 0",
}


@pytest.mark.parametrize("moment", KILLS)
def test_git_killed_while_it_fetches_leaves_no_byte(place: Place, moment: str) -> None:
    """The hook of the sending side, which Git runs in the process group of our fetch, kills them all."""
    mirror = place.open()
    mirror.fetch()
    standing, hook, settings = size(place.folder), place.folder.with_name("hook"), place.folder / "gitconfig"
    packs = shlex.quote(str(place.folder / "objects" / "pack"))
    quiet = settings.read_text()
    for number in range(3):
        place.work.commit({f"large/{number}/{n}": os.urandom(2_000).hex() for n in range(120)})
        hook.write_text(f"#!/bin/bash\n{KILLS[moment].format(packs=packs)}\n")
        hook.chmod(0o755)
        settings.write_text(f"{quiet}[uploadpack]\n\tpackObjectsHook = {hook}\n")
        before = mirror.head()
        with contextlib.suppress(NidusError):
            assert mirror.fetch() and moment == "after the pack"
        settings.write_text(quiet)
        if mirror.head() == before:
            assert size(place.folder) == standing
        standing = size(place.folder)
    commit = mirror.fetch().commit
    assert commit == place.work.git("rev-parse", "HEAD") and whole(mirror, commit)


def test_a_clone_that_failed_beside_a_broken_mirror_leaves_nothing(place: Place) -> None:
    place.open().fetch()
    place.close()
    for pack in (place.folder / "objects").rglob("*"):
        if pack.is_file():
            pack.unlink()
    mirror, away = place.open(), place.work.folder.with_name("away")
    place.work.folder.rename(away)
    with pytest.raises(NidusError):
        mirror.fetch()
    with pytest.raises(NidusError):
        mirror.tree(ref(place).read_text().strip())
    assert not place.folder.with_name("mirror.new").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_what_history_no_longer_names_goes_when_the_disk_is_full(work: Work, disk: Path) -> None:
    mirror = Mirror.open(SourceConfig(name="s", url=str(work.folder)), disk / "mirror", limits=Limits())
    first = mirror.fetch()
    with contextlib.closing(mirror):
        for _ in range(8):
            work.git("reset", "-q", "--hard", first.commit)
            commit = work.commit({"large": os.urandom(300_000).hex()})
            assert mirror.fetch().commit == commit
            assert whole(mirror, commit)


def test_a_disk_too_small_for_a_commit_is_full_until_that_commit_is_rewritten(work: Work, disk: Path) -> None:
    mirror = Mirror.open(SourceConfig(name="s", url=str(work.folder)), disk / "mirror", limits=Limits())
    with contextlib.closing(mirror):
        first = mirror.fetch()
        sizes = set()
        work.commit({"huge": os.urandom(2_500_000).hex()})
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                mirror.fetch()
            assert caught.value.reason == "DiskFull"
            sizes.add(size(disk / "mirror"))
        assert len(sizes) == 1
        assert whole(mirror, first.commit)
        work.git("reset", "-q", "--hard", first.commit)
        commit = work.commit({"small": "1"})
        assert mirror.fetch().commit == commit


def test_the_evidence_of_a_broken_mirror_makes_room_on_a_full_disk(place: Place) -> None:
    mirror = place.open()
    mirror.fetch()
    broken = storage.aside(place.folder)
    broken.mkdir()
    (broken / "pack").write_bytes(b"x" * 100_000)
    storage.reclaim(place.folder)
    assert broken.is_dir() and size(broken) == 0  # the folder stays: its time tells when the mirror was replaced last
