"""The mirror against real repositories on disk: fetch, read, history, pins (S1 to S8)."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.errors import Retry, Stalled, UsageError
from reconciler.model import Limits, SourceConfig
from reconciler.source import storage
from reconciler.source.mirror import Mirror

ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    # a commit starts no second process that looks for something to tidy
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "maintenance.auto",
    "GIT_CONFIG_VALUE_0": "false",
}


class Work:
    """A repository people push to, with its work tree."""

    def __init__(self, folder: Path, form: str = "sha1") -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main", f"--object-format={form}", ".")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        self.folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=ENV, input=stdin, capture_output=True, timeout=300
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, str], message: str = "change", *, gone: tuple[str, ...] = ()) -> str:
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        for path in gone:
            (self.folder / path).unlink()
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def config(work: Work, **more: str) -> SourceConfig:
    return SourceConfig(name="s", url=str(work.folder), **more)


@pytest.fixture
def mirror(work: Work, tmp_path: Path) -> Iterator[Mirror]:
    opened = Mirror.open(config(work), tmp_path / "mirror", limits=Limits())
    yield opened
    opened.close()


def test_fetches_and_reads(work: Work, mirror: Mirror) -> None:
    assert mirror.head() is None
    commit = work.commit({"clusters/a.yaml": "a: 1\n", "b.yaml": "b"})
    revision = mirror.fetch()
    assert str(revision) == f"main@sha1:{commit}"
    assert mirror.head() == revision
    tree = mirror.tree(commit)
    assert list(tree.files) == ["b.yaml", "clusters/a.yaml"]
    assert tree.oid == work.git("rev-parse", f"{commit}^{{tree}}")
    oid = tree.files["clusters/a.yaml"]
    assert tree.sizes[oid] == 5
    assert mirror.read([oid]) == {oid: b"a: 1\n"}
    assert mirror.read([]) == {}


def test_a_blob_of_another_repository_is_not_ours_and_harms_nothing(work: Work, mirror: Mirror, tmp_path: Path) -> None:
    commit = work.commit({"a": "1"})
    mirror.fetch()
    tree = mirror.tree(commit)
    with pytest.raises(Stalled) as caught:
        mirror.read([*tree.files.values(), "5" * 40])
    assert caught.value.reason == "BlobMissing"
    assert mirror.read(list(tree.files.values()))
    assert not storage.aside(tmp_path / "mirror").exists()


def test_threads_take_turns(work: Work, mirror: Mirror) -> None:
    commit = work.commit({f"{number}": f"{number}" * 2000 for number in range(60)})
    mirror.fetch()

    def look(number: int) -> bool:
        tree = mirror.tree(commit)
        path = str(number % 60)
        blobs = mirror.read([tree.files[path]])
        return blobs == {tree.files[path]: (path * 2000).encode()} and mirror.descends(commit, commit)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(200)))


def test_next_commit_is_seen_by_the_reader_that_runs(work: Work, mirror: Mirror) -> None:
    first = work.commit({"a.yaml": "1", "b.yaml": "1", "c/d.yaml": "1"})
    mirror.fetch()
    mirror.tree(first)
    second = work.commit({"a.yaml": "2", "e/f.yaml": "3"}, gone=("c/d.yaml",))
    assert mirror.fetch().commit == second
    tree = mirror.tree(second)
    assert list(tree.files) == ["a.yaml", "b.yaml", "e/f.yaml"]
    assert set(tree.sizes) == set(tree.files.values())
    assert mirror.read([tree.files["e/f.yaml"]])[tree.files["e/f.yaml"]] == b"3"
    assert list(mirror.tree(first).files) == ["a.yaml", "b.yaml", "c/d.yaml"]


def test_path_narrows_the_tree_and_a_missing_one_is_an_error(work: Work, tmp_path: Path) -> None:
    commit = work.commit({"fleet/clusters/a.yaml": "1", "other": "2"})
    mirror = Mirror.open(config(work, path="fleet/"), tmp_path / "m", limits=Limits())
    mirror.fetch()
    assert list(mirror.tree(commit).files) == ["clusters/a.yaml"]
    commit = work.commit({}, gone=("fleet/clusters/a.yaml",))
    mirror.fetch()
    with pytest.raises(Stalled) as caught:
        mirror.tree(commit)
    assert caught.value.reason == "PathMissing"
    mirror.close()


def test_a_missing_branch_is_told_with_the_url_and_the_branches_there(work: Work, tmp_path: Path) -> None:
    mirror = Mirror.open(config(work, branch="mian"), tmp_path / "m", limits=Limits())
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.hint == "the repository has no branch yet: push one"
    work.commit({"a.yaml": "a"})
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.reason == "RefMissing"
    assert caught.value.message == f"the branch mian does not exist in {mirror._place.address.url}"
    assert caught.value.hint == "did you mean main? spec.sources[].branch; there are: main"
    mirror.close()


def test_missing_branch_and_unknown_commit(work: Work, mirror: Mirror) -> None:
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.reason == "RefMissing"
    with pytest.raises(Stalled) as caught:
        mirror.tree("1" * 40)
    assert caught.value.reason == "CommitMissing"


def test_history_rewritten_is_followed_and_does_not_descend(work: Work, mirror: Mirror) -> None:
    first = work.commit({"a": "1"})
    second = work.commit({"a": "2"})
    mirror.fetch()
    assert mirror.descends(first, second)
    assert mirror.descends(second, second)
    assert not mirror.descends(second, first)
    assert mirror.pin({"one": second, "two": second}) == frozenset()
    work.git("reset", "-q", "--hard", first)
    third = work.commit({"a": "3"})
    assert mirror.fetch().commit == third
    assert not mirror.descends(second, third)
    assert not mirror.descends("2" * 40, third)
    assert list(mirror.tree(second).files) == ["a"]


def test_trailers_come_from_new_commits_only(work: Work, mirror: Mirror) -> None:
    old = work.commit({"a": "1"}, "Old\n\nNidus-Approve: old")
    work.commit({"a": "2"}, "New\n\ntext\n\nNidus-Approve: abc\nSigned-off-by: A <a@example.com>")
    work.commit({"a": "3"}, "Nidus-Approve: subject-is-no-trailer")
    new = work.commit({"a": "4"}, "Prose\n\nNidus-Approve: quoted\nin the middle of prose")
    mirror.fetch()
    expected = (("Nidus-Approve", "abc"), ("Signed-off-by", "A <a@example.com>"))
    assert mirror.trailers(old, new) == expected
    assert mirror.trailers(None, new) == ()
    assert mirror.trailers(None, old) == (("Nidus-Approve", "old"),)


def test_pins_keep_what_is_named_and_drop_the_rest(work: Work, mirror: Mirror, tmp_path: Path) -> None:
    first, second = work.commit({"a": "1"}), work.commit({"a": "2"})
    mirror.fetch()
    assert mirror.pin({"one": first, "two": second, "three": "3" * 40}) == frozenset({"three"})
    mirror.close()
    again = Mirror.open(config(work), tmp_path / "mirror", limits=Limits())
    again.pin({"two": second})
    refs = subprocess.run(["git", "for-each-ref", "refs/nidus"], cwd=tmp_path / "mirror", env=ENV, capture_output=True)
    assert refs.stdout.decode().split() == [second, "commit", f"refs/nidus/{second}"]
    again.close()


def test_one_owner(work: Work, mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(Retry) as caught:
        Mirror.open(config(work), tmp_path / "mirror", limits=Limits())
    assert caught.value.reason == "MirrorBusy"
    mirror.close()
    Mirror.open(config(work), tmp_path / "mirror", limits=Limits()).close()


def test_another_branch_never_shows_this_ones_commit(work: Work, mirror: Mirror, tmp_path: Path) -> None:
    work.commit({"a": "1"})
    mirror.fetch()
    mirror.close()
    other = Mirror.open(config(work, branch="next"), tmp_path / "mirror", limits=Limits())
    assert other.head() is None
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://example.com/x.git"}, {"url": "ext::sh -c true"}, {"url": "ext://sh"}, {"url": "https://u:p@h.example/x"},
        {"url": "https://h.example/x?y"}, {"url": "https://h.example/a b"}, {"url": "https://h.example/../x"},
        {"url": "ssh://h.example/x"}, {"url": "ssh://-oProxyCommand=x@h/x"}, {"url": "ssh://git@-oX/x"}, {"url": "https://h\n/x"},
        {"branch": "--upload-pack=x"}, {"branch": "a..b"}, {"branch": "a.lock"}, {"branch": "a/.b"}, {"branch": "x\n"},
        {"branch": "a//b"}, {"branch": "HEAD^{x}"}, {"path": "../x"}, {"path": "a/-b"}, {"path": "a\nb"},
    ],
)  # fmt: skip
def test_odd_addresses_are_refused_before_git_sees_them(change: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Mirror.open(SourceConfig(**({"name": "s", "url": "/x"} | change)), tmp_path / "m", limits=Limits())
    assert not (tmp_path / "m").exists()


def test_a_halted_mirror_ends_its_git_and_begins_no_other(work: Work, mirror: Mirror) -> None:
    work.commit({"a": "1"})
    mirror.fetch()
    (work.folder / ".git" / "packed-refs").unlink(missing_ok=True)
    os.mkfifo(work.folder / ".git" / "packed-refs")  # git waits for somebody to write it
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(mirror.fetch)
        with pytest.raises(TimeoutError):
            fetching.result(0.3)
        mirror.halt()
        with pytest.raises(Retry) as ended:
            fetching.result(10)
    assert ended.value.reason == "Stopping"
    with pytest.raises(Retry):
        mirror.fetch()


def test_who_reads_from_a_closed_mirror_is_told_that_the_controller_stops(mirror: Mirror) -> None:
    """Before: a pass that outlived its stop was reported as a bug of the controller."""
    mirror.close()
    with pytest.raises(Retry) as stopped:
        mirror.fetch()
    assert stopped.value.reason == "Stopping"


def test_a_repository_of_the_other_object_format(tmp_path: Path) -> None:
    """SHA-256 (K15). Opened again it is not cloned again; one that becomes another is a new clone, and after that as before."""
    work = Work(tmp_path / "work", "sha256")
    first = work.commit({"clusters/a.yaml": "a: 1\n"})
    opened = Mirror.open(config(work), tmp_path / "mirror", limits=Limits())
    found = opened.fetch()
    assert (found.commit, str(found)) == (first, f"main@sha256:{first}")
    blob = opened.tree(first).files["clusters/a.yaml"]
    assert opened.read([blob]) == {blob: b"a: 1\n"}
    opened.close()
    made = (tmp_path / "mirror").stat().st_ino
    opened = Mirror.open(config(work), tmp_path / "mirror", limits=Limits())
    second = work.commit({"clusters/b.yaml": "b: 1\n"})
    assert opened.fetch().commit == second and opened.descends(first, second)
    assert (tmp_path / "mirror").stat().st_ino == made
    opened.close()


def test_a_repository_that_gets_another_object_format_is_cloned_anew(tmp_path: Path) -> None:
    Work(tmp_path / "work").commit({"a": "1"})
    opened = Mirror.open(SourceConfig(name="s", url=str(tmp_path / "work")), tmp_path / "mirror", limits=Limits())
    before = opened.fetch().commit
    (tmp_path / "work").rename(tmp_path / "old")
    after = Work(tmp_path / "work", "sha256").commit({"a": "2"})
    assert opened.fetch().commit == after != before
    opened.close()
