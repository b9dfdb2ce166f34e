"""The mirror under killed fetches, stale locks, flipped bytes, a full disk, a hanging git (S7, F19-F29, M12, M13)."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.model import Limits, SourceConfig
from reconciler.source import storage
from reconciler.source.environment import reading
from reconciler.source.mirror import Mirror
from reconciler.source.runner import run
from tests.test_source_mirror import ENV, Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit({f"clusters/{n}.yaml": f"name: c{n}\n" * 20 for n in range(40)})
    return made


class Place:
    """A mirror folder that is opened and closed again and again."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work = work
        self.folder = folder
        self.mirror: Mirror | None = None

    def open(self, **more: object) -> Mirror:
        self.close()
        source = SourceConfig(name="s", url=str(self.work.folder))
        self.mirror = Mirror.open(source, self.folder, **({"limits": Limits()} | more))  # type: ignore[arg-type]
        return self.mirror

    def close(self) -> None:
        if self.mirror is not None:
            self.mirror.close()

    def packed(self) -> Path:
        """The largest pack of the mirror, after everything was packed into it."""
        self.close()
        subprocess.run(["git", "repack", "-a", "-d", "-q"], cwd=self.folder, env=ENV, check=True, timeout=60)
        return max((self.folder / "objects" / "pack").glob("*.pack"), key=lambda path: path.stat().st_size)


@pytest.fixture
def place(work: Work, tmp_path: Path) -> Iterator[Place]:
    made = Place(work, tmp_path / "mirror")
    yield made
    made.close()


def whole(mirror: Mirror, commit: str) -> dict[str, bytes]:
    tree = mirror.tree(commit)
    blobs = mirror.read(set(tree.files.values()))
    return {path: blobs[oid] for path, oid in tree.files.items()}


def everything(mirror: Mirror) -> dict[str, bytes]:
    return whole(mirror, mirror.fetch().commit)


