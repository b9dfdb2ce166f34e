"""A folder as it lies on disk, with Git and without (validate and plan)."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reconciler.errors import Stalled, Unavailable, UsageError
from reconciler.model import Limits, Revision
from reconciler.source import past
from reconciler.source.folder import read
from tests.test_source_mirror import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def test_clean_then_dirty(work: Work) -> None:
    commit = work.commit({"a.yaml": "1", "fleet/b.yaml": "2", ".gitignore": "junk\n"})
    revision, tree, blobs = read(work.folder, "", Limits())
    assert revision == Revision("main", commit)
    assert list(tree.files) == [".gitignore", "a.yaml", "fleet/b.yaml"]
    assert tree.files["a.yaml"] == work.git("rev-parse", "HEAD:a.yaml")
    assert blobs([tree.files["a.yaml"]]) == {tree.files["a.yaml"]: b"1"}
    (work.folder / "a.yaml").write_text("changed")
    (work.folder / "new.yaml").write_text("new")
    (work.folder / "junk").write_text("ignored")
    revision, tree, _ = read(work.folder, ".", Limits())
    assert str(revision) == f"main@sha1:{commit}+dirty"
    assert "new.yaml" in tree.files
    assert "junk" not in tree.files
    revision, tree, _ = read(work.folder, "fleet", Limits())
    assert revision == Revision("main", commit)
    assert list(tree.files) == ["b.yaml"]


def test_deleted_and_detached_and_empty(work: Work) -> None:
    assert read(work.folder, "", Limits())[0] == Revision("", "", dirty=True)
    commit = work.commit({"a.yaml": "1", "b.yaml": "1"})
    work.git("checkout", "-q", "--detach")
    (work.folder / "a.yaml").unlink()
    revision, tree, _ = read(work.folder, "", Limits())
    assert revision == Revision("HEAD", commit, dirty=True)
    assert list(tree.files) == ["b.yaml"]


def test_what_was_not_touched_is_as_git_has_it_and_all_else_as_it_lies_on_disk(work: Work) -> None:
    names = ("same", "edited", "staged", "gone", "assumed", "skipped", "executable", "fleet/same")
    work.commit(dict.fromkeys(names, "1\n"))
    for name in ("edited", "assumed", "skipped", "staged", "untracked", "intended"):
        (work.folder / name).write_text(f"{name}\n")
    work.git("add", "staged")
    (work.folder / "staged").write_text("and edited\n")
    work.git("add", "--intent-to-add", "intended")
    work.git("update-index", "--assume-unchanged", "assumed")
    work.git("update-index", "--skip-worktree", "skipped")
    (work.folder / "executable").chmod(0o755)
    (work.folder / "gone").unlink()
    (work.folder / "link").symlink_to("same")
    _, tree, blobs = read(work.folder, "", Limits())
    there = {
        str(one.relative_to(work.folder)) for one in work.folder.rglob("*") if one.is_file() and not one.is_symlink()
    }
    assert set(tree.files) == {one for one in there if not one.startswith(".git/")}
    found = blobs(tree.files.values())
    assert {name: found[oid] for name, oid in tree.files.items()} == {
        name: (work.folder / name).read_bytes() for name in tree.files
    }
    assert [one.path for one in tree.violations] == ["link"]
    assert list(read(work.folder, "fleet", Limits())[1].files) == ["same"]


def test_a_file_that_a_filter_changed_on_disk_is_what_a_commit_holds(work: Work) -> None:
    work.commit({"a.yaml": "a\nb\n"})
    work.git("config", "core.autocrlf", "true")
    (work.folder / "a.yaml").unlink()
    work.git("checkout", "--", "a.yaml")
    assert (work.folder / "a.yaml").read_bytes() == b"a\r\nb\r\n"
    revision, tree, blobs = read(work.folder, "", Limits())
    assert not revision.dirty
    oid = work.git("rev-parse", "HEAD:a.yaml")
    assert blobs(tree.files.values()) == {oid: b"a\nb\n"}
    assert tree.sizes == {oid: 4} == past.read(work.folder, "", revision.commit, Limits())[0].sizes


def test_a_file_whose_blob_the_repository_does_not_hold_is_read_as_it_lies_on_disk(work: Work) -> None:
    """So it is in a clone without blobs, and in a damaged one."""
    work.commit({"a.yaml": "a", "b.yaml": "b"})
    oid = work.git("rev-parse", "HEAD:a.yaml")
    (work.folder / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    _, tree, blobs = read(work.folder, "", Limits())
    assert blobs(tree.files.values()) == {oid: b"a", work.git("rev-parse", "HEAD:b.yaml"): b"b"}


def test_a_conflict_is_read_once_as_it_lies_on_disk(work: Work) -> None:
    work.commit({"a.yaml": "1\n"})
    work.git("checkout", "-q", "-b", "other")
    work.commit({"a.yaml": "2\n"})
    work.git("checkout", "-q", "main")
    work.commit({"a.yaml": "3\n"})
    with contextlib.suppress(AssertionError):
        work.git("merge", "-q", "other")
    _, tree, blobs = read(work.folder, "", Limits())
    assert b"<<<<<<<" in blobs(tree.files.values())[tree.files["a.yaml"]]


@pytest.mark.parametrize("sub", ["", "fleet"])
def test_a_link_to_a_work_tree_is_that_work_tree(work: Work, tmp_path: Path, sub: str) -> None:
    work.commit({"a.yaml": "1", "fleet/a.yaml": "1", "fleet/b.yaml": "2"})
    (work.folder / "fleet" / "a.yaml").write_text("changed")
    (work.folder / "fleet" / "new.yaml").write_text("new")
    (tmp_path / "link").symlink_to(work.folder, target_is_directory=True)
    found = read(tmp_path / "link", sub, Limits())
    assert found[:2] == read(work.folder, sub, Limits())[:2]
    assert found[0].dirty
    assert b"changed" in found[2](found[1].files.values()).values()


@pytest.mark.parametrize("sub", [".", "fleet", "fleet/deep"])
def test_whatever_happened_to_a_file_it_is_read_as_it_lies_on_disk(work: Work, sub: str) -> None:
    names = ["same", "edited", "staged", "both", "gone", "moved", "a b", "-x", "conflict", "mode"]
    files = {f"{folder}{name}.yaml": f"{folder}{name}" for folder in ("", "fleet/", "fleet/deep/") for name in names}
    work.commit({**files, ".gitignore": "ignored*\n"})
    for folder in ("", "fleet/", "fleet/deep/"):
        for name in ("edited", "staged", "both"):
            (work.folder / f"{folder}{name}.yaml").write_text("new")
        work.git("add", "--", f"{folder}staged.yaml", f"{folder}both.yaml")
        (work.folder / f"{folder}both.yaml").write_text("newer")
        (work.folder / f"{folder}gone.yaml").unlink()
        (work.folder / f"{folder}mode.yaml").chmod(0o755)
        work.git("mv", "--", f"{folder}moved.yaml", f"{folder}elsewhere.yaml")
        for name in ("unknown", "ignored", "meant"):
            (work.folder / f"{folder}{name}.yaml").write_text(name)
        work.git("add", "-N", "--", f"{folder}meant.yaml")
    revision, tree, blobs_of = read(work.folder, sub, Limits())
    root = work.folder / sub
    there = {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*.yaml") if one.name != "ignored.yaml"}
    assert revision.dirty and revision.branch == "main"
    found = blobs_of(list(tree.files.values()))
    blobs = {name: found[oid] for name, oid in tree.files.items() if name != ".gitignore"}
    assert blobs == {name: data for name, data in there.items() if not name.split("/")[-1].startswith("-")}
    work.git("add", "--all")
    work.git("commit", "-q", "-m", "all of it")
    assert not read(work.folder, sub, Limits())[0].dirty


def test_plain_folder(tmp_path: Path) -> None:
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters" / "a.yaml").write_text("a")
    (tmp_path / "link").symlink_to("clusters")
    (tmp_path / "pipe.yaml").parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / "pipe.yaml")
    revision, tree, _ = read(tmp_path, "", Limits())
    assert revision == Revision("", "", dirty=True) and str(revision) == "+dirty"
    assert list(tree.files) == ["clusters/a.yaml"]
    assert [(found.path, found.code) for found in tree.violations] == [("link", "NID010"), ("pipe.yaml", "NID013")]


def test_limits_and_places(work: Work) -> None:
    work.commit({"big": "x" * 2048, "small": "x"})
    _, tree, _ = read(work.folder, "", Limits(file="1Ki"))
    assert list(tree.files) == ["small"]
    assert [found.code for found in tree.violations] == ["NID014"]
    with pytest.raises(Stalled) as caught:
        read(work.folder, "", Limits(files=1))
    assert caught.value.reason == "TooBig"
    with pytest.raises(Stalled) as caught:
        read(work.folder, "nowhere", Limits())
    assert caught.value.reason == "PathMissing"
    with pytest.raises(UsageError):
        read(work.folder, "../", Limits())


def test_configuration_of_the_folder_starts_nothing(work: Work, tmp_path: Path) -> None:
    work.commit({"a": "1"})
    trap = tmp_path / "trap"
    work.git("config", "core.fsmonitor", f"touch {trap}")
    work.git("config", "core.hooksPath", str(tmp_path))
    (work.folder / "a").write_text("2")
    assert read(work.folder, "", Limits())[0].dirty
    assert not trap.exists()


def test_a_folder_that_looks_like_a_repository_of_its_own_is_none(work: Work, tmp_path: Path) -> None:
    """A change can bring such files: git itself takes them for a bare repository, with their configuration and their branches."""
    work.commit({"fleet/a.yaml": "1", "fleet/.gitattributes": "* filter=x\n"})
    inner, trap = Work(tmp_path / "inner"), tmp_path / "trap"
    forged = inner.commit({"a.yaml": "forged", ".gitattributes": "* filter=x\n"})
    shutil.copytree(inner.folder / ".git", work.folder / "fleet", dirs_exist_ok=True)
    filtered = f'[filter "x"]\n\tclean = "touch {trap}; cat"\n'
    (work.folder / "fleet" / "config").write_text(f"[core]\n\tbare = false\n\tworktree = .\n{filtered}")
    commit = work.commit({"fleet/b.yaml": "2"})
    (work.folder / "fleet" / "a.yaml").write_text("changed")
    revision, tree, _ = read(work.folder, "fleet", Limits())
    assert (revision.commit, revision.dirty, trap.exists()) == (commit, True, False)
    assert "b.yaml" in tree.files
    with pytest.raises(UsageError):
        past.revision(work.folder / "fleet", forged)
    assert past.revision(work.folder / "fleet", "main").commit == commit


def test_reading_a_folder_loads_no_gitpython() -> None:
    code = "import sys, reconciler.source.folder; sys.exit('git' in sys.modules or 'kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_a_folder_that_cannot_be_listed_is_an_error() -> None:
    """As somebody who may not read it: root may read everything, so root is somebody else meanwhile."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        (root / "open").mkdir()
        (root / "closed").mkdir()
        (root / "closed" / "a.yaml").write_text("a")
        (root / "closed").chmod(0)
        root.chmod(0o755)
        us = os.geteuid()
        try:
            if us == 0:
                os.seteuid(65534)
            assert read(root / "open", "", Limits())
            with pytest.raises(Unavailable):
                read(root, "", Limits())
        finally:
            os.seteuid(us)
            (root / "closed").chmod(0o755)