def test_leftovers_of_a_killed_git_are_swept_and_fetch_goes_on(place: Place) -> None:
    place.open().fetch()
    place.close()
    left = [
        *(
            "objects/pack/tmp_pack_abc",
            "objects/pack/tmp_idx_abc",
            "objects/pack/.tmp-12-pack-a.pack",
            "objects/12/tmp_obj_x",
        ),
        *(
            "HEAD.lock",
            "shallow.lock",
            "packed-refs.lock",
            "config.lock",
            "refs/source/x.lock",
            "objects/info/commit-graph.lock",
        ),
    ]
    for name in left:
        (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (place.folder / name).write_bytes(b"x" * 1000)
    place.work.commit({"new": "1"})
    assert place.open().fetch().commit == place.work.git("rev-parse", "HEAD")
    assert not [name for name in left if (place.folder / name).exists()]


@pytest.mark.parametrize("name", ["HEAD", "config", "gitconfig"])
def test_an_empty_file_of_the_repository_is_made_anew(place: Place, name: str) -> None:
    place.open().fetch()
    place.close()
    (place.folder / name).write_bytes(b"")
    mirror = place.open()
    assert whole(mirror, mirror.fetch().commit)


def test_flipped_bytes_are_noticed_and_the_mirror_is_cloned_again(place: Place) -> None:
    expected = everything(place.open())
    pack = place.packed()
    data = bytearray(pack.read_bytes())
    for position in range(12, len(data) - 20, 61):
        data[position] ^= 0xFF
    pack.chmod(0o644)
    pack.write_bytes(data)
    mirror = place.open()
    found = whole(mirror, mirror.fetch().commit)
    assert found == expected
    assert storage.aside(place.folder).is_dir()
    assert not place.folder.with_name("mirror.new").exists()


@pytest.mark.parametrize("position", range(3, 100, 16))
def test_one_flipped_byte_never_changes_what_is_read(place: Place, position: int) -> None:
    expected = everything(place.open())
    pack = place.packed()
    data = bytearray(pack.read_bytes())
    data[len(data) * position // 100] ^= 0x55
    pack.chmod(0o644)
    pack.write_bytes(data)
    mirror = place.open()
    assert whole(mirror, place.work.git("rev-parse", "HEAD")) == expected


def test_with_git_down_a_broken_mirror_keeps_what_can_still_be_read(place: Place) -> None:
    mirror = place.open()
    first = mirror.fetch()
    files = mirror.tree(first.commit).files
    place.close()
    broken, kept = files["clusters/1.yaml"], files["clusters/2.yaml"]
    subprocess.run(
        ["git", "unpack-objects", "-q"], cwd=place.folder, env=ENV, input=place.packed().read_bytes(), check=False
    )
    for pack in (place.folder / "objects" / "pack").iterdir():
        pack.unlink()
    archive = place.work.folder.with_name("elsewhere")
    for loose in (place.work.folder / ".git" / "objects").glob("??/*"):
        (place.folder / "objects" / loose.parent.name).mkdir(exist_ok=True)
        shutil.copy(loose, place.folder / "objects" / loose.parent.name / loose.name)
    (place.folder / "objects" / broken[:2] / broken[2:]).unlink()
    place.work.folder.rename(archive)
    mirror = place.open()
    for _ in range(2):
        with pytest.raises(NidusError):
            mirror.tree(first.commit)
        with pytest.raises(Stalled):
            mirror.read([broken, kept])
        assert mirror.read([kept])[kept]
        assert mirror.head() == first
    archive.rename(place.work.folder)
    assert mirror.tree(first.commit).files == files
    assert mirror.read([broken])[broken]


def test_a_mirror_that_breaks_again_at_once_is_not_cloned_again(place: Place) -> None:
    mirror = place.open()
    commit = mirror.fetch().commit
    for attempt in range(2):
        shutil.rmtree(place.folder / "objects")
        (place.folder / "objects" / "pack").mkdir(parents=True)
        (place.folder / "objects" / "info").mkdir()
        mirror = place.open()
        if attempt == 0:
            assert mirror.fetch().commit == commit
    with pytest.raises(Unavailable) as caught:
        mirror.fetch()
    assert caught.value.reason == "MirrorBroken"
    assert caught.value.after and caught.value.after > 0


def test_killed_reader_is_started_again(place: Place) -> None:
    mirror = place.open()
    tree = mirror.tree(mirror.fetch().commit)
    process = mirror._reader._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    oid = tree.files["clusters/1.yaml"]
    assert mirror.read([oid])[oid].startswith(b"name: c1")


@pytest.mark.long
def test_kill_at_any_moment_of_a_fetch_leaves_a_mirror_that_works(place: Place) -> None:
    expected = place.work.commit({f"big/{n}": f"{n} {os.urandom(20000).hex()}" for n in range(60)})
    for delay in range(1, 40):
        place.close()
        shutil.rmtree(place.folder, ignore_errors=True)
        place.open().close()
        fetching = subprocess.Popen(
            ["git", "fetch", "-q", str(place.work.folder), "+refs/heads/main:refs/source/x"],
            cwd=place.folder, env=ENV, start_new_session=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        threading.Event().wait(delay / 100)
        os.killpg(fetching.pid, signal.SIGKILL)
        fetching.wait(60)
        mirror = place.open()
        assert mirror.fetch().commit == expected
        assert len(whole(mirror, expected)) == 100
        assert not list((place.folder / "objects" / "pack").glob("tmp_*"))


def test_too_large_a_repository_is_refused_and_leaves_nothing(place: Place) -> None:
    place.work.commit({"huge": os.urandom(1_500_000).hex()})
    mirror = place.open(limits=Limits(total="256Ki"))
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.reason == "TooBig"
    assert mirror.head() is None
    assert sum(path.stat().st_size for path in place.folder.rglob("*") if path.is_file()) < 4 << 20


def test_a_full_disk_is_an_error_that_passes(work: Work, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    try:
        source = SourceConfig(name="s", url=str(work.folder))
        mirror = Mirror.open(source, disk / "mirror", limits=Limits())
        before = mirror.fetch()
        work.commit({"large": os.urandom(1_000_000).hex()})
        with pytest.raises(Unavailable) as caught:
            mirror.fetch()
        assert caught.value.reason == "DiskFull"
        assert mirror.head() == before
        assert whole(mirror, before.commit)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert mirror.fetch() != before
        mirror.close()
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_the_whole_process_group_is_killed_at_the_deadline(place: Place) -> None:
    place.open()
    marker = f"{os.getpid()}.25"
    with pytest.raises(Unavailable) as caught:
        run(
            place.folder, ("-c", f"alias.hang=!sleep {marker} & sleep {marker}", "hang"), reading(place.folder),
            deadline=0.5, written=1 << 20, output=1000,
        )  # fmt: skip
    assert caught.value.reason == "Timeout"
    end = time.monotonic() + 60
    while marker in _processes() and time.monotonic() < end:
        time.sleep(0.01)
    assert marker not in _processes()


def test_output_beyond_the_limit_ends_the_command(place: Place) -> None:
    place.open()
    answer = run(
        place.folder, ("-c", "alias.y=!yes", "y"), reading(place.folder), deadline=30, written=1 << 20, output=10_000
    )
    assert answer.cut
    assert answer.out == b""


def test_many_packs_become_one_when_a_fetch_finds_nothing_new(place: Place) -> None:
    mirror = place.open()
    mirror.fetch()
    packs = place.folder / "objects" / "pack"
    for file in list(packs.iterdir()):
        for number in range(80):  # git asks no pack for the name that its content would have
            shutil.copy(file, packs / f"pack-{number:040x}{file.suffix}")
    assert storage.crowded(place.folder)
    tree = mirror.tree(mirror.fetch().commit)
    assert not storage.crowded(place.folder)
    assert mirror.read(set(tree.files.values()))


def _processes() -> str:
    arguments = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments.append((folder / "cmdline").read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue  # it ended
    return "\n".join(arguments)
